//! Files as they should be.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;

use super::*;

#[test]
fn a_header_names_the_columns_and_a_mark_before_it_is_no_part_of_it() {
    let dir = Dir::new();
    let path = dir.write("a.csv", "\u{feff}x,c1,c0\r\n1,b,a\r\n2,\"d\",c");
    let source = source(&path, texts(2), &[("header", "true")]).unwrap();
    let all = read(&source, 100).unwrap();
    assert_eq!(all.rows, [["a", "b"], ["c", "d"]]);
    assert_eq!(all.stops.last().unwrap().1, std::fs::metadata(path).unwrap().len() as i64);
}

#[test]
fn files_without_rows_are_fine() {
    let dir = Dir::new();
    dir.write("1.csv", "");
    dir.write("2.csv", "c0,c1\n");
    dir.write("3.csv", "c1,c0");
    dir.write("4.csv", "c1,c0\nb,a\n");
    dir.write("5.csv.gz", gzip(b""));
    dir.write("6.csv.gz", "");
    dir.write("7.csv.zst", zstd(b"c0,c1\n"));
    let source = source(&dir.path("*.csv*"), texts(2), &[("header", "true"), ("format", "csv")]).unwrap();
    let all = read(&source, 100).unwrap();
    assert_eq!(all.rows, [["a", "b"]]);
    // A header that was read is progress, so that no lag is left.
    let stop = |name: &str| all.stops.iter().find(|s| s.0.contains(name)).map(|s| s.1);
    assert_eq!((stop("2.csv"), stop("3.csv"), stop("7.csv")), (Some(6), Some(5), Some(6)));
}

#[test]
fn members_and_frames_behind_each_other_are_one_text() {
    let dir = Dir::new();
    dir.write("a.json.gz", [gzip(b"{\"c0\":\"1\"}\n{\"c0\""), gzip(b":\"2\"}\n")].concat());
    dir.write("b.json.zst", [zstd(b"{\"c0\":\"3\"}\n{\"c0\""), zstd(b":\"4\"}")].concat());
    let source = source(&dir.path("*"), texts(1), &[("format", "json")]).unwrap();
    assert_eq!(read(&source, 1).unwrap().rows, [["1"], ["2"], ["3"], ["4"]]);
}

#[test]
fn lists_and_patterns_give_each_file_once_in_order() {
    let dir = Dir::new();
    for name in ["b.csv", "a.csv", "c.csv"] {
        dir.write(name, format!("{name}\n"));
    }
    let root = dir.0.path().to_str().unwrap().to_owned();
    let list = format!("{root}/c.csv, {root}/[ab].csv,{root}/b*.csv");
    let source = source(Path::new(&list), texts(1), &[]).unwrap();
    assert_eq!(read(&source, 10).unwrap().rows, [["a.csv"], ["b.csv"], ["c.csv"]]);
    let splits = source.discover(&[]).unwrap();
    assert_eq!(*splits[0].id, *format!("{root}/a.csv@0"));
    assert_eq!(source.ends(&splits).unwrap()[&splits[0].id], 6);
    assert!(source.discover(&splits).unwrap().is_empty());
}

#[test]
fn what_was_appended_is_a_split_of_its_own() {
    let dir = Dir::new();
    let path = dir.write("a.csv", "c1,c0\nb,a\n");
    let source = source(&path, texts(2), &[("header", "true")]).unwrap();
    let first = source.discover(&[]).unwrap();
    dir.append("a.csv", "d,c\n");
    let second = source.discover(&first).unwrap();
    assert_eq!((second[0].start, second[0].end), (10, Some(14)));
    let both = [(first[0].clone(), 0), (second[0].clone(), 10)];
    assert_eq!(read_from(&source, &both, 10).unwrap().rows, [["a", "b"], ["c", "d"]]);
    assert!(source.discover(&[first, second].concat()).unwrap().is_empty());
}

/// A file of these rows, as a split that ends after `end`.
fn rows_before(source: &FileSource, end: i64) -> Vec<Vec<String>> {
    let splits = source.discover(&[]).unwrap();
    let [split] = &*splits else { panic!("one split, not {splits:?}") };
    let cut = Split { end: Some(end), ..split.clone() };
    let all = read_from(source, &[(cut, 0)], 100).unwrap();
    assert!(all.stops.iter().all(|stop| stop.1 <= end), "{:?} is behind {end}", all.stops);
    all.rows
}

#[test]
fn compressed_text_is_read_to_the_splits_end_and_no_further() {
    let dir = Dir::new();
    let text = b"{\"c0\":\"1\"}\n{\"c0\":\"2\"}\n{\"c0\":\"3\"}\n";
    for (name, bytes) in [("a.json.gz", gzip(text)), ("b.json.zst", zstd(text))] {
        let source = source(&dir.write(name, bytes), texts(1), &[("format", "json")]).unwrap();
        assert_eq!(rows_before(&source, 22), [["1"], ["2"]], "{name}");
    }
}

#[test]
fn parquet_is_read_to_the_splits_end_and_no_further() {
    let dir = Dir::new();
    let path = dir.path("a.parquet");
    let column = Arc::new(StringArray::from_iter_values((0..10).map(|n| n.to_string()))) as ArrayRef;
    let rows = RecordBatch::try_from_iter([("c0", column)]).unwrap();
    let mut writer =
        ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    let source = source(&path, texts(1), &[]).unwrap();
    assert_eq!(rows_before(&source, 4), [["0"], ["1"], ["2"], ["3"]]);
}

