//! The options of a Kafka source, read and checked without reaching a broker.

use std::collections::BTreeSet;

use siltstone_engine::connector::OptionSpec;
use siltstone_engine::error::{Error, Kind, Result};

use crate::format::{self, Decoding};
use crate::option::{self, Options};

/// Longest name of a topic, by Kafka's rule.
const TOPIC_BYTES_MAX: usize = 249;
/// Most topics of one source.
const TOPICS_MAX: usize = 1000;

/// Every option; what is handed to librdkafka as it stands has [`TUNING`] beside it.
pub(super) const OPTIONS: &[OptionSpec] = &[
    required("bootstrap.servers", "brokers to ask first, host:port, several separated by commas"),
    required("topic", "topic to read, several separated by commas"),
    optional("format", "json or csv: how a message's value is written, default json"),
    format::DELIMITER,
    format::QUOTE,
    format::ESCAPE,
    format::NULL,
    optional("record.bytes.max", "bytes of the longest value; a longer one is a bad row; default 1048576"),
    optional("auto.offset.reset", "where a new source starts: earliest (default) or latest"),
    optional(
        "scan.startup.timestamp",
        "milliseconds since 1970 UTC: a new source starts at the first later record",
    ),
    optional("group.id", "group to commit offsets to, as advice for lag tools; default none"),
    optional("gap.policy", "what to do when records are gone: error (default) or skip"),
    optional("security.protocol", "plaintext (default); there is no TLS or SASL in this build"),
    optional("isolation.level", "read_committed (default) or read_uncommitted"),
    optional("client.id", "name that brokers log, default siltstone"),
    optional("client.rack", "rack of this client, to fetch from a replica nearby"),
    optional("fetch.min.bytes", "bytes a broker waits for before it answers, default 1"),
    optional("fetch.wait.max.ms", "milliseconds a broker waits for fetch.min.bytes, default 500"),
    optional("fetch.max.bytes", "bytes of one answer, default 52428800"),
    optional("fetch.message.max.bytes", "bytes of one partition in an answer, default 1048576"),
    optional("receive.message.max.bytes", "bytes of the largest answer accepted, default 100000000"),
    optional("queued.min.messages", "messages to hold ready for each partition, default 100000"),
    optional("queued.max.messages.kbytes", "KiB to hold ready for each reader, default 32768"),
    optional("socket.timeout.ms", "milliseconds until a request counts as lost, default 60000"),
    optional("broker.address.family", "any (default), v4 or v6"),
];

/// Options that librdkafka gets as they stand.
const TUNING: &[&str] = &[
    "isolation.level",
    "client.id",
    "client.rack",
    "fetch.min.bytes",
    "fetch.wait.max.ms",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "receive.message.max.bytes",
    "queued.min.messages",
    "queued.max.messages.kbytes",
    "socket.timeout.ms",
    "broker.address.family",
];

/// Options of ours that say how brokers are reached, who they see, and what is done about a gap.
const ACCESS: &[&str] = &["bootstrap.servers", "group.id", "gap.policy"];

/// Whether an option may change while a source goes on: those above, and how much is fetched at once. None of
/// them changes what a record is.
pub(super) fn is_operational(option: &str) -> bool {
    ACCESS.contains(&option) || (TUNING.contains(&option) && option != "isolation.level")
}

/// What a source was asked to be.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub servers: String,
    pub topics: Vec<String>,
    pub start: Start,
    pub group: Option<String>,
    pub skips_gaps: bool,
    pub tuning: Vec<(&'static str, String)>,
    pub decoding: Decoding,
}

/// Where the partitions that are there at first are read from. Later ones are read from their beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    Earliest,
    Latest,
    /// The first record at or after these milliseconds since 1970 UTC.
    Timestamp(i64),
}

impl Settings {
    pub(super) fn from_options(options: &Options) -> Result<Self> {
        plaintext(options)?;
        let servers = option::required(options, "bootstrap.servers")?.trim().to_owned();
        if servers.split(',').any(|server| server.trim().is_empty()) {
            return Err(Error::invalid(format!("option 'bootstrap.servers': '{servers}' lacks a broker"))
                .with_hint("give host:port, several separated by commas"));
        }
        let group = options.get("group.id").map(|group| group.trim().to_owned());
        if group.as_deref() == Some("") {
            return Err(
                Error::invalid("option 'group.id' is empty").with_hint("leave it out to commit nothing")
            );
        }
        let gaps = one_of(options, "gap.policy", &["error", "skip"])?;
        one_of(options, "isolation.level", &["read_committed", "read_uncommitted"])?;
        let tuning = TUNING.iter().filter_map(|&name| Some((name, options.get(name)?.clone())));
        Ok(Self {
            topics: topics(option::required(options, "topic")?)?,
            start: start(options)?,
            group,
            skips_gaps: gaps == Some("skip"),
            tuning: tuning.collect(),
            decoding: decoding(options)?,
            servers,
        })
    }
}

fn decoding(options: &Options) -> Result<Decoding> {
    let name = options.get("format").map_or("json", String::as_str);
    Decoding::new(name, options)
}

