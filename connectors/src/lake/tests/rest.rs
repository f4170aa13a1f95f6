//! A catalog behind REST, played by a server that keeps one table.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use iceberg::spec::{TableMetadata, TableMetadataBuilder};
use iceberg::{TableCreation, TableRequirement, TableUpdate};
use serde_json::{Value, json};
use siltstone_engine::clock;
use siltstone_engine::error::Kind;
use siltstone_engine::lake::Operation;

use super::fixture::Fixture;
use crate::lake::{CatalogConfig, IcebergLake, LakeConfig};

#[derive(Default)]
struct Server {
    table: Option<TableMetadata>,
    version: u32,
    /// The next commit is done, and its answer is an error of the server.
    loses_reply: bool,
    asked: Vec<String>,
}

impl Server {
    fn answer(&mut self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        self.asked.push(format!("{method} {path}"));
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        match (method, path) {
            ("GET", "/v1/config?warehouse=here") => {
                (200, json!({ "overrides": { "prefix": "a b" }, "defaults": {} }))
            }
            ("POST", "/v1/a%20b/namespaces") => (409, json!({ "error": { "message": "it is there" } })),
            ("GET", "/v1/a%20b/namespaces/public/tables") => {
                let names = self.table.iter().map(|_| json!({ "namespace": ["public"], "name": "events" }));
                (200, json!({ "identifiers": names.collect::<Vec<_>>() }))
            }
            ("POST", "/v1/a%20b/namespaces/public/tables") if self.table.is_some() => (409, Value::Null),
            ("POST", "/v1/a%20b/namespaces/public/tables") => self.create(&body),
            ("GET", "/v1/a%20b/namespaces/public/tables/events") => self.load(),
            ("POST", "/v1/a%20b/namespaces/public/tables/events") => self.commit(&body),
            ("DELETE", "/v1/a%20b/namespaces/public/tables/events?purgeRequested=false") => {
                self.table = None;
                (204, Value::Null)
            }
            _ => (400, Value::Null),
        }
    }

    fn load(&self) -> (u16, Value) {
        match &self.table {
            None => (404, Value::Null),
            Some(table) => {
                let location = format!("{}/metadata/{:05}.metadata.json", table.location(), self.version);
                (200, json!({ "metadata-location": location, "metadata": table }))
            }
        }
    }

    fn create(&mut self, body: &Value) -> (u16, Value) {
        let creation = TableCreation::builder()
            .name(body["name"].as_str().expect("has a name").to_owned())
            .location(body["location"].as_str().expect("has a location").to_owned())
            .schema(serde_json::from_value(body["schema"].clone()).expect("has a schema"))
            .partition_spec(
                serde_json::from_value::<iceberg::spec::UnboundPartitionSpec>(body["partition-spec"].clone())
                    .expect("has partitions"),
            )
            .sort_order(serde_json::from_value(body["write-order"].clone()).expect("has an order"))
            .properties(
                serde_json::from_value::<std::collections::HashMap<_, _>>(body["properties"].clone())
                    .expect("has properties"),
            )
            .build();
        let built = TableMetadataBuilder::from_table_creation(creation).and_then(|builder| builder.build());
        self.table = Some(built.expect("is a table").metadata);
        self.load()
    }

    fn commit(&mut self, body: &Value) -> (u16, Value) {
        let table = self.table.clone().expect("there is a table");
        let requirements: Vec<TableRequirement> =
            serde_json::from_value(body["requirements"].clone()).expect("has requirements");
        if requirements.iter().any(|requirement| requirement.check(Some(&table)).is_err()) {
            return (409, json!({ "error": { "message": "a requirement failed" } }));
        }
        let updates: Vec<TableUpdate> = serde_json::from_value(body["updates"].clone()).expect("has updates");
        let builder =
            updates.into_iter().try_fold(table.into_builder(None), |builder, update| update.apply(builder));
        self.table = Some(builder.and_then(|builder| builder.build()).expect("applies").metadata);
        self.version += 1;
        if std::mem::take(&mut self.loses_reply) { (504, Value::Null) } else { self.load() }
    }
}

