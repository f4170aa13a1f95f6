//! Files that are not as they should be: every error names the file and what is wrong with it.

use siltstone_engine::error::Kind;

use super::*;

fn message(result: Result<Read>) -> String {
    result.err().unwrap().to_string()
}

#[test]
fn a_column_that_the_header_lacks_is_an_error() {
    let dir = Dir::new();
    let path = dir.write("a.csv", "c0,other\n1,2\n");
    let error = message(read(&source(&path, texts(2), &[("header", "true")]).unwrap(), 10));
    assert!(
        error.contains("a.csv") && error.contains("column c1 is not in the header (c0, other)"),
        "{error}"
    );
}

#[test]
fn a_pattern_without_files_is_an_error() {
    let dir = Dir::new();
    let error = source(&dir.path("*.csv"), texts(1), &[]).unwrap().discover(&[]).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.message().contains("*.csv'"), "{error}");
    let error = source(dir.0.path(), texts(1), &[("format", "csv")]).unwrap().discover(&[]).unwrap_err();
    assert!(error.hint().unwrap().contains("directory"), "{error:?}");
}

#[test]
fn options_that_do_not_fit_are_refused() {
    let path = Path::new("a.csv");
    for (options, part) in [
        (vec![("format", "xml")], "'xml' is not a format"),
        (vec![("delimiter", ";;")], "';;' is not one ASCII character"),
        (vec![("delimiter", "\"")], "same character"),
        (vec![("header", "maybe")], "'maybe' is not a boolean"),
        (vec![("compression", "rar")], "'rar' is not known"),
        (vec![("record.bytes.max", "0")], "between 1 and 33554432"),
        (vec![("format", "json"), ("header", "true")], "'header' belongs to format 'csv'"),
        (vec![("format", "parquet"), ("quote", "'")], "'quote' does not belong to format 'parquet'"),
    ] {
        let error = source(path, texts(1), &options).err().unwrap().to_string();
        assert!(error.contains(part), "{options:?}: {error}");
    }
}

#[test]
fn a_compressed_file_that_is_cut_off_or_damaged_is_an_error() {
    let dir = Dir::new();
    let text: String = (0..50_000).map(|n| format!("{}\n", n * 7919 % 65_537)).collect();
    for (name, mut bytes) in [("a.csv.gz", gzip(text.as_bytes())), ("a.csv.zst", zstd(text.as_bytes()))] {
        let whole = dir.write(name, &bytes);
        assert_eq!(read(&source(&whole, texts(1), &[]).unwrap(), 1000).unwrap().rows.len(), 50_000);
        let cut = dir.write(name, &bytes[..bytes.len() / 2]);
        let error = read(&source(&cut, texts(1), &[]).unwrap(), 1000).err().unwrap();
        assert_eq!(error.kind(), Kind::Corrupt, "{error}");
        assert!(error.to_string().contains(name) && error.to_string().contains("at byte"), "{error}");
        let middle = bytes.len() / 2;
        bytes[middle..middle + 64].fill(0xff);
        let damaged = dir.write(name, &bytes);
        let error = read(&source(&damaged, texts(1), &[]).unwrap(), 1000).err().unwrap();
        assert_eq!(error.kind(), Kind::Corrupt, "{error}");
    }
}

#[test]
fn a_file_that_shrinks_or_vanishes_before_its_end_is_an_error() {
    let dir = Dir::new();
    let path = dir.write("a.csv", "a\nb\nc\n");
    let source = source(&path, texts(1), &[]).unwrap();
    let split = source.discover(&[]).unwrap().remove(0);
    dir.write("a.csv", "a\nb\n");
    let error = message(read_from(&source, &[(split.clone(), 2)], 10));
    assert!(error.contains("a.csv has shrunk from 6 to 4 bytes"), "{error}");
    dir.write("a.csv", "x\nb\nc\n");
    let error = message(read_from(&source, &[(split.clone(), 2)], 10));
    assert!(error.contains("a.csv has been replaced"), "{error}");
    std::fs::remove_file(&path).unwrap();
    let error = message(read_from(&source, &[(split.clone(), 2)], 10));
    assert!(error.contains("opening file") && error.contains("a.csv"), "{error}");
    // Once it was read, nobody asks for it again.
    assert!(read_from(&source, &[(split.clone(), 6)], 10).unwrap().rows.is_empty());
    assert!(source.discover(&[split]).unwrap().is_empty());
}

#[test]
fn half_a_record_must_not_be_completed_later() {
    let dir = Dir::new();
    for (text, more, fine) in [("a\nb", "c\n", false), ("a\nb", "\nc\n", true), ("a\n\"b\n", "c\"\n", false)]
    {
        let path = dir.write("a.csv", text);
        let source = source(&path, texts(1), &[]).unwrap();
        let first = source.discover(&[]).unwrap();
        dir.append("a.csv", more);
        let found = source.discover(&first);
        assert_eq!(found.is_ok(), fine, "{text:?}");
        if let Err(error) = found {
            assert!(error.message().contains("a.csv was appended to in the middle of a record"), "{error}");
        }
    }
}

#[test]
fn a_quote_that_is_never_closed_spoils_its_own_line() {
    let dir = Dir::new();
    let path = dir.write("a.csv", "a,b\nc,\"d\ne,f\ng,h\n");
    let all = read(&source(&path, texts(2), &[]).unwrap(), 100).unwrap();
    assert_eq!(all.rows, [["a", "b"], ["e", "f"], ["g", "h"]]);
    let bad: Vec<_> = all.bad.iter().map(|b| (b.offset, b.reason.as_str(), b.raw.as_deref())).collect();
    assert_eq!(bad, [(4, "quote is not closed in field 2 of the record", Some(&b"c,\"d"[..]))]);
}

#[test]
fn a_record_beyond_every_limit_is_one_bad_row() {
    let dir = Dir::new();
    let long = "x".repeat(crate::format::RECORD_BYTES_LIMIT + (3 << 20));
    for (text, offset, options) in [
        (format!("a\n{long}\nb\n"), 2, vec![]),
        (format!("a\n\"{long}\n{long}\"\nb\n"), 2, vec![]),
        (format!("\"a\"\n\"{long}\nb\n"), 4, vec![("record.bytes.max", "100")]),
    ] {
        let path = dir.write("a.csv", &text);
        let all = read(&source(&path, texts(1), &options).unwrap(), 1000).unwrap();
        assert_eq!(all.rows, [["a"], ["b"]]);
        assert_eq!(all.bad.len(), 1);
        assert_eq!(all.bad[0].offset, offset);
        assert!(all.bad[0].reason.contains("record.bytes.max"), "{}", all.bad[0].reason);
    }
    // One that the buffer can hold is counted whole.
    let path = dir.write("a.json", format!("{{\"c0\":\"{}\"}}\n{{\"c0\":\"b\"}}\n", "x".repeat(10 << 20)));
    let all = read(&source(&path, texts(1), &[]).unwrap(), 1000).unwrap();
    assert_eq!(all.rows, [["b"]]);
    assert_eq!((all.bad[0].raw_bytes, all.bad[0].raw.as_ref().unwrap().len()), ((10 << 20) + 9, 4096));
}