fn start(options: &Options) -> Result<Start> {
    let reset = one_of(options, "auto.offset.reset", &["earliest", "latest"])?;
    let timestamp = option::number(options, "scan.startup.timestamp", 0, i64::MAX)?;
    match (reset, timestamp) {
        (Some(_), Some(_)) => {
            Err(Error::invalid("options 'auto.offset.reset' and 'scan.startup.timestamp' exclude each other"))
        }
        (None, Some(ms)) => Ok(Start::Timestamp(ms)),
        (Some("latest"), None) => Ok(Start::Latest),
        _ => Ok(Start::Earliest),
    }
}

fn topics(list: &str) -> Result<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut topics = Vec::new();
    for name in list.split(',').map(str::trim) {
        let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || name.len() > TOPIC_BYTES_MAX || !name.chars().all(is_legal) {
            return Err(Error::invalid(format!("option 'topic': '{name}' is not a topic's name"))
                .with_hint("letters, digits, '.', '_' and '-'; several topics are separated by commas"));
        }
        if !seen.insert(name) {
            return Err(Error::invalid(format!("option 'topic': '{name}' is named twice")));
        }
        topics.push(name.to_owned());
    }
    if topics.len() > TOPICS_MAX {
        return Err(Error::new(Kind::Exhausted, format!("option 'topic': more than {TOPICS_MAX} topics")));
    }
    Ok(topics)
}

fn plaintext(options: &Options) -> Result<()> {
    match options.get("security.protocol").map(|p| p.trim().to_ascii_lowercase()).as_deref() {
        None | Some("plaintext") => Ok(()),
        Some(other @ ("ssl" | "sasl_plaintext" | "sasl_ssl")) => Err(Error::new(
            Kind::Unsupported,
            format!(
                "option 'security.protocol': '{other}' is not built: there is no TLS or SASL in this build"
            ),
        )
        .with_hint("use plaintext, over a network or tunnel that is trusted")),
        Some(other) => {
            Err(Error::invalid(format!("option 'security.protocol': '{other}' is not a protocol"))
                .with_hint("use plaintext"))
        }
    }
}

/// One of a few words, or nothing.
fn one_of<'a>(options: &'a Options, name: &str, words: &[&str]) -> Result<Option<&'a str>> {
    match options.get(name).map(String::as_str) {
        Some(word) if !words.contains(&word) => {
            Err(Error::invalid(format!("option '{name}': '{word}' is not known"))
                .with_hint(format!("use {}", words.join(" or "))))
        }
        word => Ok(word),
    }
}

const fn required(name: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec { name, required: true, help }
}

const fn optional(name: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec { name, required: false, help }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(given: &[(&str, &str)]) -> Result<Settings> {
        let base = [("bootstrap.servers", "127.0.0.1:9092"), ("topic", "a")];
        let all = base.iter().chain(given).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Settings::from_options(&all.collect())
    }

    fn message(given: &[(&str, &str)]) -> String {
        read(given).expect_err("refused").to_string()
    }

    #[test]
    fn defaults_are_earliest_json_and_no_group() {
        let settings = read(&[]).expect("valid");
        assert_eq!(settings.start, Start::Earliest);
        assert_eq!(settings.group, None);
        assert!(!settings.skips_gaps);
        assert_eq!(settings.decoding.format, format::Format::Json);
        assert_eq!(settings.decoding.record_bytes_max, 1 << 20);
    }

    #[test]
    fn several_topics_are_separated_by_commas() {
        assert_eq!(read(&[("topic", "a, b.c,d_e-1")]).expect("valid").topics, ["a", "b.c", "d_e-1"]);
        assert!(message(&[("topic", "a,,b")]).contains("'' is not a topic's name"));
        assert!(message(&[("topic", "a,b,a")]).contains("'a' is named twice"));
        assert!(message(&[("topic", "^a.*")]).contains("'^a.*'"));
    }

    #[test]
    fn a_wrong_value_is_refused_by_name() {
        assert!(message(&[("auto.offset.reset", "none")]).contains("'auto.offset.reset': 'none'"));
        assert!(message(&[("gap.policy", "ignore")]).contains("'gap.policy': 'ignore'"));
        assert!(message(&[("isolation.level", "x")]).contains("'isolation.level'"));
        assert!(message(&[("scan.startup.timestamp", "-1")]).contains("'scan.startup.timestamp'"));
        assert!(message(&[("format", "avro")]).contains("avro"));
    }

    #[test]
    fn tls_is_unsupported_by_name() {
        let error = read(&[("security.protocol", "SASL_SSL")]).expect_err("refused");
        assert_eq!(error.kind(), Kind::Unsupported);
        assert!(error.to_string().contains("no TLS"));
        assert!(read(&[("security.protocol", "PLAINTEXT")]).is_ok());
    }

    #[test]
    fn every_tuning_option_is_listed() {
        let is_listed = |name: &&str| OPTIONS.iter().any(|option| option.name == *name);
        assert!(TUNING.iter().all(is_listed) && ACCESS.iter().all(is_listed));
    }
}
