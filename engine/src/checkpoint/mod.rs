//! What to do next with a source's pipelines: a pure function from facts to an action.
//!
//! A source has one *main* cursor, which feeds all its current views, and at most one *backfill* cursor,
//! which reads from the beginning for views that were created later. A backfill reads in rounds, each up
//! to where the main cursor was when the round began, so it never passes it. When little is left the
//! main pipeline is paused at an epoch, the last round reads up to exactly there, the views join, and the
//! main pipeline goes on with them.
//!
//! Invariants:
//! - Views join only while the main pipeline is stopped and the two cursors stand at the same offsets.
//! - Everything decided here is derived from durable facts: after a crash the same steps are found again.

/// Lag (in the units of offsets) below which the main pipeline is paused for the last round.
pub const JOIN_LAG: u64 = 200_000;

/// Rounds after which the main pipeline is paused however much is left.
pub const ROUNDS_MAX: u32 = 5;

/// Where a pipeline is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Stopped,
    Running,
    /// Read everything it was given, and ended.
    Finished,
}

/// What is known of a source that has been started and has not failed.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// There is something to feed from the main cursor: kept rows or a view.
    pub wanted: bool,
    pub main: Stage,
    /// The main pipeline runs with other views than it should.
    pub main_is_stale: bool,
    /// The main cursor has read nothing yet.
    pub untouched: bool,
    /// The source, or what was kept of it, can be read from the beginning.
    pub readable_again: bool,
    /// Views wait for a cursor.
    pub pending: bool,
    pub backfill: Option<Backfill>,
}

/// A backfill in progress.
#[derive(Clone, Copy, Debug)]
pub struct Backfill {
    pub stage: Stage,
    /// Sum over splits of what the main cursor has read and this one has not.
    pub behind: u64,
    pub rounds: u32,
    /// This round is the last; the main pipeline waits for it.
    pub last: bool,
    /// It was stopped by an error. Its views stay as they are until they are dropped; nobody waits for them.
    pub failed: bool,
}

/// The next step. After it, ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Nothing,
    StartMain,
    /// Close its epoch, then stop it.
    StopMain,
    /// Waiting views are fed by the main cursor from here on.
    Adopt,
    /// Waiting views get a new cursor, at the beginning.
    BeginBackfill,
    /// The backfill reads up to where the main cursor is.
    Round {
        last: bool,
    },
    /// The backfill's views move to the main cursor.
    Join,
}

