//! The reader of one worker: the splits assigned to it, one after another. Only one file is open at a time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use siltstone_engine::clock;
use siltstone_engine::connector::{Fetch, Payload, Poll, Split, SplitId, SplitReader};
use siltstone_engine::error::Result;

use super::columnar::ColumnarSplit;
use super::text::TextSplit;
use super::{Files, Format};

pub(super) struct FileReader {
    files: Arc<Files>,
    waiting: VecDeque<(Split, i64)>,
    current: Option<(SplitId, Open)>,
}

/// An open split.
enum Open {
    Text(Box<TextSplit>),
    Columnar(Box<ColumnarSplit>),
    /// It was read to its end already.
    Nothing,
}

impl FileReader {
    pub(super) fn new(files: Arc<Files>) -> Self {
        Self { files, waiting: VecDeque::new(), current: None }
    }

    fn open(&self, split: &Split, from: i64, rows_max: usize) -> Result<Open> {
        if split.end.is_some_and(|end| from >= end) {
            return Ok(Open::Nothing);
        }
        Ok(match self.files.format {
            Format::Text { .. } => Open::Text(Box::new(TextSplit::open(&self.files, split, from)?)),
            Format::Parquet => {
                Open::Columnar(Box::new(ColumnarSplit::open(&self.files, split, from, rows_max)?))
            }
        })
    }
}

impl Open {
    fn next(&mut self, split: &SplitId, rows_max: usize) -> Result<Option<Fetch>> {
        let split = split.clone();
        Ok(match self {
            Self::Text(text) => text.next(rows_max)?.map(|piece| Fetch {
                progress: vec![(split.clone(), piece.next)],
                payload: Payload::Text { split, offset: piece.offset, bytes: piece.bytes },
            }),
            Self::Columnar(rows) => rows.next()?.map(|(offset, batch)| Fetch {
                progress: vec![(split.clone(), offset + batch.num_rows() as i64)],
                payload: Payload::Rows { split, offset, batch },
            }),
            Self::Nothing => None,
        })
    }
}

impl SplitReader for FileReader {
    fn assign(&mut self, split: &Split, from: i64) -> Result<()> {
        self.waiting.push_back((split.clone(), from));
        Ok(())
    }

    fn poll(&mut self, rows_max: usize, timeout: Duration) -> Result<Poll> {
        if self.current.is_none() {
            let Some((split, from)) = self.waiting.pop_front() else {
                clock::sleep(timeout);
                return Ok(Poll::Idle);
            };
            let open = self.open(&split, from, rows_max)?;
            self.current = Some((split.id, open));
        }
        if let Some((split, open)) = &mut self.current
            && let Some(fetch) = open.next(split, rows_max)?
        {
            return Ok(Poll::Records(fetch));
        }
        Ok(self.current.take().map_or(Poll::Idle, |(split, _)| Poll::Finished(split)))
    }
}
