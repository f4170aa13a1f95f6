//! Which small files to make one: a pure function.
//!
//! Files of a partition are of a tier by their size, a factor of [`MERGE_FILES`] each. When a tier has so many
//! they become one, so that a row is written once for each tier and a partition has few files.

use super::FileRecord;

/// Files of one tier that become one.
pub const MERGE_FILES: usize = 8;

/// Files merged at once at most.
const MERGE_FILES_MAX: usize = 32;

/// Files of at least so many bytes are left alone.
pub const FILE_BYTES_TARGET: u64 = 64 << 20;

/// Below this all files are of the lowest tier.
const TIER_BYTES_MIN: u64 = 64 << 10;

/// The merges that are due among the files of a table: for each the places of files among those given, in their
/// order. `rows_max` bounds what is in memory for one; `all`: whatever can be merged at all is.
pub fn choose_merges(files: &[FileRecord], rows_max: u64, all: bool) -> Vec<Vec<usize>> {
    let mut places: Vec<usize> = (0..files.len()).filter(|&i| files[i].bytes < FILE_BYTES_TARGET).collect();
    // Those of a tier beside each other, in the order of their age.
    let tier = |i: usize| if all { 0 } else { tier(files[i].bytes) };
    places.sort_by_key(|&i| (files[i].partition, tier(i), i));
    let least = if all { 2 } else { MERGE_FILES };
    let groups = places.chunk_by(|&a, &b| files[a].partition == files[b].partition && tier(a) == tier(b));
    let chosen = groups.filter_map(|group| {
        let (mut rows, mut bytes) = (0, 0);
        let fits = |&&i: &&usize| {
            rows += files[i].rows;
            bytes += files[i].bytes;
            rows <= rows_max && bytes <= FILE_BYTES_TARGET * 2
        };
        let mut places: Vec<usize> = group.iter().take_while(fits).take(MERGE_FILES_MAX).copied().collect();
        places.sort_unstable();
        (places.len() >= least).then_some(places)
    });
    chosen.collect()
}

fn tier(bytes: u64) -> u32 {
    let (mut tier, mut limit) = (0, TIER_BYTES_MIN);
    while bytes >= limit {
        tier += 1;
        limit = limit.saturating_mul(MERGE_FILES as u64);
    }
    tier
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(partition: i32, bytes: u64) -> FileRecord {
        FileRecord { partition: Some(partition), bytes, rows: bytes / 10, ..FileRecord::default() }
    }

    #[test]
    fn a_full_tier_of_one_partition_becomes_one_file() {
        let mut files: Vec<_> = (0..7).map(|_| file(1, 1000)).collect();
        files.extend((0..7).map(|_| file(2, 1000)));
        files.push(file(1, 1 << 20));
        let none: [Vec<usize>; 0] = [];
        assert_eq!(choose_merges(&files, u64::MAX, false), none);
        files.push(file(1, 1000));
        assert_eq!(choose_merges(&files, u64::MAX, false), [[0, 1, 2, 3, 4, 5, 6, 15]]);
        assert_eq!(choose_merges(&files, 500, false), none, "there is no room for them");
        let all = choose_merges(&files, u64::MAX, true);
        assert_eq!(all, [vec![0, 1, 2, 3, 4, 5, 6, 14, 15], (7..14).collect()]);
    }

    #[test]
    fn any_number_of_small_files_becomes_few_that_were_written_a_few_times() {
        let (mut files, mut appended, mut written) = (Vec::new(), 0, 0);
        for i in 0..5_000 {
            files.push(file(i / 1000, 40_000));
            appended += 40_000;
            while let Some(chosen) = choose_merges(&files, u64::MAX, false).pop() {
                let merged: Vec<_> = chosen.iter().rev().map(|&place| files.remove(place)).collect();
                let bytes = merged.iter().map(|f: &FileRecord| f.bytes).sum();
                files.push(file(merged[0].partition.expect("all have one"), bytes));
                written += bytes;
            }
        }
        assert!(files.len() < 5 * 3 * MERGE_FILES, "{}", files.len());
        assert!(written < 4 * appended, "{written}");
    }
}
