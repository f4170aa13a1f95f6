//! CSV text and messages in, rows and bad rows out.

mod alone;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::util::display::array_value_to_string;
use proptest::prelude::*;
use siltstone_engine::connector::{Message, Messages};

use super::*;
use crate::format::Decoding;
use crate::option::Options;

fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(|(n, t)| Field::new(*n, t.clone(), true)).collect::<Vec<_>>()))
}

fn texts(columns: usize) -> SchemaRef {
    Arc::new(Schema::new(
        (0..columns).map(|n| Field::new(format!("c{n}"), DataType::Utf8, true)).collect::<Vec<_>>(),
    ))
}

fn decoder(schema: &SchemaRef, options: &[(&str, &str)]) -> Box<dyn Decoder> {
    let options = options.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let wanted = vec![true; schema.fields().len()];
    Decoding::new("csv", &options).unwrap().decoder(schema, &wanted).unwrap()
}

fn text(bytes: &[u8]) -> Payload {
    Payload::Text { split: "s".into(), offset: 100, bytes: bytes.to_vec() }
}

/// Rows as texts, NULL as `~`.
fn rows(decoded: &Decoded) -> Vec<Vec<String>> {
    let cell = |c: &arrow::array::ArrayRef, row| match c.is_null(row) {
        true => "~".to_owned(),
        false => array_value_to_string(c, row).unwrap(),
    };
    let columns = decoded.batch.columns();
    (0..decoded.batch.num_rows()).map(|row| columns.iter().map(|c| cell(c, row)).collect()).collect()
}

fn check(options: &[(&str, &str)], columns: usize, bytes: &str, expected: &[&[&str]], bad: &[(i64, &str)]) {
    let decoded = decoder(&texts(columns), options).decode(&text(bytes.as_bytes())).unwrap();
    assert_eq!(rows(&decoded), expected, "{bytes}");
    let found: Vec<_> = decoded.bad.iter().map(|b| (b.offset, b.reason.as_str())).collect();
    assert_eq!(found, bad, "{bytes}");
    for (row, origin) in decoded.origins.iter().enumerate() {
        assert_eq!(origin.offset, 100 + i64::from(origin.start), "row {row}");
    }
    assert_eq!(decoded.origins.len(), decoded.batch.num_rows());
}

#[test]
fn fields_and_line_ends() {
    check(&[], 2, "a,b\nc,d\r\ne,f", &[&["a", "b"], &["c", "d"], &["e", "f"]], &[]);
    check(&[], 2, "\n\r\na,b\n\n", &[&["a", "b"]], &[]);
    check(&[], 1, "a\n\nb\n", &[&["a"], &["~"], &["b"]], &[]);
    check(&[("delimiter", "|")], 2, "a,b|c\n", &[&["a,b", "c"]], &[]);
    check(&[("delimiter", "\\t")], 2, "a b\tc\n", &[&["a b", "c"]], &[]);
}

#[test]
fn an_unquoted_empty_field_is_null_and_a_quoted_one_is_empty() {
    check(&[], 3, "a,,\"\"\n,\"\",b\n", &[&["a", "~", ""], &["~", "", "b"]], &[]);
    check(&[("null", "NULL")], 3, "NULL,,\"NULL\"\n", &[&["~", "", "NULL"]], &[]);
}

#[test]
fn quotes() {
    check(&[], 2, "\"a\"\"b\",\"c,d\ne\"\r\nf,g\n", &[&["a\"b", "c,d\ne"], &["f", "g"]], &[]);
    check(&[], 2, "a\"b,c\"d,e\n", &[&["ab,cd", "e"]], &[]);
    check(
        &[("quote", "'"), ("escape", "\\")],
        2,
        "'a\\'b','c\\\\'\n'\\n',d\n",
        &[&["a'b", "c\\"], &["\\n", "d"]],
        &[],
    );
}

#[test]
fn bad_records_leave_their_neighbours_alone() {
    let reason = "record has 1 fields, 2 are expected";
    check(&[], 2, "a,b\nx\nc,d\n", &[&["a", "b"], &["c", "d"]], &[(104, reason)]);
    let reason = "record has 3 fields, 2 are expected";
    check(&[], 2, "x,y,z\n\"q\",r\n", &[&["q", "r"]], &[(100, reason)]);
    check(&[], 2, "a,b\nc,\"d", &[&["a", "b"]], &[(104, "quote is not closed in field 2 of the record")]);
    let reason = "record is longer than record.bytes.max (4 bytes)";
    check(&[("record.bytes.max", "4")], 1, "abcd\nabcde\n\"ab\"\n", &[&["abcd"], &["ab"]], &[(105, reason)]);
}

#[test]
fn invalid_utf8_spoils_its_own_record() {
    let decoded = decoder(&texts(1), &[]).decode(&text(b"good\nb\xffd\nf\xc3\xbcr\n")).unwrap();
    assert_eq!(rows(&decoded), [["good"], ["für"]]);
    assert_eq!(decoded.bad[0].reason, "invalid UTF-8 at byte 1 of the record");
    assert_eq!(decoded.bad[0].raw.as_deref(), Some(&b"b\xffd"[..]));
}

