//! A worker's operators as a tree, and how packets and barriers move through it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Emission;
use super::decode::Decode;
use super::fold::{Fold, FoldSpec};
use super::keep::{Keep, RowFiles};
use super::key::{KeyCoder, KeyColumns};
use super::operator::{Metrics, Operator, Output, Packet};
use super::paired::Pairs;
use super::project::Project;
use crate::clock;
use crate::connector::{Decoder, Payload, SourceDefinition};
use crate::error::Result;
use crate::rollup::{Dictionaries, Feed, lattice};

/// What a graph is built from, the same for all workers of a pipeline.
#[derive(Clone, Debug)]
pub struct GraphSpec {
    pub definition: Arc<SourceDefinition>,
    /// All views that the pipeline keeps current.
    pub views: Vec<FoldSpec>,
    /// For each view, whether events are folded into it or the groups of another.
    pub feeds: Vec<Feed>,
    /// Keep the rows themselves.
    pub keeps_rows: bool,
    /// Where many rows go that come at once.
    pub files: Option<Arc<dyn RowFiles>>,
    keys: Arc<KeyColumns>,
    /// For each view, where its keys are among the key columns.
    places: Vec<Option<Vec<usize>>>,
    /// For each view, the tables that workers share.
    pairs: Vec<Arc<Pairs>>,
}

impl GraphSpec {
    pub fn new(definition: Arc<SourceDefinition>, views: Vec<FoldSpec>, keeps_rows: bool) -> Self {
        let definitions: Vec<_> = views.iter().map(|v| v.definition.clone()).collect();
        let mut keys = KeyColumns::default();
        let places = definitions.iter().map(|view| keys.add(view)).collect();
        let feeds = lattice(&definitions);
        let pairs = views.iter().map(|_| Arc::default()).collect();
        Self { definition, views, feeds, keeps_rows, files: None, keys: Arc::new(keys), places, pairs }
    }

    /// The dictionaries of view `i`, which all tables of the pipeline share.
    pub fn dictionaries(&self, i: usize) -> Dictionaries {
        self.places[i].as_ref().map(|places| self.keys.dictionaries(places)).unwrap_or_default()
    }

    /// For each physical column, whether anybody reads it.
    pub fn wanted(&self) -> Vec<bool> {
        let physical: Vec<usize> = (self.definition.columns.iter().enumerate())
            .filter_map(|(i, column)| column.generated.is_none().then_some(i))
            .collect();
        if self.keeps_rows {
            return vec![true; physical.len()];
        }
        let mut wanted = vec![false; physical.len()];
        // A generated column reads physical ones, a view all of them.
        for expression in self.definition.columns.iter().filter_map(|c| c.generated.as_ref()) {
            match expression.columns() {
                Some(columns) => columns.iter().for_each(|&i| wanted[i] = true),
                None => wanted.fill(true),
            }
        }
        let buckets = self.views.iter().flat_map(|v| &v.definition.keys).filter_map(|k| k.bucket);
        let mut read: BTreeSet<usize> = buckets.map(|b| b.column).collect();
        for expression in self.views.iter().flat_map(|v| v.definition.expressions()) {
            match (expression.column(), expression.columns()) {
                (Some(column), _) => read.extend([column]),
                (None, Some(columns)) => read.extend(columns),
                (None, None) => read.extend(physical.iter().copied()),
            }
        }
        for (wanted, column) in wanted.iter_mut().zip(&physical) {
            *wanted |= read.contains(column);
        }
        wanted
    }
}

/// Operators in an order in which each stands behind the one that feeds it.
pub struct Graph {
    nodes: Vec<Node>,
    /// The node whose output are the source's good rows.
    top: usize,
    rows: u64,
}

struct Node {
    operator: Box<dyn Operator>,
    below: Vec<usize>,
    metrics: Arc<Metrics>,
}

