//! A worker's operators as a tree, and how packets and barriers move through it.

use std::sync::Arc;

use super::Emission;
use super::decode::Decode;
use super::fold::{Fold, FoldSpec};
use super::keep::Keep;
use super::operator::{Metrics, Operator, Output, Packet};
use super::project::Project;
use crate::clock;
use crate::connector::{Decoder, Payload, SourceDefinition};
use crate::error::Result;

/// What a graph is built from.
#[derive(Clone, Debug)]
pub struct GraphSpec {
    pub definition: Arc<SourceDefinition>,
    pub views: Vec<FoldSpec>,
    /// Keep the rows themselves.
    pub keeps_rows: bool,
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
    /// decode → project → fold, for each view, and keep.
    pub fn new(spec: &GraphSpec, decoder: Box<dyn Decoder>) -> Result<Self> {
        let mut graph = Self { nodes: Vec::new(), top: 0, rows: 0 };
        let mut above = graph.add(None, "decode", Box::new(Decode { decoder }));
        if let Some(project) = Project::new(&spec.definition) {
            above = graph.add(Some(above), "project", Box::new(project));
        }
        graph.top = above;
        if spec.keeps_rows {
            graph.add(Some(above), "keep", Box::<Keep>::default());
        }
        for view in &spec.views {
            let name = format!("fold {}", view.definition.name);
            graph.add(Some(above), name, Box::new(Fold::new(view.clone())?));
        }
        Ok(graph)
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
