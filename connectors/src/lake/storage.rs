//! Where the bytes of a lake are: a local disk or an object store. Files are named by their location: an absolute
//! path, or `s3://bucket/key`.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use siltstone_engine::clock;
use siltstone_engine::error::{Error, Result};

use super::cause::Cause;
use super::disk;
use super::input::Input;
use super::object::Objects;

/// Less than most pages have, which then are not copied once more.
const BUFFER_BYTES: usize = 1 << 15;

/// Files that are made durable at once.
const SYNCS_MAX: usize = 8;

/// A disk or an object store.
#[derive(Clone, Debug)]
pub(super) enum Storage {
    Disk,
    Objects(Objects),
}

/// A file that is being written; dropped before [`Output::sync`] it leaves garbage or nothing.
pub(super) struct Output {
    to: Destination,
    location: String,
    written: u64,
}

enum Destination {
    File(BufWriter<File>),
    /// An object comes to be all at once.
    Object(Objects, Vec<u8>),
}

impl Storage {
    /// Begins a file.
    pub fn create(&self, location: &str) -> Result<Output> {
        let to = match self {
            Self::Disk => {
                Destination::File(BufWriter::with_capacity(BUFFER_BYTES, disk::create(disk::path(location))?))
            }
            Self::Objects(objects) => Destination::Object(objects.clone(), Vec::new()),
        };
        Ok(Output { to, location: location.to_owned(), written: 0 })
    }

    /// Begins a file that gets its name by [`Storage::reveal`], so that whoever looks for files never sees a part of
    /// it. An object is all or nothing by itself.
    pub fn create_aside(&self, location: &str) -> Result<Output> {
        match self {
            Self::Disk => self.create(&aside(location)),
            Self::Objects(_) => self.create(location),
        }
    }

    /// Gives a file its name, durably.
    pub fn reveal(&self, location: &str) -> Result<()> {
        if matches!(self, Self::Disk) {
            let aside = aside(location);
            disk::rename(disk::path(&aside), disk::path(location))?;
        }
        self.sync_folder(location)
    }

    /// Writes a whole file, which is durable with its name.
    pub fn write(&self, location: &str, bytes: &[u8]) -> Result<()> {
        if let (Self::Disk, Some(folder)) = (self, disk::path(location).parent()) {
            disk::create_folder(folder)?;
        }
        let mut output = self.create(location)?;
        output.write_all(bytes).doing(format!("writing {location}"))?;
        output.sync()?;
        self.sync_folder(location)
    }

    /// A whole file.
    pub fn read(&self, location: &str) -> Result<Bytes> {
        match self {
            Self::Disk => {
                let path = disk::path(location);
                Ok(std::fs::read(path).doing(format!("reading {}", path.display()))?.into())
            }
            Self::Objects(objects) => objects.get(location),
        }
    }

    /// A file to read parts of.
    pub fn open(&self, location: &str) -> Result<Input> {
        match self {
            Self::Disk => Input::file(disk::path(location)),
            Self::Objects(objects) => Input::object(objects.clone(), location),
        }
    }

    /// Makes the name of a file durable.
    pub fn sync_folder(&self, location: &str) -> Result<()> {
        match (self, disk::path(location).parent()) {
            (Self::Disk, Some(folder)) => disk::sync_folder(folder),
            _ => Ok(()),
        }
    }

    /// Makes files durable, several at once: a disk does that in hardly more time than one.
    pub fn sync_files(&self, root: &str, paths: &[String]) -> Result<()> {
        if !matches!(self, Self::Disk) {
            return Ok(());
        }
        let next = AtomicUsize::new(0);
        clock::in_parallel(SYNCS_MAX.min(paths.len()), || {
            while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                disk::sync(&disk::path(root).join(path))?;
            }
            Ok(())
        })
    }

    /// Makes the folders durable that name these files, up to `root`.
    pub fn sync_folders(&self, root: &str, paths: &[String]) -> Result<()> {
        if !matches!(self, Self::Disk) {
            return Ok(());
        }
        let root = disk::path(root);
        let mut folders = BTreeSet::from([root.to_path_buf()]);
        for path in paths {
            let above = Path::new(path).ancestors().skip(1);
            folders.extend(above.map(|folder| root.join(folder)));
        }
        folders.iter().rev().try_for_each(|folder| disk::sync_folder(folder))
    }

    /// Names of the folders in a location. An object store has none.
    pub fn folders(&self, root: &str) -> Result<Vec<String>> {
        match self {
            Self::Disk => disk::folders(disk::path(root)),
            Self::Objects(_) => Ok(Vec::new()),
        }
    }

    /// All files below a location: the path from there, and bytes.
    pub fn list(&self, root: &str) -> Result<Vec<(String, u64)>> {
        match self {
            Self::Disk => {
                let folder = disk::path(root);
                let relative = |(path, bytes): (std::path::PathBuf, u64)| {
                    let path = path.strip_prefix(folder).expect("it is listed below the folder");
                    Ok((
                        path.to_str().ok_or_else(|| Error::corrupt("a file's name is no text"))?.to_owned(),
                        bytes,
                    ))
                };
                disk::list(folder)?.into_iter().map(relative).collect()
            }
            Self::Objects(objects) => objects.list(root),
        }
    }

    /// Deletes a file, if it is there.
    pub fn delete(&self, location: &str) -> Result<()> {
        match self {
            Self::Disk => disk::delete(disk::path(location)),
            Self::Objects(objects) => objects.delete(location),
        }
    }

    /// Deletes all files below a location.
    pub fn delete_all(&self, root: &str) -> Result<()> {
        match self {
            Self::Disk => disk::delete_folder(disk::path(root)),
            Self::Objects(objects) => {
                let files = objects.list(root)?;
                files.iter().try_for_each(|(path, _)| objects.delete(&format!("{root}/{path}")))
            }
        }
    }
}

/// Where a file is until it gets its name.
fn aside(location: &str) -> String {
    format!("{location}.part")
}

impl Output {
    /// Ends the file; the answer are its bytes. On a disk they are not durable yet.
    pub fn end(self) -> Result<u64> {
        match self.to {
            Destination::File(file) => {
                let file = file.into_inner().map_err(io::IntoInnerError::into_error);
                file.map(drop).doing(format!("writing {}", self.location))?;
            }
            Destination::Object(objects, bytes) => objects.put(&self.location, bytes.into())?,
        }
        Ok(self.written)
    }

    /// Ends the file and makes its bytes durable; the answer are how many.
    pub fn sync(self) -> Result<u64> {
        match self.to {
            Destination::File(file) => {
                let file = file.into_inner().map_err(io::IntoInnerError::into_error);
                file.and_then(|file| file.sync_all()).doing(format!("syncing {}", self.location))?;
            }
            Destination::Object(objects, bytes) => objects.put(&self.location, bytes.into())?,
        }
        Ok(self.written)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.to {
            Destination::File(file) => file.write(bytes)?,
            Destination::Object(_, object) => object.write(bytes)?,
        };
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.to {
            Destination::File(file) => file.flush(),
            Destination::Object(..) => Ok(()),
        }
    }
}
