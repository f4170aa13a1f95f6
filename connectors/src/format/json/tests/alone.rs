//! Records whose shape is known become the same rows and bad rows as the same records walked one by one.

use siltstone_engine::connector::{BadRow, without_unread};

use super::*;

type Outcome = (RecordBatch, Vec<Origin>, Vec<BadRow>);

fn outcome(decoded: Decoded, wanted: &[bool]) -> Outcome {
    let batch = without_unread(&decoded.batch, wanted).unwrap();
    let expected = without_unread(&RecordBatch::new_empty(schema()), wanted).unwrap().schema();
    (conform(&batch, &expected).unwrap().0, decoded.origins, decoded.bad)
}

/// Walked one by one, all columns kept.
fn alone(whole: Whole<'_>, records: &[Origin]) -> Decoded {
    let mut gather = Gather::new(&schema(), &[]).unwrap();
    let walker = |gather: &Gather| Walker {
        keys: Keys::new(&gather.columns),
        shape: Shape::new(vec![false; 7]),
        record_bytes_max: 150,
    };
    for origin in records {
        walker(&gather).take(&mut gather, whole, *origin);
    }
    gather.finish().unwrap()
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "null|true|false|-?[0-9]{1,12}|-?[0-9]{1,4}\\.[0-9]{0,6}|-?[0-9]{1,2}[eE][-+]?[0-9]{1,2}",
        3 => "\"[a-cü, }:]{0,20}\"",
        2 => "\\{\\}|\\[ ?\\]|\\[1,\\{\"a\":2(,\"b\": ?\"x\")?\\}\\]|\\{\"a\":(\\[\\],?|tru|01)\\}",
        1 => "\"(\\\\n|\\\\u00fc|\\\\ud800|\\\\x|\\\\\"|\t){1,2}\"|\"2024-02-2[0-9]\"|[0-9]{15,22}|nul|tru|NaN",
    ]
}

/// A value that mostly is of the key's kind.
fn member() -> impl Strategy<Value = (String, String)> {
    prop_oneof![
        4 => "-?[1-9][0-9]{0,15}".prop_map(|v| ("id".to_owned(), v)),
        4 => "[0-9]{1,8}|null".prop_map(|v| ("n".to_owned(), v)),
        4 => "(0|[1-9][0-9]{0,5})(\\.[0-9]{1,8})?|null".prop_map(|v| ("x".to_owned(), v)),
        3 => "[0-9]\\.[0-9]{1,3}".prop_map(|v| ("price".to_owned(), v)),
        4 => "\"[a-c]{0,10}\"|null|\"[a-cü]{15,20}\"".prop_map(|v| ("name".to_owned(), v)),
        3 => "true|false|null".prop_map(|v| ("ok".to_owned(), v)),
        3 => "\"2024-02-1[0-9] 0[0-9]:00\"".prop_map(|v| ("at".to_owned(), v)),
        2 => ("a|other|a much longer key than any word has bytes", scalar()),
        1 => ("id|n|x|name|ok|price|at", scalar()),
    ]
}

fn record() -> impl Strategy<Value = String> {
    let members = prop::collection::vec(member(), 0..6);
    let write = |(id, mut members, space, repeat): (i64, Vec<(String, String)>, String, bool)| {
        members.sort_by_key(|(key, _)| key.len());
        if !repeat {
            members.dedup_by_key(|(key, _)| key.clone());
        }
        let members = [("id".to_owned(), id.to_string())]
            .into_iter()
            .chain(members.into_iter().filter(|(key, _)| repeat || key != "id"));
        let members: Vec<String> = members.map(|(key, value)| format!("\"{key}\":{space}{value}")).collect();
        format!("{{{}{space}}}", members.join(&format!(",{space}")))
    };
    (
        any::<i64>(),
        members,
        prop::sample::select(&["", "", "", " "][..]).prop_map(str::to_owned),
        prop::bool::weighted(0.1),
    )
        .prop_map(write)
}

proptest! {
    #[test]
    fn known_shapes_or_walked(
        records in prop::collection::vec(record(), 1..12),
        damage in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(&b"{}[]\",:0-.e \\\x01\xff\xc3n"[..])), 0..6),
        wanted in prop::collection::vec(any::<bool>(), 7),
    ) {
        // Each record again and again, so that its shape is known, and some of them damaged.
        let mut lines: Vec<Vec<u8>> = (0..5).flat_map(|_| &records).map(|r| r.clone().into_bytes()).collect();
        for (at, byte) in damage {
            let line = &mut lines[at.index(records.len() * 5)];
            let at = at.index(line.len());
            line[at] = byte;
        }
        let options = BTreeMap::from([("record.bytes.max".to_owned(), "150".to_owned())]);
        let mut decoder = Decoding::new("json", &options).unwrap().decoder(&schema(), &wanted).unwrap();
        for newline in [&b"\n"[..], b"\r\n", b""] {
            let (mut bytes, mut origins) = (Vec::new(), Vec::new());
            for line in &lines {
                let start = bytes.len();
                bytes.extend_from_slice(line);
                let (start, end) = (start as u32, bytes.len() as u32);
                origins.push(Origin { split: 0, offset: i64::from(start), start, end });
                bytes.extend_from_slice(newline);
            }
            let splits = ["s".into()];
            let expected = alone(Whole { bytes: &bytes, is_text: false, splits: &splits }, &origins);
            let message = |o: &Origin| Message { split: 0, offset: o.offset, start: o.start, end: o.end, absent: false };
            let payload = match newline {
                b"" => Payload::Messages(Messages { bytes, splits: splits.to_vec(), entries: origins.iter().map(message).collect() }),
                _ => Payload::Text { split: "s".into(), offset: 0, bytes },
            };
            let decoded = decoder.decode(&payload).unwrap();
            prop_assert_eq!(outcome(decoded, &wanted), outcome(expected, &wanted));
        }
    }
}

#[test]
fn a_known_shape_is_one_whose_gaps_were_seen() {
    let rows = RowsDecoder::new(schema(), &[]);
    let mut decoder = JsonDecoder::new(Gather::new(&schema(), &[]).unwrap(), rows, 1000);
    let learned = "{\"id\":1,\"name\":\"x\",\"unknown\":2}\n{\"name\":\"y\",\"id\":3, \"n\":null }";
    decoder.decode(&Payload::Text { split: "s".into(), offset: 0, bytes: learned.into() }).unwrap();
    for (record, expected) in [
        (r#"{"id":-5,"name":"","unknown":"abc"}"#, true),
        (r#"{"id":-5,"name":null,"unknown":{}}"#, true),
        (r#"{"name":"a","unknown":null,"id":1 }"#, true),
        (r#"{"name":"a","unknown":01}"#, false),
        (r#"{"name":"a","unknown":[{"a":[]},2] }"#, true),
        (r#"{"name":"a","unknown":[{"a":[]},] }"#, false),
        (r#"{"id":1, "n":2}"#, true),
        (r#"{"id":1,"n":2}"#, false),
        (r#"{"id":1}"#, true),
        (r#"{"id":1} "#, false),
        (r#"{"id":1,"name":"x","id":2}"#, false),
        (r#"{"id":1,"name":"\n"}"#, false),
        (r#"{"id":1,"name":5}"#, false),
        (r#"{"id":"1"}"#, false),
        (r#"{}"#, false),
        (r#"{"id":"#, false),
    ] {
        let mut spans = [Span::ABSENT; 7];
        let found = decoder.parser.walker.shape.find(record.as_bytes(), 0, record.len(), &mut spans);
        assert_eq!(found, expected, "{record}");
    }
}
