//! The columns of a table: Arrow's types, Iceberg's, and what files hold.
//!
//! A column keeps its id as long as its name; a new one gets the next id that was never used. All are optional.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef, TimeUnit};
use iceberg::spec::{
    NestedField, NullOrder, PartitionSpec, PrimitiveType, Schema, SortDirection, SortField, SortOrder,
    Transform, Type, UnboundPartitionSpec,
};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;
use siltstone_engine::error::{Error, Kind, Result};
use siltstone_engine::lake::{self, TableSpec};

use super::cause::Cause;

const UTC: &str = "+00:00";

/// The columns of a new table, with ids from 1.
pub(super) fn new_schema(columns: &SchemaRef) -> Result<Schema> {
    let fields = columns.fields().iter().zip(1..);
    let fields = fields.map(|(field, id)| column(id, field)).collect::<Result<Vec<_>>>()?;
    Schema::builder().with_fields(fields).build().asking("the columns of the table")
}

/// The columns that a table lacks added, those that are narrower widened; `None` if there is nothing to do.
pub(super) fn evolved(current: &Schema, last_id: i32, columns: &SchemaRef) -> Result<Option<Schema>> {
    let (mut fields, mut last_id) = (current.as_struct().fields().to_vec(), last_id);
    for column_wanted in columns.fields() {
        match fields.iter_mut().find(|field| field.name == *column_wanted.name()) {
            None => {
                last_id += 1;
                fields.push(column(last_id, column_wanted)?);
            }
            Some(field) => {
                let wider = wider(&field.field_type, &primitive(column_wanted)?)
                    .map_err(|error| error.context(format!("the column {}", column_wanted.name())))?;
                if let Some(wider) = wider {
                    let kept =
                        NestedField { field_type: Box::new(Type::Primitive(wider)), ..(**field).clone() };
                    *field = Arc::new(kept);
                }
            }
        }
    }
    if fields == current.as_struct().fields() {
        return Ok(None);
    }
    let schema = Schema::builder().with_schema_id(current.schema_id() + 1).with_fields(fields);
    schema.build().map(Some).asking("the columns of the table")
}

/// What a file of these columns holds, with the ids and types that the table has.
pub(super) fn file_schema(table: &Schema, columns: &SchemaRef) -> Result<SchemaRef> {
    let field = |column: &Arc<Field>| {
        let of_table = table.field_by_name(column.name());
        let of_table = of_table.ok_or_else(|| {
            Error::new(Kind::NotFound, format!("the table has no column {}", column.name()))
        })?;
        let data_type = stored(of_table.field_type.as_primitive_type().ok_or_else(|| unsupported(column))?);
        let id = HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_owned(), of_table.id.to_string())]);
        Ok(Field::new(column.name(), data_type, true).with_metadata(id))
    };
    let fields = columns.fields().iter().map(field).collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(ArrowSchema::new(fields)))
}

/// How a new table is cut.
pub(super) fn partition_spec(schema: &Schema, spec: &TableSpec) -> Result<UnboundPartitionSpec> {
    let mut builder = UnboundPartitionSpec::builder();
    if let Some(partition) = spec.partition {
        let source = field_at(schema, partition.column)?;
        let transform = match partition.transform {
            lake::Transform::Day => Transform::Day,
            lake::Transform::Month => Transform::Month,
            lake::Transform::Year => Transform::Year,
        };
        let mut name = format!("{}_{}", source.name, partition.transform.name());
        while schema.field_by_name(&name).is_some() {
            name.push('_');
        }
        builder =
            builder.add_partition_field(source.id, name, transform).asking("the partitions of the table")?;
    }
    Ok(builder.build())
}

/// The transform of the one field of a table's partitions, if it is one of ours.
pub(super) fn transform(spec: &PartitionSpec) -> Option<lake::Transform> {
    Some(match spec.fields().first()?.transform {
        Transform::Day => lake::Transform::Day,
        Transform::Month => lake::Transform::Month,
        Transform::Year => lake::Transform::Year,
        _ => return None,
    })
}

