//! What a statement takes and gives, without running it.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::DataType as SqlType;

use super::parameter::sql_type;
use super::select::{Pinned, planned};
use super::session::Session;
use super::{explain, insert, show};
use crate::error::Result;
use crate::outcome::{Answer, Described, Outcome};
use crate::parse::{Command, Explain};
use crate::planned::Given;

/// Types of parameters and columns of a command, which stands as `text` in its statement.
pub async fn describe(
    session: &Session,
    (command, text): (&Command, &str),
    hints: &[Option<DataType>],
) -> Result<Described> {
    let given = || -> Result<Vec<Option<SqlType>>> {
        hints.iter().map(|hint| hint.as_ref().map(sql_type).transpose()).collect()
    };
    match command {
        Command::Query(query) => {
            let (planned, _) = planned(session, query, text, Given::Types(hints.to_vec())).await?;
            let (parameters, columns) = (planned.types.clone(), Some(Arc::clone(&planned.schema)));
            Ok(Described { parameters, columns })
        }
        Command::Insert(insert) => {
            let pinned = Pinned::new(session)?;
            let (_, parameters) = insert::plan(session, &pinned, insert, &given()?).await?;
            Ok(Described { parameters, columns: None })
        }
        Command::Explain(Explain::Query { query, .. }) => {
            let pinned = Pinned::new(session)?;
            let (_, parameters) = pinned.plan(query, &given()?).await?;
            Ok(Described { parameters, columns: Some(explain::schema()) })
        }
        Command::Explain(Explain::Route(query)) => {
            let pinned = Pinned::new(session)?;
            let (_, parameters) = pinned.plan(query, &given()?).await?;
            Ok(Described { parameters, columns: Some(explain::route_schema()) })
        }
        Command::Explain(Explain::View(_)) => {
            Ok(Described { parameters: Vec::new(), columns: Some(explain::schema()) })
        }
        Command::Show(what) => Ok(columns_of(show::show(session, what)?)),
        Command::Describe(name) => Ok(columns_of(show::columns(session, name)?)),
        Command::Execute { name, .. } => {
            let prepared = session.prepared(name)?;
            let described = Box::pin(describe(session, (&prepared.command, &prepared.text()), hints)).await?;
            Ok(Described { parameters: Vec::new(), columns: described.columns })
        }
        _ => Ok(Described { parameters: Vec::new(), columns: None }),
    }
}

fn columns_of(outcome: Outcome) -> Described {
    let columns = match outcome.result {
        Answer::Rows { schema, .. } => Some(schema),
        Answer::Done { .. } => None,
    };
    Described { parameters: Vec::new(), columns }
}
