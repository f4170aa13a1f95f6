//! The settings of a session: PostgreSQL's names, each either honoured or held at its one value.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use datafusion::arrow::array::timezone::Tz;

use crate::data_type::UTC;
use crate::error::{Error, Result, sqlstate};
use crate::nearest::nearest;
use crate::parse::name::PUBLIC;

/// The version of PostgreSQL whose dialect clients may expect.
pub const SERVER_VERSION: &str = "16.6";

/// How a value is checked.
#[derive(Clone, Copy)]
enum Rule {
    /// Any text.
    Free,
    /// Cannot be changed.
    Fixed,
    /// One of these, in any case; the first is what they all mean.
    OneOf(&'static [&'static str]),
    /// A time span, in milliseconds if it has no unit.
    Span,
    Zone,
    Path,
    /// A whole number between the two.
    Number(i64, i64),
    DateStyle,
    /// On or off.
    Switch,
}

struct Setting {
    name: &'static str,
    default: &'static str,
    rule: Rule,
    help: &'static str,
}

const fn setting(name: &'static str, default: &'static str, rule: Rule, help: &'static str) -> Setting {
    Setting { name, default, rule, help }
}

/// All settings, by name.
const SETTINGS: &[Setting] = &[
    setting("application_name", "", Rule::Free, "the client's name for itself"),
    setting("bytea_output", "hex", Rule::OneOf(&["hex"]), "how bytes are shown"),
    setting("client_encoding", "UTF8", Rule::OneOf(&["UTF8", "UTF-8", "UNICODE"]), "the encoding of text"),
    setting(
        "client_min_messages",
        "notice",
        Rule::OneOf(&["notice", "debug5", "debug4", "debug3", "debug2", "debug1", "debug", "log", "info"]),
        "which notices are sent",
    ),
    setting("DateStyle", "ISO, MDY", Rule::DateStyle, "how dates are shown"),
    setting(
        "default_transaction_isolation",
        "read committed",
        Rule::OneOf(&["read committed"]),
        "every statement reads one epoch of its own",
    ),
    setting(
        "default_transaction_read_only",
        "off",
        Rule::OneOf(&["off", "false", "0"]),
        "statements may write",
    ),
    setting("extra_float_digits", "1", Rule::Number(1, 3), "floats are shown with all their digits"),
    setting("idle_in_transaction_session_timeout", "0", Rule::OneOf(&["0"]), "there are no transactions"),
    setting("idle_session_timeout", "0", Rule::OneOf(&["0"]), "sessions may idle"),
    setting("in_hot_standby", "off", Rule::Fixed, "this is no standby"),
    setting("integer_datetimes", "on", Rule::Fixed, "times are whole microseconds"),
    setting("IntervalStyle", "postgres", Rule::OneOf(&["postgres"]), "how intervals are shown"),
    setting("is_superuser", "on", Rule::Fixed, "who may connect may do everything"),
    setting("lock_timeout", "0", Rule::OneOf(&["0"]), "statements do not wait for locks"),
    setting("max_identifier_length", "63", Rule::Fixed, "what clients may rely on for names"),
    setting(
        "result_cache",
        "on",
        Rule::Switch,
        "groups folded of kept rows are used again while the rows stay",
    ),
    setting("row_security", "off", Rule::OneOf(&["off", "false", "0"]), "there are no row policies"),
    setting(
        "search_path",
        "\"$user\", public",
        Rule::Path,
        "schemas that names are looked up in; the first counts",
    ),
    setting("server_encoding", "UTF8", Rule::Fixed, "the encoding of stored text"),
    setting("server_version", SERVER_VERSION, Rule::Fixed, "the PostgreSQL that clients may expect"),
    setting("server_version_num", "160006", Rule::Fixed, "the same as a number"),
    setting("session_authorization", "siltstone", Rule::Fixed, "the user"),
    setting(
        "standard_conforming_strings",
        "on",
        Rule::OneOf(&["on", "true", "1", "yes"]),
        "backslashes are plain",
    ),
    setting("statement_timeout", "0", Rule::Span, "ends statements that take longer; 0 for never"),
    setting(
        "synchronous_commit",
        "on",
        Rule::OneOf(&["on", "true", "1", "yes"]),
        "INSERT always waits for the disk",
    ),
    setting("TimeZone", "UTC", Rule::Zone, "the zone that timestamptz is shown in and read as; UTC only"),
    setting(
        "transaction_isolation",
        "read committed",
        Rule::OneOf(&["read committed"]),
        "every statement reads one epoch of its own",
    ),
    setting("transaction_read_only", "off", Rule::OneOf(&["off", "false", "0"]), "statements may write"),
];

/// The values of one session.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    changed: BTreeMap<&'static str, String>,
}

impl Settings {
    pub fn get(&self, name: &str) -> Option<String> {
        let setting = find(name)?;
        Some(self.changed.get(setting.name).cloned().unwrap_or_else(|| setting.default.to_owned()))
    }

