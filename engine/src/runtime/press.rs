//! The groups of an epoch, pressed into runs: the workers' tables merged, sorted, encoded and written, and the
//! views that no event feeds derived from those that events do. One level of the lattice after the other, each
//! by several threads: first they take whole tables to merge and sort, then stretches of blocks to encode.

mod writing;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crossbeam::channel::{Sender, bounded};

use crate::clock;
use crate::dataflow::GraphSpec;
use crate::error::{Error, Kind, Result};
use crate::lsm::{Block, RunRecord, Store};
use crate::rollup::{Derivation, Drain, Feed, GroupTable};
use writing::{Stretch, Writing};

/// Blocks that a thread encodes one after the other. What they hold of a coarser view's keys is found in the
/// cache.
const STRETCH_BLOCKS: usize = 16;

/// Encoded stretches that wait to be written before encoding waits. An epoch of fewer is written afterwards.
const STRETCHES_WAITING_MAX: usize = 8;

/// Tables of the same view, by its place in the graph's list.
type Tables = BTreeMap<usize, Vec<GroupTable>>;

/// Presses as [`press`] does while the epoch's files in the lake, if there are any, are made durable: a disk takes
/// its time for that and leaves the cores to the other. The second answer is whether files were lost.
pub fn press_beside_sync(
    store: &Store,
    graph: &GraphSpec,
    groups: BTreeMap<u32, Vec<GroupTable>>,
    threads: usize,
    files: Option<(&str, &[String])>,
) -> (Result<Vec<RunRecord>>, bool) {
    let press = || press(store, graph, groups, threads);
    let Some((location, paths)) = files else { return (press(), false) };
    let lost = AtomicBool::new(false);
    let sync = || {
        let synced = store.lake().and_then(|lake| lake.sync(location, paths));
        lost.store(synced.is_err(), Ordering::Release);
        synced
    };
    let pressed = clock::beside(sync, press).map(|((), runs)| runs);
    (pressed, lost.into_inner())
}

/// Presses the tables of the views that saw events, given by their ids. The runs are part of the store once
/// their records are committed.
fn press(
    store: &Store,
    graph: &GraphSpec,
    groups: BTreeMap<u32, Vec<GroupTable>>,
    threads: usize,
) -> Result<Vec<RunRecord>> {
    let mut level = Tables::new();
    for (id, tables) in groups {
        let place = graph.views.iter().position(|v| v.id == id);
        let place = place.ok_or_else(|| {
            Error::corrupt(format!("groups of view {id}, which the pipeline does not feed"))
        })?;
        level.insert(place, tables);
    }
    let mut runs = Vec::new();
    while !level.is_empty() {
        let sorted = sort(level, threads)?;
        let views = sorted.iter().map(|(place, drain)| (*place, graph.views[*place].id, drain.blocks()));
        let mut writing = Writing::new(store, views);
        let stretches = stretches(&sorted);
        let (out, encoded) = bounded(STRETCHES_WAITING_MAX);
        level = if stretches.len() <= STRETCHES_WAITING_MAX {
            let next = encode(graph, stretches, threads, out)?;
            encoded.into_iter().try_for_each(|stretch| writing.put(stretch))?;
            next
        } else {
            let write = || encoded.into_iter().try_for_each(|stretch| writing.put(stretch));
            clock::beside(|| encode(graph, stretches, threads, out), write)?.0
        };
        runs.extend(writing.finish()?);
    }
    Ok(runs)
}

/// Merges and sorts the tables of each view.
fn sort(level: Tables, threads: usize) -> Result<Vec<(usize, Drain)>> {
    let mut waiting: Vec<_> = level.into_iter().collect();
    // The largest first, so that no thread is left with it at the end.
    waiting.sort_by_key(|(_, tables)| tables.iter().map(GroupTable::len).sum::<usize>());
    let threads = threads.clamp(1, waiting.len());
    let (waiting, sorted) = (Mutex::new(waiting), Mutex::new(Vec::new()));
    clock::in_parallel(threads, || {
        while let Some((place, tables)) = take(&waiting) {
            if let Some(table) = merge(tables)? {
                put(&sorted, [(place, table.drain())]);
            }
        }
        Ok(())
    })?;
    Ok(sorted.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// One table of all workers' groups.
fn merge(mut tables: Vec<GroupTable>) -> Result<Option<GroupTable>> {
    tables.sort_by_key(GroupTable::len);
    let Some(mut all) = tables.pop() else {
        return Ok(None);
    };
    tables.into_iter().try_for_each(|table| all.absorb(table))?;
    Ok(Some(all))
}

/// Blocks of views that are encoded one after the other: the view's place, its groups, and which blocks.
fn stretches(sorted: &[(usize, Drain)]) -> Vec<(usize, &Drain, Range<usize>)> {
    let stretches = sorted.iter().flat_map(|(place, drain)| {
        let starts = (0..drain.blocks()).step_by(STRETCH_BLOCKS);
        starts.map(move |start| (*place, drain, start..drain.blocks().min(start + STRETCH_BLOCKS)))
    });
    stretches.collect()
}

/// Encodes sorted views; the answer is what their groups are for the views that they feed.
fn encode(
    graph: &GraphSpec,
    mut stretches: Vec<(usize, &Drain, Range<usize>)>,
    threads: usize,
    out: Sender<Stretch>,
) -> Result<Tables> {
    // Those that are written first are taken first.
    stretches.reverse();
    let threads = threads.clamp(1, stretches.len().max(1));
    let (waiting, fed) = (Mutex::new(stretches), Mutex::new(Vec::new()));
    clock::in_parallel(threads, || {
        let mut tables = BTreeMap::new();
        while let Some((place, drain, range)) = take(&waiting) {
            let first = range.start;
            let blocks = stretch(graph, place, drain, range, &mut tables)?;
            let written = out.send(Stretch { place, first, blocks });
            written.map_err(|_| Error::new(Kind::Closed, "blocks are no longer written"))?;
        }
        put(&fed, tables);
        Ok(())
    })?;
    let mut level = Tables::new();
    for (to, table) in fed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        level.entry(to).or_default().push(table);
    }
    Ok(level)
}

/// Encodes some blocks of a view, and merges their groups into those of the views that it feeds.
fn stretch(
    graph: &GraphSpec,
    place: usize,
    drain: &Drain,
    range: Range<usize>,
    tables: &mut BTreeMap<usize, GroupTable>,
) -> Result<Vec<Block>> {
    let layout = &graph.views[place].layout;
    let fed: Vec<(usize, &Derivation)> = (graph.feeds.iter().enumerate())
        .filter_map(|(to, feed)| match feed {
            Feed::View(derivation) if derivation.from == place => Some((to, derivation)),
            _ => None,
        })
        .collect();
    let mut blocks = Vec::with_capacity(range.len());
    for i in range {
        let batch = drain.block(i)?;
        for &(to, derivation) in &fed {
            let table = tables
                .entry(to)
                .or_insert_with(|| GroupTable::with(graph.views[to].layout.clone(), &graph.dictionaries(to)));
            table.derive(&batch, layout, derivation)?;
        }
        blocks.push(Block::sorted(&batch, layout)?);
    }
    Ok(blocks)
}

fn take<T>(waiting: &Mutex<Vec<T>>) -> Option<T> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

fn put<T>(done: &Mutex<Vec<T>>, more: impl IntoIterator<Item = T>) {
    done.lock().unwrap_or_else(PoisonError::into_inner).extend(more);
}
