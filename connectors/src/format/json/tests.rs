//! JSON records in, rows and bad rows out; `serde_json::Value` as model.

mod alone;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    DataType, Decimal128Type, Field, Float64Type, Int32Type, Int64Type, Schema, SchemaRef, TimeUnit,
    TimestampMicrosecondType,
};
use arrow::record_batch::RecordBatch;
use proptest::prelude::*;
use serde_json::{Value, json};
use siltstone_engine::connector::{Message, Messages};

use super::*;
use crate::format::{Decoding, conform};

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("n", DataType::Int32, true),
        Field::new("x", DataType::Float64, true),
        Field::new("price", DataType::Decimal128(9, 2), true),
        Field::new("name", DataType::Utf8, true),
        Field::new("ok", DataType::Boolean, true),
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, None), true),
    ]))
}

fn decoder(options: &[(&str, &str)]) -> Box<dyn Decoder> {
    let options: BTreeMap<_, _> = options.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    Decoding::new("json", &options).unwrap().decoder(&schema(), &[true; 7]).unwrap()
}

fn decode(lines: &[u8]) -> Decoded {
    let text = Payload::Text { split: "s".into(), offset: 0, bytes: lines.to_vec() };
    plain(decoder(&[]).decode(&text).unwrap())
}

/// Without dictionaries.
fn plain(decoded: Decoded) -> Decoded {
    Decoded { batch: conform(&decoded.batch, &schema()).unwrap().0, ..decoded }
}

/// One record that is good.
fn good(record: &str) -> RecordBatch {
    let decoded = decode(record.as_bytes());
    assert!(decoded.bad.is_empty(), "{record}: {:?}", decoded.bad);
    assert_eq!(decoded.batch.num_rows(), 1, "{record}");
    decoded.batch
}

/// The reason of one that is not.
fn reason(record: impl AsRef<[u8]>) -> String {
    let decoded = decode(record.as_ref());
    let shown = String::from_utf8_lossy(record.as_ref()).into_owned();
    assert_eq!(decoded.batch.num_rows(), 0, "{shown}");
    assert_eq!(decoded.bad.len(), 1, "{shown}");
    assert_eq!(decoded.bad[0].raw.as_deref().map(<[u8]>::len), Some(record.as_ref().len().min(4096)));
    decoded.bad[0].reason.clone()
}

#[test]
fn values_of_every_kind() {
    let batch = good(
        r#" {"at":"2024-06-15T09:50:45Z","ok":true,"name":"a\"\u00fc\ud83d\ude00","price":-1.235,"x":1e-3,"n":-7,"id":9223372036854775807} "#,
    );
    assert_eq!(batch.column(0).as_primitive::<Int64Type>().value(0), i64::MAX);
    assert_eq!(batch.column(1).as_primitive::<Int32Type>().value(0), -7);
    assert_eq!(batch.column(2).as_primitive::<Float64Type>().value(0), 1e-3);
    assert_eq!(batch.column(3).as_primitive::<Decimal128Type>().value(0), -124);
    assert_eq!(batch.column(4).as_string::<i32>().value(0), "a\"ü😀");
    assert!(batch.column(5).as_boolean().value(0));
    assert_eq!(batch.column(6).as_primitive::<TimestampMicrosecondType>().value(0), 1_718_445_045_000_000);
}

