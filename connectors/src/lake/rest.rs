//! A catalog behind Iceberg's REST protocol, which writes the metadata files itself.
//!
//! Only a conflict says that nothing was done. After a lost reply, a timeout or a server's error, whoever asked
//! has to look.

use std::sync::Arc;
use std::time::Duration;

use iceberg::spec::TableMetadata;
use iceberg::{TableCreation, TableUpdate};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};
use siltstone_engine::error::{Error, Kind, Result};
use siltstone_engine::lake::fault;

use super::catalog::{Catalog, Change, NAMESPACE, Version};
use super::cause::Cause;
use super::task::Tasks;

/// How long an answer is waited for.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Pages of a list of tables that are asked for at most.
const PAGES_MAX: usize = 1000;

/// How to reach a server.
#[derive(Clone, Debug, Default)]
pub(super) struct Access {
    pub uri: String,
    pub token: Option<String>,
    pub credential: Option<String>,
    pub warehouse: Option<String>,
}

/// A server's catalog.
#[derive(Debug)]
pub(super) struct RestCatalog {
    client: Client,
    tasks: Arc<Tasks>,
    /// Of all paths, with what the server puts before them.
    root: String,
    token: Option<String>,
}

struct Answer {
    status: StatusCode,
    body: Vec<u8>,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    defaults: Map<String, Value>,
    #[serde(default)]
    overrides: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Loaded {
    metadata_location: Option<String>,
    metadata: Box<RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Listed {
    identifiers: Vec<Identifier>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct Identifier {
    name: String,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

impl RestCatalog {
    /// Asks the server for its configuration, and makes the namespace if it has none.
    pub fn open(access: Access, tasks: Arc<Tasks>) -> Result<Self> {
        let client = Client::builder().timeout(TIMEOUT).build().doing("preparing requests to the catalog")?;
        let uri = access.uri.trim_end_matches('/').to_owned();
        let mut catalog = Self { client, tasks, root: format!("{uri}/v1"), token: access.token };
        if let (None, Some(credential)) = (&catalog.token, &access.credential) {
            catalog.token = Some(catalog.exchange(credential)?);
        }
        let mut request = catalog.request(Method::GET, "/config");
        if let Some(warehouse) = &access.warehouse {
            request = request.query(&[("warehouse", warehouse)]);
        }
        let answer = catalog.send(request)?.expect_success("asking the catalog for its configuration")?;
        let config: Config = answer.parse("the catalog's configuration")?;
        let prefix = config.overrides.get("prefix").or_else(|| config.defaults.get("prefix"));
        if let Some(prefix) = prefix.and_then(Value::as_str).filter(|prefix| !prefix.is_empty()) {
            catalog.root = format!("{}/{}", catalog.root, escape(prefix));
        }
        let namespace = json!({ "namespace": [NAMESPACE], "properties": {} });
        let made = catalog.send(catalog.request(Method::POST, "/namespaces").json(&namespace))?;
        if made.status != StatusCode::CONFLICT {
            made.expect_success("making the namespace")?;
        }
        Ok(catalog)
    }

    /// A token for `client:secret`.
    fn exchange(&self, credential: &str) -> Result<String> {
        let (id, secret) = credential.split_once(':').unwrap_or(("", credential));
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", id),
            ("client_secret", secret),
            ("scope", "catalog"),
        ];
        let request = self.request(Method::POST, "/oauth/tokens").form(&form);
        let answer = self.send(request)?.expect_success("asking the catalog for a token")?;
        Ok(answer.parse::<Token>("the catalog's token")?.access_token)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.root));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    fn table(&self, method: Method, table: &str) -> RequestBuilder {
        self.request(method, &format!("/namespaces/{NAMESPACE}/tables/{}", escape(table)))
    }

    fn send(&self, request: RequestBuilder) -> Result<Answer> {
        let send = async {
            let response = request.send().await?;
            let status = response.status();
            Ok::<_, reqwest::Error>(Answer { status, body: response.bytes().await?.to_vec() })
        };
        self.tasks.wait(send)?.doing("asking the catalog")
    }
}

impl Catalog for RestCatalog {
    fn load(&self, table: &str) -> Result<Option<Version>> {
        let answer = self.send(self.table(Method::GET, table))?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        answer.expect_success(&format!("loading the table {table}"))?.version().map(Some)
    }

    fn names(&self) -> Result<Vec<String>> {
        let (mut names, mut page) = (Vec::new(), None::<String>);
        for _ in 0..PAGES_MAX {
            let mut request = self.request(Method::GET, &format!("/namespaces/{NAMESPACE}/tables"));
            if let Some(token) = &page {
                request = request.query(&[("pageToken", token)]);
            }
            let answer = self.send(request)?.expect_success("listing the tables of the catalog")?;
            let listed: Listed = answer.parse("the catalog's list of tables")?;
            names.extend(listed.identifiers.into_iter().map(|identifier| identifier.name));
            page = listed.next_page_token.filter(|token| !token.is_empty());
            if page.is_none() {
                return Ok(names);
            }
        }
        Err(Error::new(
            Kind::Exhausted,
            format!("the catalog's list of tables has more than {PAGES_MAX} pages"),
        ))
    }

    fn create(&self, creation: TableCreation) -> Result<Version> {
        let body = json!({
            "name": creation.name,
            "location": creation.location,
            "schema": creation.schema,
            "partition-spec": creation.partition_spec,
            "write-order": creation.sort_order,
            "stage-create": false,
            "properties": creation.properties,
        });
        let request = self.request(Method::POST, &format!("/namespaces/{NAMESPACE}/tables")).json(&body);
        self.send(request)?.expect_success(&format!("creating the table {}", creation.name))?.version()
    }

    fn swap(&self, table: &str, from: &Version, change: Change) -> Result<Version> {
        let updates: &[TableUpdate] = &change.built.changes;
        let body = json!({
            "identifier": { "namespace": [NAMESPACE], "name": table },
            "requirements": change.requirements,
            "updates": updates,
        });
        let request = self.table(Method::POST, table).json(&body);
        let answer = fault::step(change.step, || {
            self.send(request)?.expect_success(&format!("changing the table {table} from {}", from.file))
        })?;
        answer.version()
    }

    fn drop_table(&self, table: &str) -> Result<()> {
        let answer = self.send(self.table(Method::DELETE, table).query(&[("purgeRequested", "false")]))?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(());
        }
        answer.expect_success(&format!("dropping the table {table}")).map(drop)
    }
}

impl Answer {
    fn expect_success(self, doing: &str) -> Result<Self> {
        let kind = match self.status {
            status if status.is_success() => return Ok(self),
            StatusCode::CONFLICT => Kind::Exists,
            StatusCode::NOT_FOUND => Kind::NotFound,
            status if status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT => Kind::Invalid,
            _ => Kind::Io,
        };
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let reason = body["error"]["message"].as_str().unwrap_or("no reason given");
        Err(Error::new(kind, format!("{doing}: the catalog says {}: {reason}", self.status)))
    }

    fn parse<'a, T: Deserialize<'a>>(&'a self, what: &str) -> Result<T> {
        serde_json::from_slice(&self.body).parsing(what)
    }

    fn version(&self) -> Result<Version> {
        let loaded: Loaded = self.parse("a table of the catalog")?;
        let text = loaded.metadata.get();
        let metadata: TableMetadata = serde_json::from_str(text).parsing("a table of the catalog")?;
        Version::new(loaded.metadata_location.unwrap_or_default(), metadata, text.as_bytes())
    }
}

/// A part of a path.
fn escape(part: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    part.bytes()
        .map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
