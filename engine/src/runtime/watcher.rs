//! What pipelines report: totals, offsets, epochs and ends, taken over into the state.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use super::pipeline::{Closed, Observer};
use super::state::{Event, Shared};
use super::{EPOCHS_MAX, EpochStatus};
use crate::checkpoint::Stage;
use crate::clock;
use crate::connector::Source;
use crate::error::{Error, Result};
use crate::lsm::{Change, Version};

/// Takes over what pipelines report.
pub struct Watcher {
    pub shared: Weak<Shared>,
    pub source: u32,
    pub reader: Arc<dyn Source>,
    pub compactor: crossbeam::channel::Sender<()>,
}

impl Observer for Watcher {
    fn before_commit(&self, closed: &Closed, change: &mut Change) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        let state = shared.state();
        if let (Ok(source), true) = (state.source(self.source), closed.cursor == self.source) {
            let mut totals = source.totals;
            totals.rows += closed.rows;
            totals.bad_rows += closed.bad_rows;
            change.put_totals.push((self.source, totals));
        }
        // A backfill meets the same bad records again; they are in the error table already.
        if closed.cursor != self.source {
            change.errors.retain(|e| e.view.is_some());
        }
    }

    fn closed(&self, closed: &Closed, version: Option<&Version>) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        let mut state = shared.state();
        let Ok(source) = state.source_mut(self.source) else {
            return;
        };
        let main = closed.cursor == self.source;
        let name = source.record.name.clone();
        if main {
            source.fresh_at_us = clock::unix_micros();
            source.totals.rows += closed.rows;
            source.totals.bad_rows += closed.bad_rows;
            source.main.advance(&closed.splits);
        } else if let Some(backfill) = &mut source.backfill {
            backfill.cursor.advance(&closed.splits);
        }
        // Also of an empty epoch: what the reader has held back goes out when nothing more comes.
        let offsets = if main {
            source.main.splits.iter().map(|(id, s)| (id.clone(), s.offset)).collect()
        } else {
            BTreeMap::new()
        };
        if let Some(version) = version {
            shared.keeper.written(&closed.filed);
            if state.epochs.len() == EPOCHS_MAX {
                state.epochs.pop_front();
            }
            state.epochs.push_back(EpochStatus {
                epoch: version.epoch,
                committed_at_us: version.committed_at_us,
                source_name: name,
                rows: closed.rows,
                bad_rows: closed.bad_rows,
                bytes: closed.bytes,
                commit_us: closed.commit_us,
            });
        }
        drop(state);
        shared.notify();
        if !offsets.is_empty() {
            self.reader.committed(&offsets);
        }
        // A full channel means that it has been told already.
        let _ = self.compactor.try_send(());
    }

    fn lost_files(&self, error: &Error) {
        if let Some(shared) = self.shared.upgrade() {
            tracing::warn!(source = self.source, %error, "rows go to the store, and are read again for that");
            shared.keeper.set_without_files(self.source);
        }
    }

    fn ended(&self, cursor: u32, outcome: Result<Stage>) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        let mut state = shared.state();
        let Ok(source) = state.source_mut(self.source) else {
            return;
        };
        let name = &source.record.name;
        let (own, failure) = if cursor == self.source {
            (&mut source.main, &mut source.failure)
        } else {
            match source.backfill.as_mut().filter(|b| b.cursor.id == cursor) {
                Some(backfill) => (&mut backfill.cursor, &mut backfill.failure),
                None => return,
            }
        };
        own.stage = match outcome {
            Ok(stage) => stage,
            Err(error) => {
                let what = if cursor == self.source { "source" } else { "backfill" };
                tracing::error!(source = name, %error, "{what} stopped");
                failure.get_or_insert(error);
                Stage::Stopped
            }
        };
        if let Some(supervisor) = &source.supervisor {
            let _ = supervisor.send(Event::Changed);
        }
        drop(state);
        shared.notify();
        // For what was put off while this went on.
        let _ = self.compactor.try_send(());
    }
}
