//! From the option `path` to files.

use std::path::Path;

use siltstone_engine::error::{Error, Kind, Result};

use super::compression::Compression;

/// Paths and patterns, as they were given.
#[derive(Clone, Debug)]
pub(super) struct Patterns {
    patterns: Vec<String>,
}

impl Patterns {
    pub(super) fn new(text: &str) -> Result<Self> {
        // A file whose name holds a comma is taken as it is.
        let patterns: Vec<String> = if Path::new(text).is_file() {
            vec![text.to_owned()]
        } else {
            text.split(',').map(|p| p.trim().to_owned()).filter(|p| !p.is_empty()).collect()
        };
        if patterns.is_empty() {
            return Err(Error::invalid("option 'path' is empty")
                .with_hint("give a file or a pattern such as 'data/*.csv'"));
        }
        for pattern in &patterns {
            glob::Pattern::new(pattern).map_err(|e| {
                Error::invalid(format!("option 'path': '{pattern}' is not a pattern")).because(e)
            })?;
        }
        Ok(Self { patterns })
    }

    /// The format that the extensions tell.
    pub(super) fn format(&self) -> Result<String> {
        let mut formats = self.patterns.iter().map(|p| format_of(p));
        let first = formats.next().flatten();
        match first {
            Some(format) if formats.all(|f| f == Some(format)) => Ok(format.to_owned()),
            _ => Err(Error::invalid(format!(
                "option 'format' is missing, and the path '{}' does not tell it",
                self.patterns.join(",")
            ))
            .with_hint("set format to csv, json or parquet")),
        }
    }

    /// The files there are: absolute paths in order, each once.
    ///
    /// # Errors
    /// If a pattern matches no file, unless `may_be_gone`.
    pub(super) fn files(&self, may_be_gone: bool) -> Result<Vec<String>> {
        let mut files = Vec::new();
        for pattern in &self.patterns {
            let before = files.len();
            if Path::new(pattern).is_file() {
                files.push(absolute(Path::new(pattern))?);
            } else {
                let found = glob::glob(pattern).map_err(|e| {
                    Error::invalid(format!("option 'path': '{pattern}' is not a pattern")).because(e)
                })?;
                for path in found {
                    let path = path.map_err(|e| Error::io(format!("listing files of '{pattern}'"), e))?;
                    if path.is_file() {
                        files.push(absolute(&path)?);
                    }
                }
            }
            if files.len() == before && !may_be_gone {
                let hint = if Path::new(pattern).is_dir() {
                    format!(
                        "it is a directory; name its files, as in '{}/*.csv'",
                        pattern.trim_end_matches('/')
                    )
                } else {
                    "relative paths start at the working directory".to_owned()
                };
                return Err(
                    Error::new(Kind::NotFound, format!("no file matches '{pattern}'")).with_hint(hint)
                );
            }
        }
        files.sort_unstable();
        files.dedup();
        Ok(files)
    }
}

fn absolute(path: &Path) -> Result<String> {
    let path = std::path::absolute(path)
        .map_err(|e| Error::io(format!("finding the absolute path of {}", path.display()), e))?;
    path.to_str()
        .map(str::to_owned)
        .ok_or_else(|| Error::invalid(format!("the name of file {} is not UTF-8", path.display())))
}

fn format_of(path: &str) -> Option<&'static str> {
    let path = path.to_ascii_lowercase();
    let path = Compression::strip_extension(&path);
    match path.rsplit_once('.')?.1 {
        "csv" => Some("csv"),
        "json" | "jsonl" | "ndjson" => Some("json"),
        "parquet" => Some("parquet"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_tells_the_format() {
        let format = |path: &str| Patterns::new(path).unwrap().format();
        assert_eq!(format("a/*.csv").unwrap(), "csv");
        assert_eq!(format("a.JSONL.gz, b/*.json").unwrap(), "json");
        assert_eq!(format("a.parquet").unwrap(), "parquet");
        assert!(format("a/*").is_err());
        assert!(format("a.csv,b.json").is_err());
    }
}