#[test]
fn absent_and_null_are_null_and_the_last_of_a_key_counts() {
    let batch = good(r#"{"n":null,"id":1,"unknown":[{"id":5}],"id":2,"name":"x","name":null}"#);
    assert_eq!(batch.column(0).as_primitive::<Int64Type>().value(0), 2);
    assert!((1..7).all(|column| batch.column(column).is_null(0)));
    assert_eq!(reason(r#"{"n":1}"#), "column id: NULL in a NOT NULL column");
    assert_eq!(reason(r#"{"id":null}"#), "column id: NULL in a NOT NULL column");
    // A key may be written with escapes.
    assert_eq!(good(r#"{"\u0069d":3}"#).column(0).as_primitive::<Int64Type>().value(0), 3);
}

#[test]
fn a_value_of_another_kind_is_bad_and_its_column_named() {
    for (member, expected) in [
        (r#""n":"1""#, "column n: \"\"1\"\" is a string, an integer is expected"),
        (r#""n":1.0"#, "column n: \"1.0\" is not an integer"),
        (r#""n":1e3"#, "column n: \"1e3\" is not an integer"),
        (r#""n":true"#, "column n: \"true\" is a boolean, an integer is expected"),
        (r#""n":2147483648"#, "column n: \"2147483648\" is out of range for integer"),
        (r#""n":-99999999999999999999"#, "column n: \"-99999999999999999999\" is out of range for integer"),
        (r#""x":1e999"#, "column x: \"1e999\" is out of range for double precision"),
        (r#""x":"NaN""#, "column x: \"\"NaN\"\" is a string, a double precision is expected"),
        (r#""price":12345678"#, "column price: \"12345678\" is out of range for numeric(9,2)"),
        (r#""name":5"#, "column name: \"5\" is a number, a varchar is expected"),
        (r#""name":{"a":1}"#, "column name: \"{\"a\":1}\" is an object, a varchar is expected"),
        (r#""name":[1]"#, "column name: \"[1]\" is an array, a varchar is expected"),
        (r#""name":"\ud800""#, "column name: \"\"\\\\ud800\"\" is not a varchar"),
        (r#""ok":1"#, "column ok: \"1\" is a number, a boolean is expected"),
        (r#""ok":"true""#, "column ok: \"\"true\"\" is a string, a boolean is expected"),
        (r#""at":1718445045"#, "column at: \"1718445045\" is a number, a timestamp is expected"),
        (r#""at":"soon""#, "column at: \"\"soon\"\" is not a timestamp"),
    ] {
        assert_eq!(reason(format!("{{\"id\":1,{member}}}")), expected, "{member}");
    }
}

#[test]
fn what_is_not_one_object_is_bad() {
    for (record, part) in [
        (r#"{"id":1"#, "EOF"),
        (r#"{"id":1}}"#, "trailing characters"),
        (r#"{"id":1} {"id":2}"#, "trailing characters"),
        (r#"{"id":1}x"#, "trailing characters"),
        (r#"[{"id":1}]"#, "expected an object"),
        ("null", "expected an object"),
        ("17", "expected an object"),
        (r#""text""#, "expected an object"),
        ("nonsense", "expected ident"),
        (r#"{"id":01}"#, "invalid number"),
        (r#"{"id":1,}"#, "trailing comma"),
        (r#"{id:1}"#, "key must be a string"),
        (r#"{"id":1,"unknown":tru}"#, "expected ident"),
        (r#"{"id":NaN}"#, "expected value"),
        ("{\"id\":1,\"name\":\"a\u{1}\"}", "control character"),
    ] {
        let reason = reason(record);
        assert!(reason.contains(part), "{record}: {reason}");
    }
    assert_eq!(reason(b"{\"id\":1,\"unknown\":\"\xff\"}"), "invalid UTF-8 at byte 19 of the record");
}

#[test]
fn nesting_is_limited_in_unknown_fields_too() {
    let nested = |depth: usize| format!("{{\"id\":1,\"u\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    good(&nested(NESTING_MAX - 1));
    assert!(reason(nested(NESTING_MAX)).contains("nested deeper than 128"));
    assert!(reason(nested(100_000)).contains("nested deeper than 128"));
    good(r#"{"id":1,"u":["[[[[\"[[[["]}"#);
}

#[test]
fn a_long_record_is_bad() {
    let long = format!("{{\"id\":1,\"name\":\"{}\"}}", "x".repeat(1 << 20));
    assert!(reason(&long).contains("record.bytes.max (1048576 bytes)"));
}

#[test]
fn lines_and_their_places() {
    let decoded = decode(b"{\"id\":1}\n\n  \r\n{\"id\":2}\r\nbad\n{\"id\":3}");
    let origins: Vec<_> = decoded.origins.iter().map(|o| (o.offset, o.start, o.end)).collect();
    assert_eq!(origins, [(0, 0, 8), (14, 14, 22), (28, 28, 36)]);
    assert_eq!(decoded.bad.iter().map(|b| b.offset).collect::<Vec<_>>(), [24]);
}

#[test]
fn messages_without_value_are_bad() {
    let bytes = br#"{"id":1}{"id":2}"#.to_vec();
    let message = |offset, start, end, absent| Message { split: 1, offset, start, end, absent };
    let entries = vec![
        message(5, 0, 8, false),
        message(6, 8, 8, true),
        message(7, 8, 8, false),
        message(8, 8, 16, false),
    ];
    let messages = Messages { bytes, splits: vec!["t/0".into(), "t/1".into()], entries };
    let decoded = decoder(&[]).decode(&Payload::Messages(messages)).unwrap();
    let expected =
        [(1, 5, 0, 8), (1, 8, 8, 16)].map(|(split, offset, start, end)| Origin { split, offset, start, end });
    assert_eq!(decoded.origins, expected);
    let bad: Vec<_> =
        decoded.bad.iter().map(|b| (&*b.split, b.offset, b.raw.clone(), b.reason.as_str())).collect();
    assert_eq!(
        bad,
        [("t/1", 6, None, "message has no value"), ("t/1", 7, Some(vec![]), "message has an empty value")]
    );
}

fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (-1e12f64..1e12).prop_map(Value::from),
        "[a\"\\\\\nü\u{1}]{0,5}".prop_map(Value::from),
    ];
    scalar.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-c]", inner, 0..3).prop_map(|m| json!(m)),
        ]
    })
}

/// `id`, `n`, `x`, `name`, `ok`.
type Row = (i64, Option<i32>, Option<f64>, Option<String>, Option<bool>);

/// What a record should become by the rules, from its parsed form; `None`: it is bad.
fn model(record: &Value) -> Option<Row> {
    fn or_null<T>(value: &Value, of: impl Fn(&Value) -> Option<T>) -> Option<Option<T>> {
        if value.is_null() { Some(None) } else { of(value).map(Some) }
    }
    let object = record.as_object()?;
    let get = |key: &str| object.get(key).unwrap_or(&Value::Null);
    Some((
        get("id").as_i64()?,
        or_null(get("n"), |v| v.as_i64().and_then(|n| i32::try_from(n).ok()))?,
        or_null(get("x"), Value::as_f64)?,
        or_null(get("name"), |v| v.as_str().map(str::to_owned))?,
        or_null(get("ok"), Value::as_bool)?,
    ))
}

proptest! {
    #[test]
    fn records_become_what_their_parsed_form_says(
        members in prop::collection::vec(("id|n|x|name|ok|unknown", value()), 0..8),
        id in prop::option::of(any::<i64>()),
        // A byte of the text that is replaced, so that most kinds of damage occur.
        damage in prop::option::weighted(0.3, (any::<prop::sample::Index>(), prop::sample::select(&b"{}[]\",:0-.e \xff"[..]))),
    ) {
        let members = members.into_iter().chain(id.map(|id| ("id".to_owned(), Value::from(id))));
        let text: Vec<String> = members.map(|(k, v)| format!("{}:{v}", Value::from(k))).collect();
        let mut record = format!("{{{}}}", text.join(",")).into_bytes();
        if let Some((at, byte)) = damage {
            let at = at.index(record.len());
            record[at] = byte;
        }
        // The model takes -0 for a float, which the rules do not.
        prop_assume!(!record.windows(2).any(|w| w == b"-0"));
        let decoded = decode(&record);
        // Nor can it hold a number that no double can, which does no harm under an unknown key.
        let parsed = serde_json::from_slice::<Value>(&record);
        prop_assume!(!parsed.as_ref().is_err_and(|e| e.to_string().contains("out of range")));
        let parsed = parsed.ok();
        let Some((id, n, x, name, ok)) = parsed.as_ref().and_then(model) else {
            prop_assert_eq!(decoded.batch.num_rows(), 0);
            prop_assert_eq!(decoded.bad.len(), 1);
            return Ok(());
        };
        prop_assert!(decoded.bad.is_empty(), "{:?}", decoded.bad);
        let batch = &decoded.batch;
        prop_assert_eq!(batch.num_rows(), 1);
        fn some<T>(array: &dyn Array, value: T) -> Option<T> { array.is_valid(0).then_some(value) }
        let column = |c: usize| batch.column(c);
        prop_assert_eq!(column(0).as_primitive::<Int64Type>().value(0), id);
        prop_assert_eq!(some(column(1), column(1).as_primitive::<Int32Type>().value(0)), n);
        // The model's floats may be off by the last bit.
        let found = some(column(2), column(2).as_primitive::<Float64Type>().value(0));
        let close = found.zip(x).is_none_or(|(a, b)| (a - b).abs() <= 1e-15 * b.abs());
        prop_assert!(close && found.is_some() == x.is_some(), "{found:?} {x:?}");
        prop_assert_eq!(some(column(4), column(4).as_string::<i32>().value(0).to_owned()), name);
        prop_assert_eq!(some(column(5), column(5).as_boolean().value(0)), ok);
    }
}