/// How the files of a new table are sorted.
pub(super) fn sort_order(schema: &Schema, spec: &TableSpec) -> Result<SortOrder> {
    let mut order = SortOrder::builder();
    for &place in &spec.sort {
        order.with_sort_field(SortField {
            source_id: field_at(schema, place)?.id,
            transform: Transform::Identity,
            direction: SortDirection::Ascending,
            null_order: NullOrder::First,
        });
    }
    order.build(schema).asking("the order of the table")
}

fn field_at(schema: &Schema, place: usize) -> Result<&NestedField> {
    let field = schema.as_struct().fields().get(place);
    field.map(|field| &**field).ok_or_else(|| Error::invalid(format!("the table has no column at {place}")))
}

fn column(id: i32, field: &Field) -> Result<Arc<NestedField>> {
    Ok(Arc::new(NestedField::optional(id, field.name(), Type::Primitive(primitive(field)?))))
}

fn primitive(field: &Field) -> Result<PrimitiveType> {
    Ok(match field.data_type() {
        DataType::Boolean => PrimitiveType::Boolean,
        DataType::Int16 | DataType::Int32 => PrimitiveType::Int,
        DataType::Int64 => PrimitiveType::Long,
        DataType::Float32 => PrimitiveType::Float,
        DataType::Float64 => PrimitiveType::Double,
        DataType::Decimal128(precision, scale @ 0..) => PrimitiveType::Decimal {
            precision: u32::from(*precision),
            scale: u32::from(scale.unsigned_abs()),
        },
        DataType::Utf8 => PrimitiveType::String,
        DataType::Binary => PrimitiveType::Binary,
        DataType::Date32 => PrimitiveType::Date,
        DataType::Time64(TimeUnit::Microsecond) => PrimitiveType::Time,
        DataType::Timestamp(TimeUnit::Microsecond, None) => PrimitiveType::Timestamp,
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if **zone == *UTC || **zone == *"UTC" => {
            PrimitiveType::Timestamptz
        }
        _ => return Err(unsupported(field)),
    })
}

fn unsupported(field: &Field) -> Error {
    Error::new(
        Kind::Unsupported,
        format!("a lake has no type for column {} {}", field.name(), field.data_type()),
    )
}

/// What files hold for a type of the table.
fn stored(of_table: &PrimitiveType) -> DataType {
    match of_table {
        PrimitiveType::Boolean => DataType::Boolean,
        PrimitiveType::Int => DataType::Int32,
        PrimitiveType::Long => DataType::Int64,
        PrimitiveType::Float => DataType::Float32,
        PrimitiveType::Double => DataType::Float64,
        PrimitiveType::Decimal { precision, scale } => {
            let small = |n: u32| u8::try_from(n).expect("a decimal has at most 38 digits");
            DataType::Decimal128(small(*precision), small(*scale).cast_signed())
        }
        PrimitiveType::String => DataType::Utf8,
        PrimitiveType::Date => DataType::Date32,
        PrimitiveType::Time => DataType::Time64(TimeUnit::Microsecond),
        PrimitiveType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        PrimitiveType::Timestamptz => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
        _ => DataType::Binary,
    }
}

/// The type to widen to, by the format's rules; `None` if what there is holds all that is wanted.
fn wider(current: &Type, wanted: &PrimitiveType) -> Result<Option<PrimitiveType>> {
    use PrimitiveType::{Decimal, Double, Float, Int, Long};
    let Type::Primitive(current) = current else {
        return Err(Error::invalid("it is not of a plain type"));
    };
    match (current, wanted) {
        (current, wanted) if current == wanted => Ok(None),
        (Long, Int) | (Double, Float) => Ok(None),
        (Int, Long) => Ok(Some(Long)),
        (Float, Double) => Ok(Some(Double)),
        (Decimal { precision, scale }, Decimal { precision: digits, scale: places }) if scale == places => {
            Ok((digits > precision).then(|| wanted.clone()))
        }
        _ => Err(Error::invalid(format!("it is {current} and cannot become {wanted}"))),
    }
}