/// Answers one request of a connection.
fn serve(server: &Mutex<Server>, stream: &TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    reader.read_line(&mut line)?;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().expect("is a number");
        }
        if let Some(value) = header.strip_prefix("authorization:") {
            assert_eq!(value.trim(), "bearer secret");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut words = line.split(' ');
    let (method, path) = (words.next().expect("has a method"), words.next().expect("has a path"));
    let (status, answer) = server.lock().expect("no panic").answer(method, path, &body);
    let answer = if answer.is_null() { String::new() } else { answer.to_string() };
    let length = answer.len();
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}")
}

fn fixture() -> (Fixture, Arc<Mutex<Server>>) {
    let server = Arc::new(Mutex::new(Server::default()));
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let uri = format!("http://{}/", listener.local_addr().expect("has an address"));
    let serving = Arc::clone(&server);
    let server_thread = clock::spawn("catalog", move || {
        listener.incoming().for_each(|stream| drop(stream.map(|stream| serve(&serving, &stream))));
    });
    drop(server_thread.expect("starts"));
    let mut fixture = Fixture::empty();
    let catalog = CatalogConfig::Rest {
        uri,
        token: Some("secret".to_owned()),
        credential: None,
        warehouse: Some("here".to_owned()),
    };
    let config = LakeConfig { catalog, ..LakeConfig::local(fixture.folder.path()) };
    fixture.lake = IcebergLake::configured(config).expect("opens");
    fixture.lake.create(&fixture.spec).expect("creates");
    (fixture, server)
}

#[test]
fn a_table_behind_rest_is_as_one_in_a_folder() {
    let (mut fixture, server) = fixture();
    assert_eq!(fixture.lake.create(&fixture.spec).expect_err("is there").kind(), Kind::Exists);
    let [a, b] = ["a", "b"].map(|name| fixture.file(&format!("data/{name}.parquet"), 0, 10));
    fixture.commit(1, Operation::Append, std::slice::from_ref(&a), &[]).expect("appends");
    let table = fixture.commit(2, Operation::Overwrite, std::slice::from_ref(&b), &[&a]).expect("overwrites");
    assert_eq!(
        (table.relation, table.current, table.snapshots.as_slice()),
        (Some(7), Some(2), [1, 2].as_slice())
    );
    assert_eq!(fixture.paths(2), ["data/b.parquet"]);
    fixture.lake.tag("events", "first", Some(1)).expect("tags");
    assert_eq!(fixture.lake.expire("events", &[1]).expect_err("is tagged").kind(), Kind::Invalid);
    let mut fields: Vec<_> = fixture.spec.schema.fields().iter().cloned().collect();
    fields.push(Arc::new(arrow::datatypes::Field::new("new", arrow::datatypes::DataType::Int64, true)));
    fixture.spec.schema = Arc::new(arrow::datatypes::Schema::new(fields));
    fixture.lake.evolve(&fixture.spec).expect("evolves");
    assert_eq!(fixture.lake.roll_back("events", 1).expect("rolls back").current, Some(1));
    assert_eq!(fixture.lake.tables().expect("lists").len(), 1);
    fixture.lake.remove(&fixture.table()).expect("removes");
    assert_eq!(fixture.lake.load("events").expect("looks"), None);
    let asked = server.lock().expect("no panic").asked.len();
    assert!(asked > 10, "{asked}");
}

#[test]
fn after_a_lost_reply_the_commit_is_found() {
    let (fixture, server) = fixture();
    let file = fixture.file("data/a.parquet", 0, 10);
    server.lock().expect("no panic").loses_reply = true;
    let lost = fixture.commit(1, Operation::Append, std::slice::from_ref(&file), &[]);
    assert_eq!(lost.expect_err("the reply was lost").kind(), Kind::Io);
    let found = fixture.commit_behind(None, 1, Operation::Append, &[file], &[]).expect("is done");
    assert_eq!(found.snapshots, [1]);
    let stale = fixture.commit_behind(None, 2, Operation::Append, &[], &[]);
    assert_eq!(stale.expect_err("is stale").kind(), Kind::Exists);
}

#[test]
fn the_lake_is_used_within_another_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("starts");
    runtime.block_on(async {
        let (fixture, _) = fixture();
        assert_eq!(fixture.lake.tables().expect("lists").len(), 1);
    });
}
