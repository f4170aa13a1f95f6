//! Creating, changing and dropping relations: stored first, then in the state, then carried out.

use std::sync::Arc;
use std::time::Duration;

use super::engine::Engine;
use super::state::{Attached, AttachedView, CursorState, Event, SourceState, State, ViewEntry};
use crate::checkpoint::Stage;
use crate::connector::{Gap, SourceDefinition, Split};
use crate::error::{Error, Kind, Result};
use crate::lsm::{Change, CursorRecord, RelationKind, RelationRecord, SplitRecord, Totals};
use crate::rollup::ViewDefinition;

/// A view that was created.
#[derive(Clone, Debug)]
pub struct CreatedView {
    pub id: u32,
    /// Its source cannot be read again: it counts what comes behind this epoch.
    pub counts_from: Option<u64>,
    /// It has not caught up with the other views of its source yet; its status says when it has.
    pub backfilling: bool,
    /// What its source had lost before it was created, and it lacks.
    pub lacks: Vec<Gap>,
}

/// How long creating a view waits for its reading to begin, which is when it is known what is gone.
const BEGIN_WAIT: Duration = Duration::from_secs(3);

/// How long creating a view waits for it to hold what its source has read.
const CATCH_UP_WAIT: Duration = Duration::from_secs(1);

impl Engine {
    /// Creates a source or table, durably. Asks the external system for its splits, so that what is wrong
    /// with the options is known at once and "from now on" means now.
    pub fn create_source(&self, text: &str, definition: SourceDefinition) -> Result<u32> {
        let source = self.make_source(&definition)?;
        let record = |split: Split| SplitRecord { offset: split.start, split, finished: false };
        let splits: Vec<SplitRecord> = source.discover(&[])?.into_iter().map(record).collect();
        let kind = if definition.keeps_rows { RelationKind::Table } else { RelationKind::Source };
        let mut state = self.shared.state();
        let id = state.allocate_id();
        let name = definition.name.clone();
        let relation = RelationRecord {
            id,
            kind,
            name,
            text: text.to_owned(),
            source: None,
            cursor: None,
            lacks_rows: false,
        };
        self.shared.store.commit(Change {
            put_relations: vec![relation.clone()],
            put_cursors: vec![CursorRecord { id, source: id, backfill: false }],
            put_splits: splits.iter().map(|s| (id, s.clone())).collect(),
            ..Change::default()
        })?;
        let mut entry = SourceState::new(relation, CursorState::new(id, splits), Totals::default());
        entry.attached = Some(Attached { definition: Arc::new(definition), source });
        state.sources.insert(id, entry);
        if state.started.is_some() {
            self.supervise(&mut state, id)?;
        }
        Ok(id)
    }

    /// Stores another text for a source whose operational options differ, and goes on with them. What it has
    /// read stays, and an error that stopped it is forgotten.
    pub fn replace_source(&self, id: u32, text: &str, definition: SourceDefinition) -> Result<()> {
        let source = self.make_source(&definition)?;
        let mut state = self.shared.state();
        let own = state.source_mut(id)?;
        let record = RelationRecord { text: text.to_owned(), ..own.record.clone() };
        let change = Change { put_relations: vec![record.clone()], ..Change::default() };
        self.shared.store.commit(change)?;
        own.record = record;
        own.attached = Some(Attached { definition: Arc::new(definition), source });
        own.failure = None;
        if let Some(backfill) = &mut own.backfill {
            backfill.failure = None;
        }
        self.wake(&state, id);
        Ok(())
    }

    /// Stores another text for a source that has more columns, behind those it had, or wider ones. It goes on where
    /// it is; rows that were kept before have no value in the new columns.
    pub fn alter_source(&self, id: u32, text: &str, definition: SourceDefinition) -> Result<()> {
        self.replace_source(id, text, definition)?;
        self.shared.keeper.changed(id);
        Ok(())
    }

