//! An object store that speaks S3's protocol.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::{Error as ObjectError, ObjectStore, ObjectStoreExt};
use siltstone_engine::error::{Error, Result};

use super::cause::Cause;
use super::task::Tasks;

/// One bucket.
#[derive(Clone, Debug)]
pub(super) struct Objects {
    store: Arc<dyn ObjectStore>,
    bucket: String,
    tasks: Arc<Tasks>,
}

impl Objects {
    /// The bucket of `s3://bucket/prefix`. The options have the names of `AmazonS3ConfigKey`; those that are not
    /// given come from the environment.
    pub fn new(warehouse: &str, options: &[(String, String)], tasks: Arc<Tasks>) -> Result<Self> {
        let rest = warehouse.strip_prefix("s3://").expect("the caller looked at the scheme");
        let bucket = rest.split('/').next().unwrap_or_default().to_owned();
        let mut builder = AmazonS3Builder::from_env().with_bucket_name(&bucket);
        for (name, value) in options {
            let key: AmazonS3ConfigKey =
                name.parse().asking(format!("the option {name} of the object store"))?;
            builder = builder.with_config(key, value);
        }
        let store = builder.build().asking(format!("the object store of {warehouse}"))?;
        Ok(Self::of(Arc::new(store), &bucket, tasks))
    }

    /// A bucket that is open.
    pub fn of(store: Arc<dyn ObjectStore>, bucket: &str, tasks: Arc<Tasks>) -> Self {
        Self { store, bucket: bucket.to_owned(), tasks }
    }

    pub fn put(&self, location: &str, bytes: Bytes) -> Result<()> {
        let (store, path) = (Arc::clone(&self.store), self.key(location)?);
        let put = self.tasks.wait(async move { store.put(&path, bytes.into()).await })?;
        put.map(drop).doing(format!("writing {location}"))
    }

    pub fn get(&self, location: &str) -> Result<Bytes> {
        let (store, path) = (Arc::clone(&self.store), self.key(location)?);
        let got = self.tasks.wait(async move { store.get(&path).await?.bytes().await })?;
        got.doing(format!("reading {location}"))
    }

    pub fn len(&self, location: &str) -> Result<u64> {
        let (store, path) = (Arc::clone(&self.store), self.key(location)?);
        let head = self.tasks.wait(async move { store.head(&path).await })?;
        Ok(head.doing(format!("looking for {location}"))?.size)
    }

    /// Several parts at once; those close to each other are one request.
    pub fn get_ranges(&self, location: &str, ranges: Vec<Range<u64>>) -> Result<Vec<Bytes>> {
        let (store, path) = (Arc::clone(&self.store), self.key(location)?);
        let got = self.tasks.wait(async move { store.get_ranges(&path, &ranges).await })?;
        got.doing(format!("reading {location}"))
    }

    pub fn delete(&self, location: &str) -> Result<()> {
        let (store, path) = (Arc::clone(&self.store), self.key(location)?);
        match self.tasks.wait(async move { store.delete(&path).await })? {
            Err(ObjectError::NotFound { .. }) => Ok(()),
            deleted => deleted.doing(format!("deleting {location}")),
        }
    }

    pub fn list(&self, root: &str) -> Result<Vec<(String, u64)>> {
        let (store, prefix) = (Arc::clone(&self.store), self.key(root)?);
        let below = prefix.clone();
        let listed =
            self.tasks.wait(async move { store.list(Some(&below)).try_collect::<Vec<_>>().await })?;
        let start = prefix.as_ref().len() + 1;
        let listed = listed.doing(format!("listing {root}"))?.into_iter();
        Ok(listed
            .filter_map(|object| Some((object.location.as_ref().get(start..)?.to_owned(), object.size)))
            .collect())
    }

    fn key(&self, location: &str) -> Result<Path> {
        let rest = location.strip_prefix("s3://").or_else(|| location.strip_prefix("s3a://"));
        let key = rest.and_then(|rest| rest.strip_prefix(&self.bucket)?.strip_prefix('/'));
        let key =
            key.ok_or_else(|| Error::invalid(format!("{location} is not in the bucket {}", self.bucket)))?;
        Path::parse(key).asking(format!("the object {location}"))
    }
}
