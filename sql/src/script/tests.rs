//! Scripts in, statements out.

use std::collections::BTreeMap;
use std::fs;

use super::{from_text, is_complete, load};

fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn texts(script: &str, pairs: &[(&str, &str)]) -> Vec<String> {
    let statements = from_text(script, &variables(pairs)).expect("a script");
    statements.into_iter().map(|statement| statement.sql).collect()
}

#[test]
fn variables_are_put_in_outside_of_literals_and_comments_only() {
    let script =
        "-- run with -v csv='DATA/*.csv' :csv; don't\nselect :n::int, ':n', \":n\", :'csv' /* :x 'y; */;";
    let found = texts(script, &[("n", "1"), ("csv", "it's/*.csv")]);
    assert_eq!(found, ["select 1::int, ':n', \":n\", 'it''s/*.csv' /* :x 'y; */"]);
}

#[test]
fn statements_are_cut_at_semicolons_outside_of_quotes() {
    let found = texts("select ';', E'\\';', $$;$$, $a$;$$;$a$, \"a;\"; ; -- end;\nselect 2", &[]);
    assert_eq!(found, ["select ';', E'\\';', $$;$$, $a$;$$;$a$, \"a;\"", "select 2"]);
}

#[test]
fn an_undefined_variable_names_its_flag() {
    let error = from_text("select 1;\nselect :'brokers'", &BTreeMap::new()).expect_err("not set");
    assert_eq!(error.message(), "-:2: variable \"brokers\" is not set");
    assert!(error.hint().is_some_and(|hint| hint.contains("-v brokers=")), "{error:?}");
}

#[test]
fn an_include_stands_beside_its_file_and_may_not_include_itself() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    fs::write(path("a.sql"), "\\set x 5\nselect 1;\n\n\\i b.sql\nselect 3;").expect("written");
    fs::write(path("b.sql"), "-- it's b\nselect :x;\n").expect("written");
    let found = load(&path("a.sql"), &BTreeMap::new()).expect("a script");
    let lines: Vec<(&str, usize)> = found.iter().map(|s| (s.sql.as_str(), s.line)).collect();
    assert_eq!(lines, [("select 1", 2), ("select 5", 2), ("select 3", 5)]);
    assert!(found[1].file.ends_with("b.sql"), "{:?}", found[1].file);

    fs::write(path("c.sql"), "\\i c.sql").expect("written");
    let error = load(&path("c.sql"), &BTreeMap::new()).expect_err("a cycle");
    assert!(error.message().contains("includes itself"), "{error}");
}

#[test]
fn a_buffer_is_complete_at_its_last_semicolon() {
    assert!(is_complete("select 1; -- done"));
    assert!(is_complete(""));
    assert!(!is_complete("select 1"));
    assert!(!is_complete("select ';"));
    assert!(!is_complete("select $$ ;"));
    assert!(!is_complete("select 1; select"));
}
