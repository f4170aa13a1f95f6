//! What cannot work is refused by name, and soon.

use siltstone_engine::error::Kind;

use crate::broker::{fresh, shared};
use crate::reading::{source, try_source};

#[test]
fn a_topic_that_does_not_exist_is_named() {
    let topic = fresh("missing");
    let error = source(&shared().address, &topic, &[]).discover(&[]).expect_err("no such topic");
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().contains(&topic), "{error}");
    assert!(error.to_string().contains(&shared().address), "{error}");
}

#[test]
fn a_broker_that_does_not_answer_is_named() {
    // Nobody listens at the port of the discard service.
    let error = source("127.0.0.1:9", "t", &[]).discover(&[]).expect_err("no broker");
    assert_eq!(error.kind(), Kind::Io);
    let text = error.to_string();
    assert!(text.contains("127.0.0.1:9") && text.contains("'t'") && text.contains("within 30 s"), "{text}");
}

#[test]
fn a_value_that_librdkafka_does_not_take_is_refused_by_name() {
    let Err(error) = try_source("127.0.0.1:9", "t", &[("fetch.min.bytes", "many")]) else {
        panic!("accepted")
    };
    assert!(error.to_string().contains("'fetch.min.bytes': 'many'"), "{error}");
}