    /// # Errors
    /// 42704 if there is no such setting, 22023 or 0A000 if it does not take the value.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let setting = known(name)?;
        let value = check(setting, value)?;
        self.changed.insert(setting.name, value);
        Ok(())
    }

    pub fn reset(&mut self, name: &str) -> Result<()> {
        self.changed.remove(known(name)?.name);
        Ok(())
    }

    /// All back to their defaults, but for the name that the client gave itself.
    pub fn reset_all(&mut self) {
        self.changed.retain(|name, _| *name == "application_name");
    }

    /// Name, value and meaning of all.
    pub fn all(&self) -> Vec<(String, String, String)> {
        let value = |setting: &Setting| self.get(setting.name).unwrap_or_default();
        SETTINGS.iter().map(|s| (s.name.to_owned(), value(s), s.help.to_owned())).collect()
    }

    pub fn statement_timeout(&self) -> Option<Duration> {
        let millis = self.get("statement_timeout").and_then(|text| span(&text))?;
        (millis > 0).then(|| Duration::from_millis(millis))
    }

    /// The zone for `timestamptz`.
    pub fn zone(&self) -> String {
        self.get("TimeZone").and_then(|name| zone(&name)).unwrap_or_else(|| UTC.to_owned())
    }

    /// Whether what was folded of kept rows before may be used again.
    pub fn result_cache(&self) -> bool {
        self.get("result_cache").as_deref() == Some("on")
    }

    /// The schema of names without one.
    pub fn schema(&self) -> String {
        self.get("search_path").and_then(|path| first_schema(&path)).unwrap_or_else(|| PUBLIC.to_owned())
    }
}

fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name.eq_ignore_ascii_case(name))
}

fn known(name: &str) -> Result<&'static Setting> {
    find(name).ok_or_else(|| {
        let near = nearest(name, SETTINGS.iter().map(|setting| setting.name));
        let near =
            near.map_or_else(|| "SHOW ALL lists them".to_owned(), |near| format!("did you mean \"{near}\"?"));
        Error::new(sqlstate::UNDEFINED_OBJECT, format!("unrecognized configuration parameter \"{name}\""))
            .with_hint(near)
    })
}

fn check(setting: &Setting, value: &str) -> Result<String> {
    let refused = |hint: String| {
        let message = format!("invalid value for parameter \"{}\": \"{value}\"", setting.name);
        Err(Error::new(sqlstate::INVALID_PARAMETER_VALUE, message).with_hint(hint))
    };
    match setting.rule {
        Rule::Free => Ok(value.to_owned()),
        Rule::Fixed if value == setting.default => Ok(value.to_owned()),
        Rule::Fixed => Err(Error::new("55P02", format!("parameter \"{}\" cannot be changed", setting.name))),
        Rule::OneOf(values) if values.iter().any(|v| v.eq_ignore_ascii_case(value)) => {
            Ok(setting.default.to_owned())
        }
        Rule::OneOf(values) => refused(format!("it takes {} only", values[0])),
        Rule::Span if span(value).is_some() => Ok(value.to_owned()),
        Rule::Span => refused("it takes milliseconds, or a number with ms, s, min, h or d".to_owned()),
        Rule::Zone => match zone(value) {
            Some(name) if name == UTC => Ok(setting.default.to_owned()),
            Some(_) => Err(Error::unsupported(format!("time zone \"{value}\""))
                .with_hint("only UTC is there; move a timestamp by an interval to see another zone's time")),
            None => refused("it takes UTC".to_owned()),
        },
        Rule::Path if first_schema(value).is_some() => Ok(value.to_owned()),
        Rule::Path => {
            refused("the schemas are public, siltstone, pg_catalog and information_schema".to_owned())
        }
        Rule::Number(least, most) => match value.parse::<i64>() {
            Ok(number) if (least..=most).contains(&number) => Ok(number.to_string()),
            _ => refused(format!("it takes {least} to {most}")),
        },
        Rule::Switch => match value.to_lowercase().as_str() {
            "on" | "true" | "1" | "yes" => Ok("on".to_owned()),
            "off" | "false" | "0" | "no" => Ok("off".to_owned()),
            _ => refused("it takes on or off".to_owned()),
        },
        Rule::DateStyle => match value.split(',').next().map(str::trim) {
            Some(style) if style.eq_ignore_ascii_case("iso") => Ok(setting.default.to_owned()),
            _ => refused("dates are shown in ISO style only".to_owned()),
        },
    }
}

/// Milliseconds.
fn span(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(unit)
}

/// The zone's name for arrow.
fn zone(name: &str) -> Option<String> {
    const UTC_NAMES: [&str; 6] = ["utc", "gmt", "z", "etc/utc", "zulu", "+00:00"];
    if UTC_NAMES.contains(&name.to_lowercase().as_str()) {
        return Some(UTC.to_owned());
    }
    Tz::from_str(name).ok().map(|_| name.to_owned())
}

fn first_schema(path: &str) -> Option<String> {
    const SCHEMAS: [&str; 4] = [PUBLIC, "siltstone", "pg_catalog", "information_schema"];
    let mut names = path.split(',').map(|name| name.trim().trim_matches('"').to_lowercase());
    names.find(|name| SCHEMAS.contains(&name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_units() {
        assert_eq!(span("250"), Some(250));
        assert_eq!(span("3s"), Some(3_000));
        assert_eq!(span("2 min"), Some(120_000));
        assert_eq!(span("soon"), None);
    }

    #[test]
    fn a_setting_keeps_to_what_it_can_mean() {
        let mut settings = Settings::default();
        settings.set("datestyle", "ISO").expect("the style there is");
        assert_eq!(settings.set("datestyle", "German").expect_err("no other").sqlstate(), "22023");
        assert_eq!(
            settings.set("statement_timout", "1").expect_err("a typo").hint(),
            Some("did you mean \"statement_timeout\"?")
        );
        settings.set("timezone", "Etc/UTC").expect("the zone there is");
        assert_eq!(settings.set("timezone", "Europe/Berlin").expect_err("no other").sqlstate(), "0A000");
        assert_eq!(settings.get("TIMEZONE").as_deref(), Some("UTC"));
        settings.set("STATEMENT_TIMEOUT", "2s").expect("a span");
        assert_eq!(settings.statement_timeout(), Some(Duration::from_secs(2)));
    }
}
