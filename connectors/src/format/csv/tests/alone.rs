//! Records taken many at once become the same rows and bad rows as the same records taken one by one.

use arrow::array::AsArray;
use arrow::compute::cast;
use siltstone_engine::connector::{BadRow, without_unread};

use super::super::record::{Place, Records};
use super::super::{Gather, Scan};
use super::*;
use crate::format::{Dialect, Format};

const TYPES: [DataType; 7] = [
    DataType::Int64,
    DataType::Date32,
    DataType::Float64,
    DataType::Int32,
    DataType::Boolean,
    DataType::Decimal128(9, 2),
    DataType::Utf8,
];

/// Less than some records have.
const RECORD_BYTES_MAX: usize = 60;

fn wide(nullable: u32) -> SchemaRef {
    let field = |(n, t): (usize, &DataType)| Field::new(format!("c{n}"), t.clone(), nullable >> n & 1 == 1);
    Arc::new(Schema::new(TYPES.iter().enumerate().map(field).collect::<Vec<_>>()))
}

/// Rows without dictionaries, as text; where they came from; and the bad ones.
type Outcome = (Vec<Vec<String>>, Vec<Origin>, Vec<BadRow>);

fn outcome(decoded: Decoded, wanted: &[bool]) -> Outcome {
    let batch = without_unread(&decoded.batch, wanted).unwrap();
    let columns = batch.columns().iter().map(|c| match c.data_type() {
        DataType::Dictionary(_, value) => cast(c, value).unwrap(),
        _ => c.clone(),
    });
    let columns: Vec<_> = columns.collect();
    let cell = |c: &arrow::array::ArrayRef, row| match c.is_valid(row) {
        true => array_value_to_string(c, row).unwrap(),
        false => "~".to_owned(),
    };
    let rows = (0..batch.num_rows()).map(|row| columns.iter().map(|c| cell(c, row)).collect()).collect();
    (rows, decoded.origins, decoded.bad)
}

/// One by one, all columns kept.
fn alone(schema: &SchemaRef, dialect: &Dialect, bytes: &[u8], messages: Option<&Messages>) -> Decoded {
    let mut gather = Gather::new(schema, &[]).unwrap();
    let mut records = Records::new(dialect.clone(), RECORD_BYTES_MAX);
    let (layout, split) = (Layout::positional(TYPES.len()), "s".into());
    if let Some(messages) = messages {
        for Message { split: _, offset, start, end, .. } in messages.entries.iter().copied() {
            let place = Place {
                layout: &layout,
                split: &split,
                origin: Origin { split: 0, offset, start, end },
                valid: false,
            };
            records.message(&mut gather, place, &bytes[start as usize..end as usize]);
        }
        return gather.finish().unwrap();
    }
    let mut at = 0;
    while at < bytes.len() {
        let end = dialect.framing().first_end(&mut Scan::default(), &bytes[at..]);
        let end = end.map_or(bytes.len(), |n| at + n);
        let record = without_line_end(&bytes[at..end]);
        let (start, to) = (at as u32, (at + record.len()) as u32);
        let origin = Origin { split: 0, offset: 100 + at as i64, start, end: to };
        if !record.is_empty() {
            let place = Place { layout: &layout, split: &split, origin, valid: false };
            records.record(&mut gather, place, record);
        }
        at = end;
    }
    gather.finish().unwrap()
}

fn field() -> impl Strategy<Value = String> {
    prop_oneof![
        10 => (0i64..100_000_000_000).prop_map(|n| n.to_string()),
        5 => "[a-c]{0,3}|[a-cü]{8,20}",
        5 => (-1e6f64..1e6).prop_map(|x| x.to_string()),
        2 => Just(String::new()),
        1 => "NULL|true|f| 7 |-3|2024-02-2[89]|1\\.255|\"a,\n\"\"b\"",
    ]
}

/// A record whose fields fit their columns.
fn good() -> impl Strategy<Value = String> {
    (
        "[0-9]{1,17}",
        "2024-02-1[0-9]|",
        "[0-9]{1,3}\\.[0-9]{1,6}",
        "-?[0-9]{1,5}",
        "t|f|",
        "[0-9]\\.[0-9]{0,3}",
        "[a-c]{0,3}|[a-cü]{8,12}",
    )
        .prop_map(|(a, b, c, d, e, f, g)| format!("{a},{b},{c},{d},{e},{f},{g}"))
}

fn record() -> impl Strategy<Value = String> {
    prop_oneof![
        40 => good(),
        1 => prop::collection::vec(field(), 5..=9).prop_map(|fields| fields.join(",")),
        1 => (good(), field(), 0usize..7).prop_map(|(good, field, at)| {
            let mut fields: Vec<&str> = good.split(',').collect();
            fields[at] = &field;
            fields.join(",")
        }),
    ]
}

