//! `run` and `sql` on their own: results, repeated runs, refusals, exit codes.

use std::path::PathBuf;

use crate::process::{Place, ended, finish, program, text};

const ROWS: &str = "country,price\nJP,1.5\nDE,2.25\nJP,0.5\n,7\n";

fn script(place: &Place, aggregate: &str) -> PathBuf {
    let files = place.path("in").join("*.csv");
    place.write(
        "sales.sql",
        &format!(
            "CREATE SOURCE sales (country VARCHAR, price DOUBLE PRECISION)\n\
             WITH (connector = 'file', path = '{}', format = 'csv', header = true);\n\
             \n\
             CREATE MATERIALIZED VIEW countries AS\n\
             SELECT country, count(*) AS n, {aggregate} FROM sales GROUP BY country;\n",
            files.display()
        ),
    )
}

#[test]
fn a_run_reads_files_and_the_next_goes_on() {
    let place = Place::new();
    place.write("in/a.csv", ROWS);
    let file = script(&place, "sum(price) AS total");
    let (code, said) = ended(place.command("run").arg(&file));
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("finished: 4 rows"), "{said}");
    let question = "SELECT * FROM countries ORDER BY country NULLS LAST";
    assert_eq!(place.ask(question), "country,n,total\nDE,1,2.25\nJP,2,2\n,1,7\n");

    place.write("in/b.csv", "country,price\nDE,1\n");
    let (code, said) = ended(place.command("run").arg("--bounded").arg(&file));
    assert_eq!(code, 0, "{said}");
    assert_eq!(place.ask(question), "country,n,total\nDE,2,3.25\nJP,2,2\n,1,7\n");
}

#[test]
fn another_definition_of_the_same_name_is_refused() {
    let place = Place::new();
    place.write("in/a.csv", ROWS);
    assert_eq!(ended(place.command("run").arg(script(&place, "sum(price) AS total"))).0, 0);
    let (code, said) = ended(place.command("run").arg(script(&place, "max(price) AS total")));
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("countries") && said.contains("max"), "{said}");
    assert!(said.contains("sales.sql:4"), "{said}");
    assert_eq!(ended(place.command("run").arg(script(&place, "sum(price) AS total"))).0, 0);
}

#[test]
fn variables_and_queries_in_a_script() {
    let place = Place::new();
    let input = place.write("in/a.csv", ROWS);
    let file = place.write(
        "sales.sql",
        "CREATE SOURCE sales (country VARCHAR, price DOUBLE PRECISION)\n\
         WITH (connector = 'file', path = :'csv', format = 'csv', header = true);\n\
         CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n FROM sales;\n\
         SELECT n AS seen FROM total;\n",
    );
    let (code, said) = ended(place.command("run").arg(&file));
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("csv"), "{said}");
    let csv = format!("csv={}", input.display());
    let output = finish(place.command("run").args(["--bounded", "-v", &csv]).arg(&file));
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), " seen \n------\n    4\n(1 row)\n\n");
}

#[test]
fn errors_say_what_where_and_the_sqlstate() {
    let place = Place::new();
    let file = place.write("wrong.sql", "\n\nSELECT * FROM nowhere;\n");
    let (code, said) = ended(place.command("run").arg(file));
    assert_eq!(code, 4, "{said}");
    for word in ["nowhere", "wrong.sql:3", "42P01"] {
        assert!(said.contains(word), "{word}: {said}");
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    let place = Place::new();
    let config = place.write("siltstone.toml", "memroy = '1GiB'\n");
    let config = config.display().to_string();
    let cases: [(&[&str], &str); 6] = [
        (&["run", "x.sql"], "--data"),
        (&["run", "--data", "d", "--memory", "lots", "x.sql"], "lots"),
        (&["run", "--data", "d", "--memory", "1MiB", "x.sql"], "64MiB"),
        (&["sql", "--data", "d", "--config", &config, "-c", "SELECT 1"], "memroy"),
        (&["serve", "--data", "d", "--pg", "0.0.0.0:0"], "TLS"),
        (&["walk"], "walk"),
    ];
    for (arguments, word) in cases {
        let (code, said) = ended(program().args(arguments));
        assert_eq!(code, 2, "{arguments:?}: {said}");
        assert!(said.contains(word), "{arguments:?}: {said}");
    }
}

#[test]
fn a_script_that_is_not_there_is_named_with_a_hint() {
    let place = Place::new();
    for arguments in [&["nowhere.sql"][..], &["--pg", "127.0.0.1:0", "nowhere.sql"]] {
        let command = if arguments.len() == 1 { "run" } else { "serve" };
        let (code, said) = ended(place.command(command).args(arguments));
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("nowhere.sql") && said.contains("hint:"), "{said}");
    }
}

#[test]
fn a_directory_that_is_not_there_is_not_made_by_a_query() {
    let place = Place::new();
    let (code, said) = ended(place.command("sql").args(["-c", "SELECT 1"]));
    assert_eq!(code, 1, "{said}");
    assert!(!place.data().exists());
}

#[test]
fn rows_that_are_inserted_are_there_afterwards() {
    let place = Place::new();
    let create = "CREATE TABLE t (x BIGINT, s VARCHAR) WITH (connector = 'push')";
    let output =
        finish(place.command("sql").args(["-c", create, "-c", "INSERT INTO t VALUES (1, 'a'), (2, NULL)"]));
    assert_eq!(text(&output.stdout), "CREATE TABLE\nINSERT 0 2\n", "{}", text(&output.stderr));
    assert_eq!(place.ask("SELECT x, s FROM t ORDER BY x"), "x,s\n1,a\n2,\n");
    let json = finish(place.command("sql").args(["--format", "json", "-c", "SELECT x, s FROM t ORDER BY x"]));
    assert_eq!(text(&json.stdout), "{\"x\":1,\"s\":\"a\"}\n{\"x\":2,\"s\":null}\n");
}