/// Decides the next step.
pub fn decide(facts: &Facts) -> Action {
    if facts.main == Stage::Running && facts.main_is_stale {
        return Action::StopMain;
    }
    if let Some(backfill) = facts.backfill.filter(|b| b.stage != Stage::Running && !b.failed) {
        let paused = facts.main != Stage::Running;
        return match (backfill.behind, paused) {
            (0, true) => Action::Join,
            (behind, paused) if behind <= JOIN_LAG || backfill.rounds >= ROUNDS_MAX => {
                if paused {
                    Action::Round { last: true }
                } else {
                    Action::StopMain
                }
            }
            _ => Action::Round { last: false },
        };
    }
    if facts.pending && facts.backfill.is_none() {
        let direct = facts.untouched || !facts.readable_again;
        return match (direct, facts.main) {
            (true, Stage::Running) => Action::StopMain,
            (true, _) => Action::Adopt,
            (false, _) => Action::BeginBackfill,
        };
    }
    let waits = facts.backfill.is_some_and(|b| b.last && !b.failed);
    if facts.main == Stage::Stopped && facts.wanted && !waits {
        return Action::StartMain;
    }
    Action::Nothing
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNNING: Facts = Facts {
        wanted: true,
        main: Stage::Running,
        main_is_stale: false,
        untouched: false,
        readable_again: true,
        pending: false,
        backfill: None,
    };

    #[test]
    fn a_view_over_a_running_source_reads_from_the_beginning_and_joins_at_a_pause() {
        let mut facts = Facts { pending: true, ..RUNNING };
        assert_eq!(decide(&facts), Action::BeginBackfill);
        facts.pending = false;
        facts.backfill = Some(Backfill {
            stage: Stage::Stopped,
            behind: 10_000_000,
            rounds: 0,
            last: false,
            failed: false,
        });
        assert_eq!(decide(&facts), Action::Round { last: false });
        facts.backfill = Some(Backfill {
            stage: Stage::Running,
            behind: 10_000_000,
            rounds: 1,
            last: false,
            failed: false,
        });
        assert_eq!(decide(&facts), Action::Nothing);
        facts.backfill =
            Some(Backfill { stage: Stage::Finished, behind: 1000, rounds: 1, last: false, failed: false });
        assert_eq!(decide(&facts), Action::StopMain);
        facts.main = Stage::Stopped;
        assert_eq!(decide(&facts), Action::Round { last: true });
        facts.backfill =
            Some(Backfill { stage: Stage::Running, behind: 1000, rounds: 2, last: true, failed: false });
        assert_eq!(decide(&facts), Action::Nothing, "the main pipeline waits");
        facts.backfill =
            Some(Backfill { stage: Stage::Finished, behind: 0, rounds: 2, last: true, failed: false });
        assert_eq!(decide(&facts), Action::Join);
        facts.backfill = None;
        assert_eq!(decide(&facts), Action::StartMain);
    }

    #[test]
    fn a_source_that_outruns_the_backfill_is_paused_in_the_end() {
        let backfill = Backfill {
            stage: Stage::Finished,
            behind: u64::MAX,
            rounds: ROUNDS_MAX,
            last: false,
            failed: false,
        };
        assert_eq!(decide(&Facts { backfill: Some(backfill), ..RUNNING }), Action::StopMain);
    }

    #[test]
    fn the_first_views_need_no_backfill_and_neither_do_those_of_what_cannot_be_read_again() {
        let fresh = Facts { pending: true, untouched: true, main: Stage::Stopped, ..RUNNING };
        assert_eq!(decide(&fresh), Action::Adopt);
        let pushed = Facts { pending: true, readable_again: false, ..RUNNING };
        assert_eq!(decide(&pushed), Action::StopMain);
        assert_eq!(decide(&Facts { main: Stage::Stopped, ..pushed }), Action::Adopt);
    }

    #[test]
    fn a_finished_source_is_left_alone_and_a_backfill_beside_it_joins_at_once() {
        let finished = Facts { main: Stage::Finished, ..RUNNING };
        assert_eq!(decide(&finished), Action::Nothing);
        let backfill = Backfill { stage: Stage::Finished, behind: 0, rounds: 1, last: false, failed: false };
        assert_eq!(decide(&Facts { backfill: Some(backfill), ..finished }), Action::Join);
    }

    #[test]
    fn a_backfill_that_failed_holds_nobody_up() {
        let failed = Backfill { stage: Stage::Stopped, behind: 5, rounds: 2, last: true, failed: true };
        let facts = Facts { backfill: Some(failed), pending: true, ..RUNNING };
        assert_eq!(decide(&facts), Action::Nothing);
        assert_eq!(decide(&Facts { main: Stage::Stopped, ..facts }), Action::StartMain);
    }

    #[test]
    fn every_path_ends() {
        // Whatever the facts, an action changes one of them; a model walk over all small facts terminates.
        for behind in [0, 1, JOIN_LAG + 1] {
            let mut facts = Facts { pending: true, main: Stage::Running, ..RUNNING };
            let mut steps = 0;
            loop {
                steps += 1;
                assert!(steps < 50, "{facts:?}");
                match decide(&facts) {
                    Action::Nothing => match &mut facts.backfill {
                        Some(b) if b.stage == Stage::Running => {
                            b.stage = Stage::Finished;
                            b.behind = if b.last { 0 } else { behind };
                        }
                        _ => break,
                    },
                    Action::StartMain => facts.main = Stage::Running,
                    Action::StopMain => facts.main = Stage::Stopped,
                    Action::Adopt => facts.pending = false,
                    Action::BeginBackfill => {
                        facts.pending = false;
                        let b = Backfill {
                            stage: Stage::Stopped,
                            behind: 1 << 40,
                            rounds: 0,
                            last: false,
                            failed: false,
                        };
                        facts.backfill = Some(b);
                    }
                    Action::Round { last } => {
                        let b = facts.backfill.as_mut().expect("a round has a backfill");
                        *b = Backfill { stage: Stage::Running, rounds: b.rounds + 1, last, ..*b };
                    }
                    Action::Join => facts.backfill = None,
                }
            }
            assert_eq!(facts.main, Stage::Running);
            assert!(!facts.pending && facts.backfill.is_none());
        }
    }
}
