//! A compiled source, table or view.

use datafusion::arrow::datatypes::SchemaRef;
use siltstone_engine::connector::SourceDefinition;

use crate::parse::{CreateSource, CreateView};
use crate::plan::{CompiledView, Reads};

/// What a name in schema `public` stands for.
#[derive(Clone, Debug)]
pub enum Relation {
    Source(SourceRelation),
    View(ViewRelation),
}

#[derive(Clone, Debug)]
pub struct SourceRelation {
    pub id: u32,
    pub create: CreateSource,
    pub definition: SourceDefinition,
    pub schema: SchemaRef,
}

#[derive(Clone, Debug)]
pub struct ViewRelation {
    pub id: u32,
    pub create: CreateView,
    pub compiled: CompiledView,
}

impl Relation {
    pub fn id(&self) -> u32 {
        match self {
            Self::Source(source) => source.id,
            Self::View(view) => view.id,
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Self::Source(source) => &source.create.name,
            Self::View(view) => &view.create.name,
        }
    }

    /// What a view over it needs to know.
    pub fn as_read(&self) -> Reads<'_> {
        Reads { id: self.id(), retain: self.source().and_then(|source| source.create.retain.as_ref()) }
    }

    /// `SOURCE`, `TABLE` or `MATERIALIZED VIEW`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Source(source) => source.create.kind(),
            Self::View(_) => "MATERIALIZED VIEW",
        }
    }

    /// The text it was created with, in its canonical form.
    pub fn text(&self) -> String {
        match self {
            Self::Source(source) => source.create.canonical(),
            Self::View(view) => view.create.canonical(),
        }
    }

    /// The columns that queries see.
    pub fn schema(&self) -> &SchemaRef {
        match self {
            Self::Source(source) => &source.schema,
            Self::View(view) => &view.compiled.schema,
        }
    }

    pub fn source(&self) -> Option<&SourceRelation> {
        match self {
            Self::Source(source) => Some(source),
            Self::View(_) => None,
        }
    }

    pub fn view(&self) -> Option<&ViewRelation> {
        match self {
            Self::View(view) => Some(view),
            Self::Source(_) => None,
        }
    }
}
