//! The groups of an epoch, pressed into blocks: the workers' tables merged, the views that no event feeds
//! derived from those that events do, all of it sorted and encoded. Several threads, one view and what
//! hangs on it at a time.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::clock;
use crate::dataflow::GraphSpec;
use crate::error::{Error, Result};
use crate::lsm::Block;
use crate::rollup::{BLOCK_ROWS, Derivation, Feed, GroupTable};

/// The blocks of each view, by its place in the graph's list.
pub type Pressed = BTreeMap<usize, Vec<Block>>;

/// Presses the tables of the views that saw events, given by their ids.
pub fn press(graph: &GraphSpec, groups: BTreeMap<u32, Vec<GroupTable>>, threads: usize) -> Result<Pressed> {
    let mut roots = Vec::with_capacity(groups.len());
    for (id, tables) in groups {
        let place = graph.views.iter().position(|v| v.id == id);
        let place = place.ok_or_else(|| {
            Error::corrupt(format!("groups of view {id}, which the pipeline does not feed"))
        })?;
        roots.push((place, tables));
    }
    // The largest first, so that no thread is left with it at the end.
    roots.sort_by_key(|(_, tables)| tables.iter().map(GroupTable::len).sum::<usize>());
    let threads = threads.clamp(1, roots.len().max(1));
    let (roots, pressed) = (Mutex::new(roots), Mutex::new(Pressed::new()));
    clock::in_parallel(threads, || {
        loop {
            let next = roots.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some((place, tables)) = next else {
                return Ok(());
            };
            let mut blocks = Pressed::new();
            if let Some(table) = merge(tables)? {
                press_view(graph, place, table, &mut blocks)?;
            }
            pressed.lock().unwrap_or_else(PoisonError::into_inner).append(&mut blocks);
        }
    })?;
    Ok(pressed.into_inner().unwrap_or_else(PoisonError::into_inner))
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

/// Encodes a view's groups, and derives the views that it feeds.
fn press_view(graph: &GraphSpec, place: usize, table: GroupTable, pressed: &mut Pressed) -> Result<()> {
    let mut fed: Vec<(usize, &Derivation, GroupTable)> = (graph.feeds.iter().enumerate())
        .filter_map(|(to, feed)| match feed {
            Feed::View(derivation) if derivation.from == place => {
                let layout = graph.views[to].layout.clone();
                Some((to, derivation, GroupTable::with(layout, &graph.dictionaries(to))))
            }
            _ => None,
        })
        .collect();
    let layout = &graph.views[place].layout;
    let mut blocks = Vec::with_capacity(table.len() / BLOCK_ROWS + 1);
    for batch in table.drain() {
        let batch = batch?;
        for (_, derivation, table) in &mut fed {
            table.derive(&batch, layout, derivation)?;
        }
        blocks.push(Block::sorted(&batch, layout)?);
    }
    pressed.insert(place, blocks);
    fed.into_iter().try_for_each(|(to, _, table)| press_view(graph, to, table, pressed))
}
