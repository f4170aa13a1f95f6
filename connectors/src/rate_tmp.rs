use std::{collections::BTreeMap, sync::Arc, time::*};
use arrow::datatypes::*;
use crate::{datagen::ad::*, format::Decoding};
use siltstone_engine::connector::*;
#[test]
#[ignore]
fn rate_tmp() {
    let f = |n: &str, t| Field::new(n, t, true);
    let schema: SchemaRef = Arc::new(Schema::new(vec![
        f("ts", DataType::Int64), f("type", DataType::Utf8), f("auction_id", DataType::Utf8), f("advertiser_id", DataType::Int32),
        f("publisher_id", DataType::Int32), f("bid_price", DataType::Float64), f("user_id", DataType::Int64), f("total_price", DataType::Float64), f("country", DataType::Utf8)]));
    let n = 1_000_000u64;
    let g = Generator::new(1, n);
    let t = siltstone_engine::clock::now();
    let ev: Vec<_> = (0..n).map(|i| g.event(i)).collect();
    println!("events {:.2} M/s", n as f64 / t.elapsed().as_secs_f64() / 1e6);
    for format in ["csv", "json", "json-messages"] {
        let mut chunks = vec![]; let mut b = vec![]; let mut msgs = Messages{splits: vec!["t".into()], ..Default::default()};
        let mut total = 0;
        for e in &ev {
            if format == "csv" { e.put_csv(&mut b) } else if format == "json" { e.put_json(&mut b); b.push(b'\n'); } else {
                let s = msgs.bytes.len() as u32; e.put_json(&mut msgs.bytes); let en = msgs.bytes.len() as u32;
                msgs.entries.push(Message{split:0, offset: 0, start: s, end: en, absent: false});
                if msgs.entries.len() >= 4096 { total += msgs.bytes.len(); chunks.push(Payload::Messages(std::mem::replace(&mut msgs, Messages{splits: vec!["t".into()], ..Default::default()}))); }
            }
            if b.len() > 1 << 20 { total += b.len(); chunks.push(Payload::Text{split: "s".into(), offset: 0, bytes: std::mem::take(&mut b)}); }
        }
        let mut d = Decoding::new(&format[..if format == "csv" {3} else {4}], &BTreeMap::new()).unwrap().decoder(&schema).unwrap();
        for _ in 0..4 {
            let t = siltstone_engine::clock::now();
            let mut rows = 0; 
            for c in &chunks { let r = d.decode(c).unwrap(); assert!(r.bad.is_empty()); rows += r.batch.num_rows(); }
            let s = t.elapsed().as_secs_f64();
            println!("{format} {:.2} M rows/s {:.0} MB/s", rows as f64 / s / 1e6, total as f64 / s / 1e6);
        }
    }
    let spec = SourceSpec { name: "s".into(), schema: schema.clone(), options: [("rows".to_string(), n.to_string()), ("splits".into(), "1".into())].into() };
    let src = crate::datagen::DatagenConnector.source(&spec).unwrap();
    let mut r = src.reader().unwrap(); for s in src.discover(&[]).unwrap() { r.assign(&s, 0).unwrap(); }
    let t = siltstone_engine::clock::now();
    while let Poll::Records(_) = r.poll(8192, Duration::from_secs(1)).unwrap() {}
    println!("datagen {:.2} M/s", n as f64 / t.elapsed().as_secs_f64() / 1e6);
    if let Ok(path) = std::env::var("RATE_PATH") {
        let spec = SourceSpec { name: "s".into(), schema: schema.clone(), options: [("path".to_string(), path), ("format".into(), "csv".into()), ("header".into(), "true".into())].into() };
        let src = crate::file::FileConnector.source(&spec).unwrap();
        let t = siltstone_engine::clock::now();
        let sp = src.discover(&[]).unwrap();
        println!("discover {} splits {:?}", sp.len(), t.elapsed());
        let mut r = src.reader().unwrap(); let mut d = src.decoder().unwrap(); for s in &sp { r.assign(s, s.start).unwrap(); }
        let t = siltstone_engine::clock::now(); let (mut rows, mut bad, mut fin) = (0, 0, 0);
        while fin < sp.len() { match r.poll(8192, Duration::ZERO).unwrap() { Poll::Records(f) => { let x = d.decode(&f.payload).unwrap(); rows += x.batch.num_rows(); bad += x.bad.len(); } Poll::Finished(_) => fin += 1, _ => panic!() } }
        let s = t.elapsed().as_secs_f64();
        println!("file: {rows} rows {bad} bad {:.2} M rows/s", rows as f64 / s / 1e6);
    }
}
