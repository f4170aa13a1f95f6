//! What is defined: names and compiled relations, rebuilt from the stored texts when a directory is opened.
//!
//! A catalog is immutable; a definition makes a new one. Whoever holds one sees the same names throughout.

pub mod difference;
mod relation;
mod schema;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use relation::{Relation, SourceRelation, ViewRelation};
pub use schema::{over_sources, single};

use crate::error::{Error, Result, sqlstate};
use crate::nearest::nearest;

/// All relations of schema `public` by name.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    relations: BTreeMap<String, Arc<Relation>>,
}

impl Catalog {
    pub fn get(&self, name: &str) -> Option<&Arc<Relation>> {
        self.relations.get(name)
    }

    /// # Errors
    /// 42P01 with the nearest name.
    pub fn find(&self, name: &str) -> Result<&Arc<Relation>> {
        self.get(name).ok_or_else(|| self.unknown(name))
    }

    /// That there is no such relation.
    pub fn unknown(&self, name: &str) -> Error {
        let near = nearest(name, self.relations.keys().map(String::as_str));
        Error::new(sqlstate::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"))
            .with_hint_if(near.map(|near| format!("did you mean \"{near}\"?")))
    }

    /// Adds the nearest name to an error that says that a relation does not exist.
    pub fn named(&self, error: Error) -> Error {
        let name = error
            .message()
            .strip_prefix("relation \"")
            .and_then(|rest| rest.strip_suffix("\" does not exist"));
        match name.map(str::to_owned) {
            Some(name) if error.sqlstate() == sqlstate::UNDEFINED_TABLE && error.hint().is_none() => {
                self.unknown(&name).at(error.place())
            }
            _ => error,
        }
    }

    /// All, by name.
    pub fn relations(&self) -> impl Iterator<Item = &Arc<Relation>> {
        self.relations.values()
    }

    /// The relation of that id.
    pub fn by_id(&self, id: u32) -> Option<&Arc<Relation>> {
        self.relations().find(|relation| relation.id() == id)
    }

    /// The names of the views that read a source.
    pub fn views_of(&self, source: u32) -> Vec<String> {
        let views = self.relations().filter_map(|relation| relation.view());
        let views = views.filter(|view| view.compiled.definition.source == source);
        views.map(|view| view.create.name.clone()).collect()
    }

    #[must_use]
    pub fn with(&self, relation: Relation) -> Self {
        let mut relations = self.relations.clone();
        relations.insert(relation.name().to_owned(), Arc::new(relation));
        Self { relations }
    }

    #[must_use]
    pub fn without(&self, name: &str) -> Self {
        let mut relations = self.relations.clone();
        relations.remove(name);
        Self { relations }
    }
}
