//! A lake whose files are objects.

use std::sync::Arc;

use arrow::compute::concat_batches;
use arrow::datatypes::Field;
use object_store::memory::InMemory;
use siltstone_engine::lake::{Lake, Operation};

use super::fixture::{Fixture, columns, events};
use crate::lake::IcebergLake;
use crate::lake::object::Objects;
use crate::lake::sqlite::SqliteCatalog;
use crate::lake::storage::Storage;
use crate::lake::task::Tasks;

fn fixture() -> Fixture {
    let mut fixture = Fixture::empty();
    let tasks = Arc::new(Tasks::new().expect("starts"));
    let storage = Storage::Objects(Objects::of(Arc::new(InMemory::new()), "bucket", tasks));
    let path = fixture.folder.path().join("objects.db");
    let catalog = Box::new(SqliteCatalog::open(&path, storage.clone()).expect("opens"));
    let lake = IcebergLake::of(catalog, storage, "s3://bucket/lake".to_owned(), None);
    lake.create(&fixture.spec).expect("creates");
    fixture.lake = Arc::new(lake);
    fixture
}

#[test]
fn a_lake_of_objects_is_as_one_in_a_folder() {
    let fixture = fixture();
    let (a, b) = (fixture.file("data/a.parquet", 0, 50_000), fixture.file("data/b.parquet", 0, 10));
    fixture.commit(1, Operation::Append, std::slice::from_ref(&a), &[]).expect("appends");
    let table = fixture.commit(2, Operation::Append, std::slice::from_ref(&b), &[]).expect("appends");
    assert_eq!(fixture.paths(2), ["data/a.parquet", "data/b.parquet"]);
    let fields: Vec<Field> = columns().fields().iter().map(|field| (**field).clone()).collect();
    for rows in [0..50_000, 12_345..31_007, 8_191..8_193] {
        let batches =
            fixture.lake.read(&table.location, &a, &fields, rows.start as u64..rows.end as u64, &[]);
        let batches: Vec<_> = batches.expect("opens").collect::<Result<_, _>>().expect("reads");
        let read = concat_batches(&columns(), &batches).expect("fits");
        assert_eq!(read, events(0, 50_000).slice(rows.start, rows.len()), "{rows:?}");
    }
    for _ in 0..2 {
        fixture.lake.delete(&table.location, std::slice::from_ref(&b.path)).expect("deletes, once or again");
    }
    let listed = fixture.lake.list(&table.location).expect("lists");
    assert!(
        listed.contains(&(a.path, a.bytes)) && listed.iter().all(|(path, _)| *path != b.path),
        "{listed:?}"
    );
    fixture.lake.remove(&table).expect("removes");
    assert_eq!(fixture.lake.list(&table.location).expect("lists"), []);
}
