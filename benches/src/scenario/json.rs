//! `json`: as [`super::replay`], from JSON lines.

use std::io;

use super::replay::over_files;
use crate::arena::Arena;
use crate::script::{all_views, source};
use crate::setting::Setting;

pub fn measure(setting: &Setting) -> io::Result<()> {
    let arena = Arena::new(setting)?;
    let jsonl = arena.ads("jsonl")?;
    let source = source("connector = 'file', path = :'jsonl', format = 'json'")?;
    let script = arena.file("json.sql", &(source + &all_views()?))?;
    over_files(&arena, "json", &script, &format!("jsonl={jsonl}"), &["derive-json", &jsonl])
}
