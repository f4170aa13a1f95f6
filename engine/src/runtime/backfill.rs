//! Backfills: what a source's supervisor does for views that were created later.
//!
//! What stops a backfill stays with it and its views; the main pipeline goes on.

use std::sync::Arc;

use super::kept::KeptRows;
use super::pipeline::Pipeline;
use super::state::{Attached, BackfillState, CursorState};
use super::supervisor::Supervisor;
use crate::checkpoint::Stage;
use crate::clock;
use crate::connector::{Gap, Source, Split};
use crate::error::{Error, Kind, Result};
use crate::lsm::{Change, CursorRecord, GapRecord, SplitRecord};

impl Supervisor {
    /// What a backfill reads, and from where: the kept rows, or what the main cursor has read.
    pub(super) fn targets(&self, attached: &Attached, main: &CursorState) -> (Arc<dyn Source>, Vec<Split>) {
        if attached.definition.keeps_rows {
            let store = self.shared.store.clone();
            let version = store.version();
            let kept = KeptRows::new(store, version, self.source, &attached.definition);
            let splits = kept.splits();
            return (Arc::new(kept), splits);
        }
        let read = |s: &SplitRecord| {
            (s.offset > s.split.start).then(|| Split { end: Some(s.offset), ..s.split.clone() })
        };
        (attached.source.clone(), main.splits.values().filter_map(read).collect())
    }

    /// A backfill whose views were all dropped is no longer wanted.
    pub(super) fn drop_empty_backfill(&self) -> Result<()> {
        let mut state = self.shared.state();
        let Ok(source) = state.source(self.source) else {
            return Ok(());
        };
        let Some(cursor) = source.backfill.as_ref().map(|b| b.cursor.id) else {
            return Ok(());
        };
        if !state.views_of(cursor).is_empty() {
            return Ok(());
        }
        let backfill = state.source_mut(self.source)?.backfill.take();
        drop(state);
        if let Some(pipeline) = backfill.and_then(|b| b.cursor.pipeline) {
            pipeline.abandon();
        }
        self.shared.store.commit(Change { delete_cursors: vec![cursor], ..Change::default() })?;
        Ok(())
    }

    pub(super) fn begin_backfill(&self) -> Result<()> {
        let (id, waiting) = {
            let mut state = self.shared.state();
            (state.allocate_id(), state.waiting(self.source))
        };
        let cursor = CursorRecord { id, source: self.source, backfill: true };
        self.move_views(&waiting, id, Change { put_cursors: vec![cursor], ..Change::default() })?;
        let mut state = self.shared.state();
        let cursor = CursorState::new(id, []);
        state.source_mut(self.source)?.backfill = Some(BackfillState::new(cursor));
        Ok(())
    }

    /// Starts a round, unless the external system cannot be asked now: then it is tried again later, and the
    /// answer is false.
    pub(super) fn round(&self, attached: &Attached, last: bool) -> Result<bool> {
        match self.skip_what_is_gone(attached) {
            Err(error) if error.kind() == Kind::Io => {
                tracing::warn!(source = self.source, %error, "looking for where a view's reading begins");
                return Ok(false);
            }
            other => other?,
        }
        let mut state = self.shared.state();
        if state.stopping {
            return Ok(false);
        }
        // Kept rows are read run by run; while runs are made into files, they are not those that stay.
        if attached.definition.keeps_rows && self.shared.keeper.is_pressing(self.source) {
            return Ok(false);
        }
        let (source, targets) = self.targets(attached, &state.source(self.source)?.main);
        let backfill = state.source(self.source)?.backfill.as_ref();
        let Some(backfill) = backfill else {
            return Ok(true);
        };
        let cursor = backfill.cursor.id;
        let record = |target: Split| {
            let offset = backfill.cursor.splits.get(&target.id).map_or(target.start, |s| s.offset);
            SplitRecord { offset, split: target, finished: false }
        };
        let splits: Vec<SplitRecord> = targets.into_iter().map(record).collect();
        let open: Vec<SplitRecord> =
            splits.iter().filter(|s| s.split.end > Some(s.offset)).cloned().collect();
        let views = state.views_of(cursor);
        let graph = self.graph(&state, attached, &views, false)?;
        let backfill = state.source_mut(self.source)?.backfill.as_mut().expect("seen above, under this lock");
        backfill.cursor.splits = splits.into_iter().map(|s| (s.split.id.clone(), s)).collect();
        backfill.rounds += 1;
        backfill.last = last;
        backfill.cursor.stage = Stage::Running;
        backfill.cursor.pipeline = Some(Pipeline::start(self.spec(cursor, source, graph, open, true))?);
        Ok(true)
    }

    /// A split that the backfill has not begun is read from the first record that is still there. What was
    /// deleted before is recorded as a gap, whatever the policy: nobody could have read it for this view.
    fn skip_what_is_gone(&self, attached: &Attached) -> Result<()> {
        let (cursor, fresh) = {
            let state = self.shared.state();
            let source = state.source(self.source)?;
            let Some(backfill) = source.backfill.as_ref().filter(|_| !attached.definition.keeps_rows) else {
                return Ok(());
            };
            let (_, mut fresh) = self.targets(attached, &source.main);
            fresh.retain(|target| !backfill.cursor.splits.contains_key(&target.id));
            (backfill.cursor.id, fresh)
        };
        if fresh.is_empty() {
            return Ok(());
        }
        let firsts = attached.source.firsts(&fresh)?;
        let (mut gaps, mut splits) = (Vec::new(), Vec::new());
        for split in fresh {
            let Some(first) = firsts.get(&split.id).copied().filter(|first| *first > split.start) else {
                continue;
            };
            let to = split.end.map_or(first, |end| first.min(end));
            let reason = format!("records before offset {to} were deleted before the view was created");
            gaps.push(Gap { split: split.id.clone(), from: split.start, to, reason });
            splits.push(SplitRecord { offset: to, split, finished: false });
        }
        if gaps.is_empty() {
            return Ok(());
        }
        let (source, at_us) = (self.source, clock::unix_micros());
        let record = |gap: &Gap| GapRecord { epoch: 0, source, at_us, gap: gap.clone() };
        self.shared.store.commit(Change {
            closes_epoch: true,
            put_splits: splits.iter().map(|s| (cursor, s.clone())).collect(),
            gaps: gaps.iter().map(record).collect(),
            ..Change::default()
        })?;
        let mut state = self.shared.state();
        for id in state.views_of(cursor) {
            if let Some(view) = state.views.get_mut(&id) {
                view.lacks.extend(gaps.iter().cloned());
            }
        }
        if let Some(backfill) = &mut state.source_mut(self.source)?.backfill {
            backfill.cursor.splits.extend(splits.into_iter().map(|s| (s.split.id.clone(), s)));
        }
        Ok(())
    }

    pub(super) fn fail_backfill(&self, error: Error) {
        tracing::error!(source = self.source, %error, "backfill stopped");
        let mut state = self.shared.state();
        if let Ok(Some(backfill)) = state.source_mut(self.source).map(|s| s.backfill.as_mut()) {
            backfill.cursor.stage = Stage::Stopped;
            backfill.failure.get_or_insert(error);
        }
        drop(state);
        self.shared.notify();
    }

    pub(super) fn join(&self) -> Result<()> {
        let (cursor, views) = {
            let mut state = self.shared.state();
            let backfill = state.source_mut(self.source)?.backfill.take();
            let cursor = backfill.map_or(0, |b| b.cursor.id);
            (cursor, state.views_of(cursor))
        };
        self.move_views(&views, self.source, Change { delete_cursors: vec![cursor], ..Change::default() })
    }
}
