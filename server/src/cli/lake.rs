//! Where the lake is: beside the store, or as the configuration file says.

use std::collections::BTreeMap;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use siltstone_connectors::lake::{CatalogConfig, IcebergLake, LakeConfig};
use siltstone_engine::error::{Error, Result};
use siltstone_engine::lake::Lake;
use siltstone_engine::runtime::Options;

use super::failure::Failure;
use super::size;

/// The folder in the data directory.
pub(super) const FOLDER: &str = "lake";

/// The file that names the directory.
const OWNER_FILE: &str = "LAKE";

/// Each snapshot costs a few files and fsyncs.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

/// `[lake]` of the configuration file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LakeSection {
    interval: Option<String>,
    snapshots: Option<usize>,
    /// A folder or `s3://bucket/prefix`; beside the store if it is not given.
    warehouse: Option<String>,
    /// `sqlite`, which is the default, or `rest`.
    catalog: Option<String>,
    /// Of a REST catalog.
    uri: Option<String>,
    token: Option<String>,
    credential: Option<String>,
    /// A REST catalog's name for the warehouse.
    name: Option<String>,
    /// Options of the object store.
    storage: BTreeMap<String, String>,
}

/// The lake of a process.
#[derive(Clone, Debug)]
pub(super) struct LakeSettings {
    pub(super) interval: Duration,
    pub(super) snapshots: usize,
    warehouse: Option<String>,
    storage: BTreeMap<String, String>,
    rest: Option<CatalogConfig>,
}

impl LakeSection {
    /// With the flags before it.
    pub(super) fn settings(
        self,
        interval: Option<Duration>,
        snapshots: Option<usize>,
    ) -> Result<LakeSettings, Failure> {
        let own = self.interval.map(|text| size::time(&text)).transpose();
        let own = own.map_err(|e| Failure::usage(format!("configuration: lake.interval: {e}")))?;
        let interval = interval.or(own).unwrap_or(Options::default().lake_interval);
        if interval < INTERVAL_MIN {
            let least = INTERVAL_MIN.as_millis();
            return Err(Failure::usage(format!("--lake-interval is shorter than {least}ms")));
        }
        let snapshots = snapshots.or(self.snapshots).unwrap_or(Options::default().lake_snapshots);
        if snapshots == 0 {
            return Err(Failure::usage("--lake-snapshots 0: the current one always stays"));
        }
        let rest = match (self.catalog.as_deref().unwrap_or("sqlite"), self.uri) {
            ("sqlite", None) => None,
            ("rest", Some(uri)) => Some(CatalogConfig::Rest {
                uri,
                token: self.token,
                credential: self.credential,
                warehouse: self.name,
            }),
            ("rest", None) => {
                return Err(Failure::usage(
                    "configuration: lake.catalog is 'rest', and lake.uri is not given",
                ));
            }
            ("sqlite", Some(_)) => {
                return Err(Failure::usage(
                    "configuration: lake.uri is given, and lake.catalog is not 'rest'",
                ));
            }
            (other, _) => {
                let message = format!("configuration: lake.catalog '{other}' is not 'sqlite' or 'rest'");
                return Err(Failure::usage(message));
            }
        };
        Ok(LakeSettings { interval, snapshots, warehouse: self.warehouse, storage: self.storage, rest })
    }
}

impl LakeSettings {
    /// The lake of a data directory. Blocks.
    pub(super) fn open(&self, dir: &Path) -> Result<Arc<dyn Lake>> {
        let mut config = LakeConfig::local(&dir.join(FOLDER));
        if let Some(warehouse) = &self.warehouse {
            config.warehouse.clone_from(warehouse);
        }
        if let Some(rest) = &self.rest {
            config.catalog = rest.clone();
        }
        if self.warehouse.is_some() || self.rest.is_some() {
            config.owner = Some(owner(dir)?);
        }
        config.storage = self.storage.clone().into_iter().collect();
        Ok(IcebergLake::configured(config)?)
    }
}

/// The name of a data directory among those that share a lake: made up once, and kept in it.
fn owner(dir: &Path) -> Result<String> {
    let path = dir.join(OWNER_FILE);
    let failed = |e| Error::io(format!("the lake's name of this directory in {}", path.display()), e);
    match std::fs::read_to_string(&path) {
        Ok(owner) if !owner.trim().is_empty() => return Ok(owner.trim().to_owned()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    // Its keys are random.
    let owner = format!("{:016x}", RandomState::new().hash_one(dir));
    std::fs::write(&path, &owner).map_err(failed)?;
    File::open(&path).and_then(|file| file.sync_all()).map_err(failed)?;
    File::open(dir).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(owner)
}
