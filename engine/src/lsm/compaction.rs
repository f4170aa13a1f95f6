//! Which runs to merge: a pure function from the runs there are to a choice.
//!
//! Size-tiered: a tier is a factor of [`TIER_FACTOR`] in bytes. When a tier holds [`TIER_RUNS`] runs in which
//! the same key may stand they become one, so each byte is rewritten once for each tier and a key is looked
//! for in about `TIER_RUNS · log(n)` runs. Runs beside each other, as events in the order of time make them,
//! cost a reader nothing: they are left alone until there are [`TIER_RUNS_APART`]. While history is replayed
//! for them merging would hold it up, so that a tier may hold [`TIER_RUNS_REPLAY`]. What is put off is done
//! when that has ended, by this process or by the next that runs an engine over the store.

use super::RunRecord;

/// Runs of one tier that are merged into one.
pub const TIER_RUNS: usize = 8;

/// The same while history is replayed.
const TIER_RUNS_REPLAY: usize = 32;

/// Runs of one tier at most, however few of them a key can stand in.
const TIER_RUNS_APART: usize = 64;

/// Runs merged at once at most, so that a merge's memory has a bound.
pub const MERGE_RUNS_MAX: usize = 16;

/// Ratio between the smallest runs of neighbouring tiers.
const TIER_FACTOR: u64 = 8;

/// Below this all runs are of the lowest tier.
const TIER_BYTES_MIN: u64 = 64 << 10;

/// What to do with a relation's runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    Nothing,
    /// Merge these into one.
    Merge(Vec<u64>),
}

/// The most urgent work on the runs of one relation, while history is replayed or not.
pub fn choose(runs: &[RunRecord], replaying: bool) -> Choice {
    let mut tiers: Vec<Vec<&RunRecord>> = Vec::new();
    for run in runs {
        let tier = tier(run.bytes);
        if tiers.len() <= tier {
            tiers.resize_with(tier + 1, Vec::new);
        }
        tiers[tier].push(run);
    }
    let full = tiers.into_iter().filter(|tier| tier.len() >= TIER_RUNS).find_map(|tier| {
        let is_full = tier.len() >= TIER_RUNS_APART;
        let depth_max = if replaying && !is_full { TIER_RUNS_REPLAY } else { TIER_RUNS };
        let deep = deepest(&tier);
        if deep.len() >= depth_max { Some(deep) } else { is_full.then_some(tier) }
    });
    match full {
        None => Choice::Nothing,
        Some(runs) => Choice::Merge(runs.iter().take(MERGE_RUNS_MAX).map(|r| r.run).collect()),
    }
}

/// The most runs in which one key can stand.
fn deepest<'r>(runs: &[&'r RunRecord]) -> Vec<&'r RunRecord> {
    // Where a run begins comes before where others end: it holds its first key and its last.
    let mut edges: Vec<(&[u8], bool, usize)> = Vec::with_capacity(runs.len() * 2);
    for (i, run) in runs.iter().enumerate() {
        let Some((first, last)) = run.bounds.ends() else { return runs.to_vec() };
        edges.extend([(first, false, i), (last, true, i)]);
    }
    edges.sort_unstable();
    let (mut open, mut most) = (Vec::new(), Vec::new());
    for (_, ends, i) in edges {
        if ends {
            open.retain(|&other| other != i);
        } else {
            open.push(i);
            if open.len() > most.len() {
                most.clone_from(&open);
            }
        }
    }
    most.sort_unstable();
    most.into_iter().map(|i| runs[i]).collect()
}

fn tier(bytes: u64) -> usize {
    let (mut tier, mut limit) = (0, TIER_BYTES_MIN);
    while bytes >= limit {
        tier += 1;
        limit = limit.saturating_mul(TIER_FACTOR);
        if limit == u64::MAX {
            break;
        }
    }
    tier
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lsm::Bounds;

    fn run(run: u64, bytes: u64) -> RunRecord {
        RunRecord { relation: 1, run, epoch: run, blocks: 1, rows: 1, bytes, ..RunRecord::default() }
    }

    fn apart(i: u64) -> RunRecord {
        RunRecord { bounds: Bounds::between(&i.to_be_bytes(), &(i + 1).to_be_bytes()), ..run(i, 1000) }
    }

    fn same(i: u64) -> RunRecord {
        RunRecord { bounds: Bounds::between(b"a", b"b"), ..run(i, 1000) }
    }

    #[test]
    fn a_full_tier_is_merged_and_nothing_else() {
        let mut runs: Vec<_> = (0..7).map(|i| run(i, 1000)).collect();
        runs.push(run(7, 100 << 20));
        assert_eq!(choose(&runs, false), Choice::Nothing);
        runs.push(run(8, 2000));
        assert_eq!(choose(&runs, false), Choice::Merge(vec![0, 1, 2, 3, 4, 5, 6, 8]));
    }

    #[test]
    fn runs_beside_each_other_are_left_alone_until_they_are_many() {
        let mut runs: Vec<_> = (0..63).map(apart).collect();
        assert_eq!(choose(&runs, false), Choice::Nothing);
        runs.push(apart(63));
        assert_eq!(choose(&runs, false), Choice::Merge((0..16).collect()));
        // The same number of runs that all hold one key.
        let mut runs: Vec<_> = (0..40).map(apart).collect();
        runs.extend((40..48).map(same));
        assert_eq!(choose(&runs, false), Choice::Merge((40..48).collect()));
    }

    #[test]
    fn a_replay_is_not_held_up_by_a_full_tier_until_it_is_very_full() {
        let mut runs: Vec<_> = (0..31).map(|i| run(i, 1000)).collect();
        assert_eq!(choose(&runs, true), Choice::Nothing);
        runs.push(run(31, 1000));
        assert_eq!(choose(&runs, true), Choice::Merge((0..16).collect()));
        // A tier that is full for other reasons: those that a key stands in come first.
        let mut runs: Vec<_> = (0..54).map(apart).collect();
        runs.extend((54..63).map(same));
        assert_eq!(choose(&runs, true), Choice::Nothing);
        runs.push(same(63));
        assert_eq!(choose(&runs, true), Choice::Merge((54..64).collect()));
    }

    #[test]
    fn any_number_of_appends_leaves_few_runs() {
        let mut runs: Vec<RunRecord> = Vec::new();
        let mut rewritten = 0;
        for i in 0..10_000 {
            runs.push(run(i, 50_000));
            while let Choice::Merge(chosen) = choose(&runs, false) {
                let bytes = runs.iter().filter(|r| chosen.contains(&r.run)).map(|r| r.bytes).sum();
                runs.retain(|r| !chosen.contains(&r.run));
                rewritten += bytes;
                runs.push(run(chosen[0], bytes));
            }
        }
        assert!(runs.len() <= TIER_RUNS * 6, "{}", runs.len());
        assert!(rewritten < 6 * 10_000 * 50_000, "{rewritten}");
    }
}
