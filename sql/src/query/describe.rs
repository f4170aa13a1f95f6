//! What a statement takes and gives, without running it.

use arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::DataType as SqlType;

use super::parameter::sql_type;
use super::select::Pinned;
use super::session::Session;
use super::{explain, insert, show};
use crate::error::Result;
use crate::outcome::{Answer, Described, Outcome};
use crate::parse::{Command, Explain};

/// Types of parameters and columns.
pub async fn describe(session: &Session, command: &Command, hints: &[Option<DataType>]) -> Result<Described> {
    let given: Vec<Option<SqlType>> =
        hints.iter().map(|hint| hint.as_ref().map(sql_type).transpose()).collect::<Result<_>>()?;
    match command {
        Command::Query(query) => {
            let pinned = Pinned::new(session)?;
            let (plan, parameters) = pinned.plan(query, &given).await?;
            let plan = if parameters.is_empty() { plan } else { resolved(plan, &parameters)? };
            let columns = pinned.presented(query, plan.schema().as_arrow());
            Ok(Described { parameters, columns: Some(columns) })
        }
        Command::Insert(insert) => {
            let pinned = Pinned::new(session)?;
            let (_, parameters) = insert::plan(session, &pinned, insert, &given).await?;
            Ok(Described { parameters, columns: None })
        }
        Command::Explain(Explain::Query { query, .. }) => {
            let pinned = Pinned::new(session)?;
            let (_, parameters) = pinned.plan(query, &given).await?;
            Ok(Described { parameters, columns: Some(explain::schema()) })
        }
        Command::Explain(Explain::View(_)) => {
            Ok(Described { parameters: Vec::new(), columns: Some(explain::schema()) })
        }
        Command::Show(what) => Ok(columns_of(show::show(session, what)?)),
        Command::Describe(name) => Ok(columns_of(show::columns(session, name)?)),
        Command::Execute { name, .. } => {
            let prepared = session.prepared(name)?;
            let described = Box::pin(describe(session, &prepared.command, hints)).await?;
            Ok(Described { parameters: Vec::new(), columns: described.columns })
        }
        _ => Ok(Described { parameters: Vec::new(), columns: None }),
    }
}

/// The plan with its parameters' types known throughout.
fn resolved(
    plan: datafusion::logical_expr::LogicalPlan,
    types: &[DataType],
) -> Result<datafusion::logical_expr::LogicalPlan> {
    let nulls = vec![crate::outcome::Value::Null; types.len()];
    super::parameter::bind(plan, types, &nulls)
}

fn columns_of(outcome: Outcome) -> Described {
    let columns = match outcome.result {
        Answer::Rows { schema, .. } => Some(schema),
        Answer::Done { .. } => None,
    };
    Described { parameters: Vec::new(), columns }
}
