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

/// What is merged: the places of files among those given, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mergeable {
    pub places: Vec<usize>,
}

/// The most urgent merge among the files of a table, if there is any. `rows_max` bounds what is in memory;
/// `all`: whatever can be merged at all is.
pub fn choose_merge(files: &[FileRecord], rows_max: u64, all: bool) -> Option<Mergeable> {
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
        (places.len() >= least).then_some(Mergeable { places })
    });
    chosen.max_by_key(|chosen| chosen.places.len())
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
        assert_eq!(choose_merge(&files, u64::MAX, false), None);
        files.push(file(1, 1000));
        let chosen = choose_merge(&files, u64::MAX, false).expect("a tier is full");
        assert_eq!(chosen.places, [0, 1, 2, 3, 4, 5, 6, 15]);
        assert_eq!(choose_merge(&files, 500, false), None, "there is no room for them");
        let all = choose_merge(&files, u64::MAX, true).expect("there are small files");
        assert_eq!(all.places, [0, 1, 2, 3, 4, 5, 6, 14, 15]);
    }

    #[test]
    fn any_number_of_small_files_becomes_few_that_were_written_a_few_times() {
        let (mut files, mut appended, mut written) = (Vec::new(), 0, 0);
        for i in 0..5_000 {
            files.push(file(i / 1000, 40_000));
            appended += 40_000;
            while let Some(chosen) = choose_merge(&files, u64::MAX, false) {
                let merged: Vec<_> = chosen.places.iter().rev().map(|&place| files.remove(place)).collect();
                let bytes = merged.iter().map(|f: &FileRecord| f.bytes).sum();
                files.push(file(merged[0].partition.expect("all have one"), bytes));
                written += bytes;
            }
        }
        assert!(files.len() < 5 * 3 * MERGE_FILES, "{}", files.len());
        assert!(written < 4 * appended, "{written}");
    }
}
