//! Options of `WITH`, read with their types. A value that does not fit names the option and what fits.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use siltstone_engine::error::{Error, Result};

/// The options that were given, without `connector`.
pub(crate) type Options = BTreeMap<String, String>;

/// A text that must be there.
pub(crate) fn required<'a>(options: &'a Options, name: &str) -> Result<&'a str> {
    options.get(name).map(String::as_str).ok_or_else(|| Error::invalid(format!("option '{name}' is missing")))
}

/// `true` or `false`; absent is `default`.
pub(crate) fn boolean(options: &Options, name: &str, default: bool) -> Result<bool> {
    match options.get(name).map(|v| v.trim().to_ascii_lowercase()).as_deref() {
        None => Ok(default),
        Some("true" | "on" | "yes" | "1") => Ok(true),
        Some("false" | "off" | "no" | "0") => Ok(false),
        Some(other) => Err(Error::invalid(format!("option '{name}': '{other}' is not a boolean"))
            .with_hint("give true or false")),
    }
}

/// A number between two bounds, both allowed; absent is `None`.
pub(crate) fn number<T>(options: &Options, name: &str, least: T, most: T) -> Result<Option<T>>
where
    T: FromStr + PartialOrd + Display,
{
    let Some(text) = options.get(name) else { return Ok(None) };
    match text.trim().replace('_', "").parse::<T>() {
        Ok(value) if value >= least && value <= most => Ok(Some(value)),
        _ => Err(Error::invalid(format!(
            "option '{name}': '{text}' is not a number between {least} and {most}"
        ))),
    }
}

/// One ASCII character; absent is `default`. `\t` may be written out.
pub(crate) fn byte(options: &Options, name: &str, default: u8) -> Result<u8> {
    let Some(text) = options.get(name) else { return Ok(default) };
    match text.as_bytes() {
        b"\\t" => Ok(b'\t'),
        [one] if one.is_ascii() && !matches!(one, b'\n' | b'\r' | 0) => Ok(*one),
        _ => Err(Error::invalid(format!("option '{name}': '{text}' is not one ASCII character"))
            .with_hint("line ends are not allowed; a tab may be given as '\\t'")),
    }
}