proptest! {
    #[test]
    fn together_or_alone(
        records in prop::collection::vec((record(), prop::bool::weighted(0.1)), 0..150),
        damage in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(&b",\"\n\r\xff\xc3 .-0N"[..])), 0..3),
        nullable in 0u32..128,
        wanted in prop::collection::vec(any::<bool>(), 7),
        null in prop::sample::select(&["", "NULL"][..]),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
    ) {
        let schema = wide(nullable | if null.is_empty() { 0x52 } else { 0 });
        let dialect = Dialect { null: null.into(), ..Dialect::default() };
        let line = |(record, crlf): &(String, bool)| format!("{record}{}", if *crlf { "\r\n" } else { "\n" });
        let mut bytes = records.iter().map(line).collect::<String>().into_bytes();
        for (at, byte) in damage {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        let decoding = Decoding { format: Format::Csv(dialect.clone()), record_bytes_max: RECORD_BYTES_MAX };
        let mut decoder = decoding.decoder(&schema, &wanted).unwrap();
        // Twice, so that dictionaries are there the second time.
        for _ in 0..2 {
            let decoded = decoder.decode(&text(&bytes)).unwrap();
            prop_assert_eq!(outcome(decoded, &wanted), outcome(alone(&schema, &dialect, &bytes, None), &wanted));
        }

        // The same lines as messages, some with their line ends, and some cut anywhere, even in a character.
        let mut ends: Vec<usize> = (1..=bytes.len()).filter(|n| bytes[*n - 1] == b'\n').collect();
        ends.extend(cuts.iter().filter(|_| !bytes.is_empty()).map(|cut| cut.index(bytes.len())));
        ends.sort_unstable();
        let (mut entries, mut start) = (Vec::new(), 0);
        for (number, next) in ends.into_iter().enumerate() {
            let keeps_line_end = number % 3 == 0 || !bytes[start..next].ends_with(b"\n");
            let (from, to) = (start as u32, next as u32 - u32::from(!keeps_line_end));
            entries.push(Message { split: 0, offset: number as i64, start: from, end: to, absent: false });
            start = next;
        }
        let messages = Messages { bytes: bytes.clone(), splits: vec!["s".into()], entries };
        let expected = alone(&schema, &dialect, &bytes, Some(&messages));
        let decoded = decoder.decode(&Payload::Messages(messages)).unwrap();
        prop_assert_eq!(outcome(decoded, &wanted), outcome(expected, &wanted));
    }
}

#[test]
fn a_dictionary_stays_and_grows_until_it_is_given_up() {
    let schema = texts(2);
    let mut decoder = decoder(&schema, &[]);
    let mut decode = |lines: &str| decoder.decode(&text(lines.as_bytes())).unwrap();
    let values = |decoded: &Decoded| {
        let column = decoded.batch.column(0).as_any_dictionary_opt();
        column.map(|dictionary| dictionary.values().clone())
    };
    let first = values(&decode("a,1\nb,2\n")).unwrap();
    assert!(Arc::ptr_eq(&first, &values(&decode("b,1\na,2\n,3\n")).unwrap()));
    let grown = decode("b,1\nc,2\n");
    assert_eq!(values(&grown).unwrap().slice(0, 2).to_data(), first.to_data());
    assert_eq!(rows(&grown), [["b", "1"], ["c", "2"]]);

    // Too many values, half-way through a batch: NULLs and values before it stay what they are.
    let many: Vec<String> =
        (0..100_000).map(|n| if n % 7 == 0 { String::new() } else { format!("v{n}") }).collect();
    let decoded = decode(&many.iter().map(|v| format!("{v},x\n")).collect::<String>());
    assert!(values(&decoded).is_none());
    assert_eq!(decoded.batch.schema().field(0).data_type(), &DataType::Utf8);
    let found = rows(&decoded);
    assert!(many.iter().zip(&found).all(|(v, row)| row[0] == if v.is_empty() { "~" } else { v }));
    assert!(values(&decode("a,1\n")).is_none());
}

#[test]
fn what_nobody_reads_is_checked_and_left_out() {
    let schema = schema(&[("a", DataType::Int64), ("b", DataType::Utf8), ("c", DataType::Int64)]);
    let decoding = Decoding::new("csv", &Options::new()).unwrap();
    let mut decoder = decoding.decoder(&schema, &[false, false, true]).unwrap();
    let decoded = decoder.decode(&text(b"1,x,1\ny,x,2\n3,x,3\n")).unwrap();
    assert_eq!(decoded.bad[0].reason, "column a: \"y\" is not a bigint");
    let types: Vec<_> = decoded.batch.columns().iter().map(|c| c.data_type().clone()).collect();
    assert_eq!(types, [DataType::Null, DataType::Null, DataType::Int64]);
    assert_eq!(rows(&decoded).len(), 2);
}
