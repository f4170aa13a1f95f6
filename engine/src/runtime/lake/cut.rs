//! Rows cut where the partition changes.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Date32Type, TimeUnit, TimestampMicrosecondType};

use crate::error::{Error, Kind, Result};
use crate::lake::{Partition, Transform};

/// For each row the partition that it belongs to.
pub fn partitions(column: &ArrayRef, transform: Transform) -> Result<Vec<Option<i32>>> {
    Ok(match column.data_type() {
        DataType::Date32 => {
            let days = column.as_primitive::<Date32Type>();
            days.iter().map(|day| day.map(|day| transform.of_days(day))).collect()
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let times = column.as_primitive::<TimestampMicrosecondType>();
            // Neighbours mostly have the same one.
            let mut last = (i64::MIN, None);
            let mut of = |us: i64| {
                let day = us.div_euclid(86_400_000_000);
                if last.0 != day {
                    last = (day, Some(transform.of_micros(us)));
                }
                last.1
            };
            times.iter().map(|us| us.and_then(&mut of)).collect()
        }
        other => {
            let message = format!("a partition by a column of type {other}");
            return Err(Error::new(Kind::Unsupported, message));
        }
    })
}

/// The batch in slices of one partition each, in its order.
pub fn cut(batch: &RecordBatch, partition: Option<Partition>) -> Result<Vec<(Option<i32>, RecordBatch)>> {
    let Some(partition) = partition else { return Ok(vec![(None, batch.clone())]) };
    let values = partitions(batch.column(partition.column), partition.transform)?;
    let mut start = 0;
    let slices = values.chunk_by(|a, b| a == b).map(|chunk| {
        let slice = batch.slice(start, chunk.len());
        start += chunk.len();
        (chunk[0], slice)
    });
    Ok(slices.collect())
}
