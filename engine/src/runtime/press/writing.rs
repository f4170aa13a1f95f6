//! Writing runs while their blocks are still being encoded, in whatever order those come.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::lsm::{Block, RunRecord, RunWriter, Store};

/// Encoded blocks of a view, one behind the other.
pub struct Stretch {
    /// The view's place in the graph's list.
    pub place: usize,
    /// The number of the first block.
    pub first: usize,
    pub blocks: Vec<Block>,
}

/// The runs of some views.
pub struct Writing<'s> {
    open: BTreeMap<usize, Open<'s>>,
    /// Blocks that wait for those before them, by view and number.
    waiting: BTreeMap<(usize, usize), Vec<Block>>,
    finished: Vec<RunRecord>,
}

struct Open<'s> {
    run: RunWriter<'s>,
    written: usize,
    blocks: usize,
}

impl<'s> Writing<'s> {
    /// A run for each of these views: its place, its id, and how many blocks it has.
    pub fn new(store: &'s Store, views: impl Iterator<Item = (usize, u32, usize)>) -> Self {
        let open =
            |(place, id, blocks)| (place, Open { run: RunWriter::begin(store, id), written: 0, blocks });
        Self { open: views.map(open).collect(), waiting: BTreeMap::new(), finished: Vec::new() }
    }

    /// Writes all that has come so far of the stretch's run; finishes it, which waits for the disk, if that
    /// was its last.
    pub fn put(&mut self, Stretch { place, first, blocks }: Stretch) -> Result<()> {
        self.waiting.insert((place, first), blocks);
        let Some(open) = self.open.get_mut(&place) else {
            return Err(incomplete());
        };
        while let Some(blocks) = self.waiting.remove(&(place, open.written)) {
            open.written += blocks.len();
            blocks.into_iter().try_for_each(|block| open.run.write_encoded(block))?;
        }
        if open.written == open.blocks
            && let Some(done) = self.open.remove(&place)
        {
            self.finished.extend(done.run.finish(0)?);
        }
        Ok(())
    }

    /// The records of the runs.
    ///
    /// # Errors
    /// If blocks are missing.
    pub fn finish(self) -> Result<Vec<RunRecord>> {
        let is_whole = self.waiting.is_empty() && self.open.values().all(|open| open.blocks == 0);
        if is_whole { Ok(self.finished) } else { Err(incomplete()) }
    }
}

fn incomplete() -> Error {
    Error::corrupt("the blocks of an epoch are not those that its tables have")
}
