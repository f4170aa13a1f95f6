//! How far a reader is with one partition, and where it goes on when the broker refuses its offset.

use siltstone_engine::connector::SplitId;

use super::partition::Partition;

/// A split that a reader was given.
pub(super) struct Assigned {
    pub split: SplitId,
    pub partition: Partition,
    /// The next offset to hand out.
    pub position: i64,
    pub end: Option<i64>,
    pub state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Reading,
    /// The broker refused the position: it is out of range, or the topic is another one.
    Refused,
    /// The broker did not know the topic or partition: it may be another one by now.
    Doubtful,
    /// Read to its end, or never to be read again: its topic was recreated.
    Over,
}

impl Assigned {
    /// It is the one that messages of this partition belong to: of several splits of one partition, only one
    /// is not over.
    pub(super) fn takes(&self, topic: &str, number: i32) -> bool {
        self.partition.number == number && self.partition.topic == topic && self.state != State::Over
    }
}

/// Where reading goes on when `from` was refused, and why; `None` if it is in range after all.
pub(super) fn gap_of(from: i64, first: i64, end: i64, has_topic_id: bool) -> Option<(i64, String)> {
    if from < first {
        Some((first, format!("records before offset {first} were deleted")))
    } else if from > end && has_topic_id {
        Some((
            end,
            format!("the log was cut off at offset {end}: records that were read before are lost there"),
        ))
    } else if from > end {
        Some((first, format!("the log ends at offset {end}: the topic was deleted and created again")))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_goes_to_where_records_are() {
        let to = |from, first, end, has_id| gap_of(from, first, end, has_id).map(|(to, _)| to);
        assert_eq!(to(5, 10, 20, true), Some(10));
        assert_eq!(to(10, 10, 20, true), None);
        assert_eq!(to(20, 10, 20, true), None);
        assert_eq!(to(21, 10, 20, true), Some(20), "what was read is not read again");
        assert_eq!(to(21, 10, 20, false), Some(10), "without ids it counts as recreated");
    }
}
