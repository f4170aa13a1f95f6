//! What a statement gives back.

use std::pin::Pin;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Float64Array, Int16Array, Int32Array, Int64Array, StringArray,
};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use futures::Stream;

use crate::error::Result;

/// Rows as they are made. Dropping it ends the work.
pub type RowStream = Pin<Box<dyn Stream<Item = Result<RecordBatch>> + Send>>;

/// What a statement came to.
#[derive(Debug)]
pub struct Outcome {
    pub notices: Vec<Notice>,
    pub result: Answer,
    /// The epoch that a query saw, or that made an `INSERT` visible.
    pub epoch: Option<u64>,
}

/// Rows, or that it is done.
pub enum Answer {
    Rows { schema: SchemaRef, rows: RowStream, tag: &'static str },
    Done { tag: String },
}

/// A message beside the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// `NOTICE` or `WARNING`.
    pub severity: &'static str,
    pub sqlstate: String,
    pub message: String,
    pub hint: Option<String>,
}

impl Notice {
    pub(crate) fn told(message: impl Into<String>) -> Self {
        Self { severity: "NOTICE", sqlstate: "00000".to_owned(), message: message.into(), hint: None }
    }

    pub(crate) fn warning(message: impl Into<String>) -> Self {
        Self { severity: "WARNING", sqlstate: "01000".to_owned(), message: message.into(), hint: None }
    }

    #[must_use]
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A parameter's value.
#[derive(Clone, Debug)]
pub enum Value {
    Null,
    /// Of length 1.
    Scalar(ArrayRef),
}

macro_rules! value_from {
    ($($native:ty => $array:ty),*) => {$(
        impl From<$native> for Value {
            fn from(value: $native) -> Self {
                Self::Scalar(Arc::new(<$array>::from(vec![value])))
            }
        }
    )*};
}

value_from!(bool => BooleanArray, i16 => Int16Array, i32 => Int32Array, i64 => Int64Array);
value_from!(f32 => Float32Array, f64 => Float64Array, &str => StringArray, String => StringArray);

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A statement's parameters and columns.
#[derive(Clone, Debug)]
pub struct Described {
    /// Of `$1`, `$2`, …
    pub parameters: Vec<DataType>,
    /// `None`: it returns no rows.
    pub columns: Option<SchemaRef>,
}

impl Outcome {
    pub(crate) fn done(tag: impl Into<String>, notices: Vec<Notice>) -> Self {
        Self { notices, result: Answer::Done { tag: tag.into() }, epoch: None }
    }

    /// Rows that are there already.
    pub(crate) fn rows(batch: RecordBatch, tag: &'static str) -> Self {
        let schema = batch.schema();
        let rows: RowStream = Box::pin(futures::stream::once(async move { Ok(batch) }));
        Self { notices: Vec::new(), result: Answer::Rows { schema, rows, tag }, epoch: None }
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rows { schema, tag, .. } => {
                f.debug_struct("Rows").field("schema", schema).field("tag", tag).finish()
            }
            Self::Done { tag } => f.debug_struct("Done").field("tag", tag).finish(),
        }
    }
}