    /// Creates a view, durably. On a source that runs already it reads from the beginning, beside the
    /// others, and joins them when it has caught up; if that takes long, the call returns before.
    pub fn create_view(&self, text: &str, definition: ViewDefinition) -> Result<CreatedView> {
        let (source, name) = (definition.source, definition.name.clone());
        let attached = AttachedView::new(definition)?;
        let mut state = self.shared.state();
        let (replayable, untouched) = {
            let own = state.source(source)?;
            let again = |a: &Attached| a.source.is_replayable() || a.definition.keeps_rows;
            (own.attached.as_ref().is_none_or(again), own.main.untouched())
        };
        let id = state.allocate_id();
        let (kind, text) = (RelationKind::View, text.to_owned());
        let record = RelationRecord {
            id,
            kind,
            name,
            text,
            source: Some(source),
            cursor: None,
            lacks_rows: !replayable && !untouched,
        };
        let change = Change { put_relations: vec![record.clone()], ..Change::default() };
        let version = self.shared.store.commit(change)?;
        state.views.insert(id, ViewEntry { record, attached: Some(attached), lacks: Vec::new() });
        self.wake(&state, source);
        let started = state.started.is_some();
        drop(state);
        let failed = |state: &State| {
            let own = state.sources.get(&source);
            own.is_none_or(|s| {
                s.failure.is_some() || s.backfill.as_ref().is_some_and(|b| b.failure.is_some())
            })
        };
        let cursor = |state: &State| state.views.get(&id).map_or(Some(source), |v| v.record.cursor);
        let begun = |state: &State| {
            let backfill = state.sources.get(&source).and_then(|s| s.backfill.as_ref());
            let reads = match cursor(state) {
                Some(own) if own != source => backfill.is_none_or(|b| b.rounds > 0),
                own => own.is_some(),
            };
            (reads || failed(state)).then_some(())
        };
        let settled = |state: &State| {
            let own = state.sources.get(&source);
            let reads = own.is_none_or(|s| s.failure.is_some() || s.main.stage != Stage::Stopped);
            (failed(state) || (cursor(state) == Some(source) && reads)).then_some(())
        };
        if started && self.shared.wait(BEGIN_WAIT, begun).is_some() {
            self.shared.wait(CATCH_UP_WAIT, settled);
        }
        let state = self.shared.state();
        let backfilling = started && cursor(&state) != Some(source);
        let lacks = state.views.get(&id).map(|v| v.lacks.clone()).unwrap_or_default();
        Ok(CreatedView { id, counts_from: (!replayable).then_some(version.epoch), backfilling, lacks })
    }

    /// Drops a view, or a source that no view reads, with all it holds.
    ///
    /// # Errors
    /// [`Kind::Busy`] if views read it.
    pub fn drop_relation(&self, id: u32) -> Result<()> {
        let mut state = self.shared.state();
        if let Some(view) = state.views.remove(&id) {
            self.shared.store.commit(Change { delete_relations: vec![id], ..Change::default() })?;
            self.shared.keeper.dropped();
            if let Some(source) = view.record.source {
                self.wake(&state, source);
            }
            return Ok(());
        }
        let name = state.source(id)?.record.name.clone();
        if let Some(view) = state.views.values().find(|v| v.record.source == Some(id)) {
            return Err(Error::new(Kind::Busy, format!("view {} reads {name}", view.record.name))
                .with_hint("drop the view first, or use CASCADE"));
        }
        let dropped = state.sources.remove(&id);
        drop(state);
        let Some(mut dropped) = dropped else {
            return Ok(());
        };
        if let Some(supervisor) = dropped.supervisor.take() {
            let _ = supervisor.send(Event::End);
        }
        let mut cursors = vec![id];
        let backfill = dropped.backfill.take().map(|b| b.cursor);
        cursors.extend(backfill.as_ref().map(|c| c.id));
        for pipeline in
            [dropped.main.pipeline.take(), backfill.and_then(|c| c.pipeline)].into_iter().flatten()
        {
            pipeline.abandon();
        }
        let change = Change { delete_relations: vec![id], delete_cursors: cursors, ..Change::default() };
        self.shared.store.commit(change)?;
        self.shared.keeper.dropped();
        Ok(())
    }
}