#[test]
fn a_value_that_does_not_fit_names_its_column_and_undoes_its_row() {
    let schema = schema(&[("id", DataType::Int64), ("name", DataType::Utf8), ("n", DataType::Int32)]);
    let decoded =
        decoder(&schema, &[]).decode(&text(b"1,a,1\n2,b,x\n3,c,3000000000\nx,d,4\n5,e,5\n")).unwrap();
    assert_eq!(rows(&decoded), [["1", "a", "1"], ["5", "e", "5"]]);
    let reasons: Vec<_> = decoded.bad.iter().map(|b| b.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "column n: \"x\" is not an integer",
            "column n: \"3000000000\" is out of range for integer",
            "column id: \"x\" is not a bigint"
        ]
    );
}

#[test]
fn a_message_is_one_record() {
    let values: [Option<&str>; 6] =
        [Some("a,b"), Some("c,d\r\n"), None, Some(""), Some("e,f\ng,h"), Some("\"i\nj\",k")];
    let mut messages = Messages { splits: vec!["t/0".into()], ..Default::default() };
    for (offset, value) in values.iter().enumerate() {
        let start = messages.bytes.len() as u32;
        messages.bytes.extend_from_slice(value.unwrap_or_default().as_bytes());
        let (end, absent) = (messages.bytes.len() as u32, value.is_none());
        messages.entries.push(Message { split: 0, offset: offset as i64, start, end, absent });
    }
    let decoded = decoder(&texts(2), &[]).decode(&Payload::Messages(messages)).unwrap();
    assert_eq!(rows(&decoded), [["a", "b"], ["c", "d"], ["i\nj", "k"]]);
    assert_eq!(decoded.origins.iter().map(|o| o.offset).collect::<Vec<_>>(), [0, 1, 5]);
    let bad: Vec<_> = decoded.bad.iter().map(|b| (b.offset, b.reason.as_str(), b.raw.is_some())).collect();
    assert_eq!(
        bad,
        [
            (2, "message has no value", false),
            (3, "message has an empty value", true),
            (4, "record ends at byte 4, but the message goes on", true)
        ]
    );
}

#[test]
fn a_layout_chooses_fields_by_name() {
    let schema = schema(&[("a", DataType::Int64), ("b", DataType::Utf8)]);
    let layouts = Arc::new(Layouts::positional(2));
    layouts.set(&"s".into(), Layout::named(&schema, &["b", "x", "a"]).unwrap());
    let decoding = Decoding::new("csv", &Options::new()).unwrap();
    let mut decoder = decoding.decoder_with(&schema, &[true; 2], layouts).unwrap();
    let decoded = decoder.decode(&text(b"q,not a number,1\n\"r\",\"\",2\ns,3\n")).unwrap();
    assert_eq!(rows(&decoded), [["1", "q"], ["2", "r"]]);
    assert_eq!(decoded.bad[0].reason, "record has 2 fields, 3 are expected");
}

/// A field as a writer would put it.
fn write(field: &Option<String>, force_quotes: bool) -> String {
    match field {
        None => String::new(),
        Some(text) if force_quotes || text.is_empty() || text.contains(['"', ',', '\n', '\r']) => {
            format!("\"{}\"", text.replace('"', "\"\""))
        }
        Some(text) => text.clone(),
    }
}

proptest! {
    /// What is written is read back, in one text or in several.
    #[test]
    fn written_rows_are_read_back(
        table in prop::collection::vec(
            prop::collection::vec(prop::option::of("[a,\"\n\rü]{0,6}"), 3..=3), 0..8
        ),
        force_quotes: bool,
        cut in 0usize..9,
    ) {
        let line = |row: &Vec<Option<String>>| {
            row.iter().map(|f| write(f, force_quotes)).collect::<Vec<_>>().join(",") + "\n"
        };
        let lines: Vec<String> = table.iter().map(line).collect();
        let expected: Vec<Vec<String>> =
            table.iter().map(|r| r.iter().map(|f| f.clone().unwrap_or("~".into())).collect()).collect();
        let cut = cut.min(lines.len());
        let mut decoder = decoder(&texts(3), &[]);
        let mut found = Vec::new();
        for part in [&lines[..cut], &lines[cut..]] {
            let decoded = decoder.decode(&text(part.concat().as_bytes())).unwrap();
            prop_assert!(decoded.bad.is_empty(), "{:?}", decoded.bad);
            found.extend(rows(&decoded));
        }
        prop_assert_eq!(found, expected);
    }

    /// Any bytes are taken apart without a panic, and every record is accounted for exactly once.
    #[test]
    fn any_bytes_are_rows_or_bad_rows(bytes in prop::collection::vec(prop::sample::select(&b"a1,\"\n\r\xff\xc3"[..]), 0..60)) {
        let decoded = decoder(&schema(&[("a", DataType::Int64), ("b", DataType::Utf8)]), &[]).decode(&text(&bytes)).unwrap();
        let mut offsets: Vec<i64> = decoded.origins.iter().map(|o| o.offset).collect();
        offsets.extend(decoded.bad.iter().map(|b| b.offset));
        offsets.sort_unstable();
        let count = offsets.len();
        offsets.dedup();
        prop_assert_eq!(offsets.len(), count);
        prop_assert_eq!(decoded.batch.num_rows(), decoded.origins.len());
    }
}