impl Graph {
    /// decode → project → fold, for each view that sees events, and keep; for the worker of that number.
    pub fn new(spec: &GraphSpec, worker: usize, decoder: Box<dyn Decoder>) -> Self {
        let mut graph = Self { nodes: Vec::new(), top: 0, rows: 0 };
        let mut above = graph.add(None, "decode", Box::new(Decode { decoder }));
        if let Some(project) = Project::new(&spec.definition) {
            above = graph.add(Some(above), "project", Box::new(project));
        }
        graph.top = above;
        if spec.keeps_rows {
            graph.add(Some(above), "keep", Box::new(Keep::new(spec.definition.schema(), spec.files.clone())));
        }
        let coder = Arc::new(KeyCoder::new(spec.keys.clone()));
        for (i, view) in spec.views.iter().enumerate().filter(|(i, _)| spec.feeds[*i] == Feed::Events) {
            let name = format!("fold {}", view.definition.name);
            let (places, dictionaries) = (spec.places[i].clone(), spec.dictionaries(i));
            let pairs = spec.pairs[i].clone();
            let fold = Fold::new(view.clone(), coder.clone(), places, dictionaries, pairs, worker);
            graph.add(Some(above), name, Box::new(fold));
        }
        // The two of a pair come to their common tables from different ends.
        if worker % 2 == 1 {
            graph.nodes[above].below.reverse();
        }
        graph
    }

    fn add(&mut self, above: Option<usize>, name: impl Into<String>, operator: Box<dyn Operator>) -> usize {
        let node = self.nodes.len();
        if let Some(above) = above {
            self.nodes[above].below.push(node);
        }
        self.nodes.push(Node { operator, below: Vec::new(), metrics: Metrics::new(name) });
        node
    }

    /// Sends a payload through; the answer is what left the graph on the way.
    pub fn push(&mut self, payload: Payload) -> Result<Vec<Emission>> {
        let mut emissions = Vec::new();
        self.send(0, Packet::Payload(Arc::new(payload)), &mut emissions)?;
        Ok(emissions)
    }

    /// Ends an epoch; the answer is all that belongs to it and has not left yet.
    pub fn barrier(&mut self) -> Result<Vec<Emission>> {
        let mut emissions = Vec::new();
        for i in 0..self.nodes.len() {
            let mut out = Output::default();
            let node = &mut self.nodes[i];
            let start = clock::now();
            node.operator.barrier(&mut out)?;
            node.metrics.add(0, micros(start), 0);
            emissions.append(&mut out.emissions);
            let below = node.below.clone();
            self.forward(&below, out.packets, &mut emissions)?;
        }
        Ok(emissions)
    }

    fn send(&mut self, to: usize, packet: Packet, emissions: &mut Vec<Emission>) -> Result<()> {
        let mut out = Output::default();
        let node = &mut self.nodes[to];
        let rows = packet.rows();
        let start = clock::now();
        node.operator.process(packet, &mut out)?;
        node.metrics.add(rows, micros(start), 0);
        emissions.append(&mut out.emissions);
        let below = node.below.clone();
        if to == self.top {
            self.rows += out.packets.iter().map(Packet::rows).sum::<u64>();
        }
        self.forward(&below, out.packets, emissions)
    }

    fn forward(
        &mut self,
        below: &[usize],
        packets: Vec<Packet>,
        emissions: &mut Vec<Emission>,
    ) -> Result<()> {
        for packet in packets {
            for &to in below {
                self.send(to, packet.clone(), emissions)?;
            }
        }
        Ok(())
    }

    /// Good rows since the last call.
    pub fn take_rows(&mut self) -> u64 {
        std::mem::take(&mut self.rows)
    }

    /// Bytes of state in all operators.
    pub fn bytes(&self) -> usize {
        self.nodes.iter().map(|n| n.operator.bytes()).sum()
    }

    /// One for each operator, in graph order.
    pub fn metrics(&self) -> Vec<Arc<Metrics>> {
        self.nodes.iter().map(|n| n.metrics.clone()).collect()
    }
}

pub(super) fn micros(start: std::time::Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}