#[test]
fn parquet_columns_are_found_by_name_and_rows_by_number() {
    let dir = Dir::new();
    let path = dir.path("a.parquet");
    let count = 1000;
    let rows = RecordBatch::try_from_iter([
        ("other", Arc::new(StringArray::from(vec!["x"; count])) as ArrayRef),
        ("b", Arc::new(Int32Array::from_iter_values(0..count as i32)) as ArrayRef),
        ("a", Arc::new(Int64Array::from_iter_values((0..count as i64).map(|n| n << 28))) as ArrayRef),
    ])
    .unwrap();
    let groups = WriterProperties::builder().set_max_row_group_row_count(Some(300)).build();
    let mut writer =
        ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), rows.schema(), Some(groups)).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();

    let schema = Arc::new(Schema::new(vec![
        Field::new("a", DataType::Int32, false),
        Field::new("b", DataType::Float64, true),
    ]));
    let source = source(&path, schema, &[]).unwrap();
    let splits = source.discover(&[]).unwrap();
    assert_eq!(splits[0].end, Some(count as i64));
    let all = read(&source, 64).unwrap();
    assert_eq!(all.rows[..2], [["0", "0.0"], ["268435456", "1.0"]]);
    // From the eighth on the number does not fit.
    assert_eq!((all.rows.len(), all.bad.len(), all.bad[0].offset), (8, count - 8, 8));
    let later = read_from(&source, &[(splits[0].clone(), 5)], 7).unwrap();
    assert_eq!(later.rows, all.rows[5..]);
    assert_eq!(later.bad, all.bad);

    let other = |name: &str, data_type| {
        let schema = Arc::new(Schema::new(vec![Field::new(name, data_type, true)]));
        read(&super::source(&path, schema, &[]).unwrap(), 10).err().unwrap().to_string()
    };
    assert!(other("z", DataType::Int64).contains("there is no column z (other, b, a)"));
    assert!(other("other", DataType::Int64).contains("column other is varchar and cannot be read as bigint"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Rows written with quotes and line ends inside are read back equal, for any range size, piece size,
    /// compression and number of bytes read at once, and from every place a reader has stopped at.
    #[test]
    fn rows_do_not_depend_on_ranges_pieces_and_restarts(
        table in prop::collection::vec(prop::collection::vec("[a,\"\n\rü]{0,30}", 2..=2), 0..40),
        range_bytes in 1u64..600,
        rows_max in 1usize..8,
        compression in 0usize..3,
        header: bool,
        newline_at_end: bool,
    ) {
        let quoted = |field: &String| format!("\"{}\"", field.replace('"', "\"\""));
        let mut text = if header { "\"c1\",c0\n".to_owned() } else { String::new() };
        for row in &table {
            let (first, second) = if header { (1, 0) } else { (0, 1) };
            text += &format!("{},{}\n", quoted(&row[first]), quoted(&row[second]));
        }
        if !newline_at_end {
            text.pop();
        }
        let dir = Dir::new();
        let path = match compression {
            0 => dir.write("a.csv", &text),
            1 => dir.write("a.csv.gz", gzip(text.as_bytes())),
            _ => dir.write("a.csv.zst", zstd(text.as_bytes())),
        };
        let header = if header { "true" } else { "false" };
        let source = with_ranges(source(&path, texts(2), &[("header", header)]).unwrap(), range_bytes);
        let splits = source.discover(&[]).unwrap();
        let plain = compression == 0;
        prop_assert!(!plain || splits.len() as u64 <= text.len() as u64 / range_bytes + 1);
        let all = read(&source, rows_max).unwrap();
        prop_assert!(all.bad.is_empty(), "{:?}", all.bad);
        prop_assert_eq!(&all.rows, &table);

        for (split, next, rows, _) in &all.stops {
            let at = splits.iter().position(|s| *s.id == **split).unwrap();
            let from = |s: &Split| if *s.id == **split { *next } else { s.start };
            let rest: Vec<_> = splits[at..].iter().map(|s| (s.clone(), from(s))).collect();
            prop_assert_eq!(&read_from(&source, &rest, 5).unwrap().rows, &table[*rows..]);
        }
    }

    /// Any bytes at all: rows and bad rows are the same for any piece and range size.
    #[test]
    fn bytes_that_are_no_csv_are_read_the_same_way_in_any_pieces(
        bytes in prop::collection::vec(prop::sample::select(&b"ab,\"\n\n\r\xff"[..]), 0..400),
        range_bytes in 1u64..200,
        rows_max in 1usize..4,
    ) {
        let dir = Dir::new();
        let path = dir.write("a.csv", &bytes);
        let whole = read(&source(&path, texts(2), &[]).unwrap(), 1 << 20).unwrap();
        let pieces = with_ranges(source(&path, texts(2), &[]).unwrap(), range_bytes);
        let pieces = read(&pieces, rows_max).unwrap();
        let bad = |read: &Read| read.bad.iter().map(|b| (b.offset, b.reason.clone())).collect::<Vec<_>>();
        prop_assert_eq!(bad(&pieces), bad(&whole));
        prop_assert_eq!(pieces.rows, whole.rows);
    }
}
