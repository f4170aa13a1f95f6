//! Generated rows as columns: ad events by column name, made-up values of the column's type otherwise.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use siltstone_engine::error::{Error, Result};

use super::ad::{Event, Generator};
use super::random::Draws;
use super::text::put_number;
use crate::format::Column;

/// Different values of a made-up column.
const VALUES: u64 = 1000;
/// Draws for made-up columns; the column's number is added.
const MADE_UP: u64 = 16;

/// Fills columns for one reader.
pub(super) struct Filler {
    schema: SchemaRef,
    generator: Arc<Generator>,
    seed: u64,
    columns: Vec<(Column, Content)>,
    text: Vec<u8>,
}

/// What a column shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Time,
    Kind,
    Auction,
    Advertiser,
    Publisher,
    Bid,
    User,
    Total,
    Country,
    MadeUp,
}

impl Content {
    /// By name, if the column's type can hold it.
    fn of(name: &str, data_type: &DataType) -> Self {
        let content = match name {
            "ts" => Self::Time,
            "type" => Self::Kind,
            "auction_id" => Self::Auction,
            "advertiser_id" => Self::Advertiser,
            "publisher_id" => Self::Publisher,
            "bid_price" => Self::Bid,
            "user_id" => Self::User,
            "total_price" => Self::Total,
            "country" => Self::Country,
            _ => Self::MadeUp,
        };
        let holds = match content {
            Self::Time => matches!(data_type, DataType::Int64 | DataType::Timestamp(..)),
            Self::Kind | Self::Auction | Self::Country => *data_type == DataType::Utf8,
            Self::Advertiser | Self::Publisher => data_type.is_integer(),
            Self::User => matches!(data_type, DataType::Int32 | DataType::Int64),
            Self::Bid | Self::Total => match data_type {
                DataType::Decimal128(precision, scale) => i16::from(*precision) - i16::from(*scale) >= 3,
                other => other.is_floating(),
            },
            Self::MadeUp => true,
        };
        if holds { content } else { Self::MadeUp }
    }
}

impl Filler {
    pub(super) fn new(schema: &SchemaRef, generator: Arc<Generator>, seed: u64) -> Result<Self> {
        let columns =
            schema.fields().iter().map(|f| Ok((Column::new(f)?, Content::of(f.name(), f.data_type()))));
        let columns = columns.collect::<Result<_>>()?;
        Ok(Self { schema: schema.clone(), generator, seed, columns, text: Vec::new() })
    }

    /// `count` rows, the first of which is event `first`, the others each `step` further.
    pub(super) fn rows(&mut self, first: u64, step: u64, count: usize) -> Result<RecordBatch> {
        for row in 0..count as u64 {
            let index = first + row * step;
            let event = self.generator.event(index);
            for (number, (column, content)) in self.columns.iter_mut().enumerate() {
                self.text.clear();
                let draws = || Draws::at(self.seed, MADE_UP + number as u64, index);
                put(column, *content, &event, &mut self.text, draws)?;
            }
        }
        let arrays: Vec<ArrayRef> =
            self.columns.iter_mut().map(|(c, _)| c.finish()).collect::<Result<_>>()?;
        let rows = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), arrays, &rows)?)
    }
}

fn put(
    column: &mut Column,
    content: Content,
    event: &Event,
    text: &mut Vec<u8>,
    draws: impl FnOnce() -> Draws,
) -> Result<()> {
    let done = match content {
        Content::Time if column.is_timestamp() => column.push_number(event.ts * 1000),
        Content::Time => column.push_number(event.ts),
        Content::Kind => column.push_text(event.kind.as_bytes()),
        Content::Country => column.push_text(event.country.as_bytes()),
        Content::Advertiser => column.push_number(event.advertiser.into()),
        Content::Publisher => column.push_number(event.publisher.into()),
        Content::User => column.push_number(event.user as i64),
        Content::Auction => {
            event.put_auction(text);
            column.push_text(text)
        }
        Content::Bid | Content::Total => {
            if content == Content::Bid {
                event.put_bid(text)
            } else {
                event.put_total(text)
            };
            // A column that must have a value gets zero where an event has none.
            match (text.is_empty(), column.is_nullable()) {
                (true, true) => column.push_null(),
                (true, false) => column.push_text(b"0"),
                (false, _) => column.push_text(text),
            }
        }
        Content::MadeUp => {
            let value = draws().below(VALUES);
            if column.is_text() {
                text.extend_from_slice(column.name().as_bytes());
                text.push(b' ');
                put_number(text, value);
                column.push_text(text)
            } else {
                column.push_number(value as i64)
            }
        }
    };
    done.map_err(|fault| Error::invalid(format!("generating rows: {}", column.reason(text, fault))))
}
