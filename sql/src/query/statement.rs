//! What each statement does, over its session.

use std::sync::Arc;

use arrow::array::Array;
use arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::Expr;
use futures::TryStreamExt;
use tokio::task::spawn_blocking;

use super::session::Session;
use super::{describe, explain, insert, select, show};
use crate::database::Database;
use crate::definition::{self, Existing};
use crate::error::{Error, Result, sqlstate};
use crate::outcome::{Answer, Described, Notice, Outcome, Value};
use crate::parse::{self, Command, Statement};
use crate::planned::Given;

impl Session {
    /// Splits and parses a text; one element for each statement, empty ones left out.
    ///
    /// # Errors
    /// 42601 with the position in the text, or 0A000 with the name of what is not there.
    #[allow(clippy::unused_self, reason = "what parses may come to depend on the session")]
    pub fn parse(&self, sql: &str) -> Result<Vec<Statement>> {
        parse::parse(sql)
    }

    /// Runs one statement. Dropping the future or the rows ends the work.
    pub async fn execute(&self, statement: &Statement, parameters: &[Value]) -> Result<Outcome> {
        self.run(statement, parameters, Existing::Refuse).await
    }

    /// As [`Session::execute`], for a script that is run again: a `CREATE` of what exists does nothing if the
    /// definition is the same, and names the differences if it is not.
    pub async fn apply(&self, statement: &Statement) -> Result<Outcome> {
        self.run(statement, &[], Existing::Compare).await
    }

    /// The types of a statement's parameters and of its columns. `hints` are types that the client gave.
    pub async fn describe(&self, statement: &Statement, hints: &[Option<DataType>]) -> Result<Described> {
        describe::describe(self, (statement.command(), statement.text()), hints)
            .await
            .map_err(|e| statement.locate(e))
    }

    async fn run(&self, statement: &Statement, parameters: &[Value], existing: Existing) -> Result<Outcome> {
        self.dispatch(statement, parameters, existing).await.map_err(|error| statement.locate(error))
    }

    async fn dispatch(
        &self,
        statement: &Statement,
        parameters: &[Value],
        existing: Existing,
    ) -> Result<Outcome> {
        let mut early = Vec::new();
        if matches!(
            statement.command(),
            Command::CreateSource(_)
                | Command::CreateView(_)
                | Command::Alter(_)
                | Command::Drop(_)
                | Command::Insert(_)
        ) {
            early.extend(self.write_in_block());
        }
        let mut outcome = match statement.command() {
            Command::Query(query) => {
                let given = Given::Types(parameters.iter().map(select::given_of).collect());
                select::query(self, (query, statement.text()), given, parameters).await
            }
            Command::Insert(insert) => insert::insert(self, insert, &[], parameters).await,
            Command::Explain(what) => explain::explain(self, what, parameters).await,
            Command::CreateSource(create) => {
                let create = create.clone();
                let tag = format!("CREATE {}", create.kind());
                self.blocking(tag, move |database| definition::create_source(database, &create, existing))
                    .await
            }
            Command::CreateView(create) => {
                let create = create.clone();
                let tag = "CREATE MATERIALIZED VIEW".to_owned();
                self.blocking(tag, move |database| definition::create_view(database, &create, existing)).await
            }
            Command::Drop(drop) => {
                let drop = drop.clone();
                let tag = format!("DROP {}", drop.kind);
                self.blocking(tag, move |database| definition::drop(database, &drop)).await
            }
            Command::Alter(alter) => {
                let alter = alter.clone();
                let tag = format!("ALTER {}", alter.kind);
                self.blocking(tag, move |database| definition::alter(database, &alter)).await
            }
            Command::Optimize(name) => {
                let (name, tag) = (name.clone(), "OPTIMIZE".to_owned());
                self.blocking(tag, move |database| definition::optimize(database, name.as_ref())).await
            }
            Command::Show(what) => show::show(self, what),
            Command::Describe(name) => show::columns(self, name),
            Command::Execute { name, arguments } => self.execute_prepared(name, arguments).await,
            Command::Set { name, value } => self.change(name, value),
            Command::Reset(name) => self.reset(name.as_deref()),
            Command::Transaction(tag) => Ok(self.transaction(tag)),
            Command::DiscardAll => Ok(self.discard()),
            Command::Prepare { name, types, statement } => {
                self.prepare(name.clone(), types.clone(), Command::clone(statement))
            }
            Command::Deallocate(name) => self.deallocate(name.as_deref()),
        }?;
        outcome.notices.splice(0..0, early);
        Ok(outcome)
    }

    /// Runs what waits for the disk off the async threads. Once begun it is carried through.
    async fn blocking(
        &self,
        tag: String,
        work: impl FnOnce(&Database) -> Result<Vec<Notice>> + Send + 'static,
    ) -> Result<Outcome> {
        let database = Arc::clone(&self.database);
        let done = spawn_blocking(move || work(&database)).await;
        let notices =
            done.map_err(|e| Error::new(sqlstate::INTERNAL, format!("the statement broke off: {e}")))??;
        Ok(Outcome::done(tag, notices))
    }

    async fn execute_prepared(&self, name: &str, arguments: &[Expr]) -> Result<Outcome> {
        let prepared = self.prepared(name)?;
        let values = evaluate(self, arguments).await?;
        match &prepared.command {
            Command::Query(query) => {
                let given = match prepared.types.as_slice() {
                    [] => Given::Types(values.iter().map(select::given_of).collect()),
                    types => Given::Named(types.to_vec()),
                };
                select::query(self, (query, &prepared.text()), given, &values).await
            }
            Command::Insert(insert) => insert::insert(self, insert, &prepared.types, &values).await,
            _ => Err(Error::unsupported("EXECUTE of anything but a query or INSERT")),
        }
    }
}

/// The values of `EXECUTE`'s arguments.
async fn evaluate(session: &Session, arguments: &[Expr]) -> Result<Vec<Value>> {
    if arguments.is_empty() {
        return Ok(Vec::new());
    }
    let items: Vec<String> = arguments.iter().enumerate().map(|(i, e)| format!("{e} AS a{i}")).collect();
    let statements = parse::parse(&format!("SELECT {}", items.join(", ")))?;
    let Some(Command::Query(query)) = statements.first().map(|statement| statement.command().clone()) else {
        return Err(Error::syntax("the arguments of EXECUTE are not values"));
    };
    let (text, given) = (query.to_string(), Given::Types(Vec::new()));
    let outcome = Box::pin(select::query(session, (&query, &text), given, &[])).await?;
    let Answer::Rows { rows, .. } = outcome.result else {
        return Err(Error::syntax("the arguments of EXECUTE are not values"));
    };
    let batches: Vec<_> = rows.try_collect().await?;
    let batch = batches.iter().find(|batch| batch.num_rows() > 0);
    let columns = batch.map(|batch| batch.columns().to_vec()).unwrap_or_default();
    Ok(columns
        .into_iter()
        .map(|column| if column.is_null(0) { Value::Null } else { Value::Scalar(column.slice(0, 1)) })
        .collect())
}
