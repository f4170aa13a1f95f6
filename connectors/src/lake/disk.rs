//! A local disk: files and folders that are there after a power failure.
//!
//! After a failed fsync the pages may be gone and marked clean, so the error is given up the chain and that file is
//! never fsynced again.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use siltstone_engine::error::Result;

use super::cause::Cause;

/// The path of a location: absolute, or a `file:` URI as other writers have them.
pub(super) fn path(location: &str) -> &Path {
    Path::new(location.strip_prefix("file://").or_else(|| location.strip_prefix("file:")).unwrap_or(location))
}

/// Begins a file that is not there yet, in a folder that may have to be created. Neither is durable.
pub(super) fn create(path: &Path) -> Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).doing(format!("creating {}", folder.display()))?;
    }
    File::create_new(path).doing(format!("creating {}", path.display()))
}

/// Creates a folder and those above it, durably.
pub(super) fn create_folder(folder: &Path) -> Result<()> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
    for folder in missing.into_iter().rev() {
        match fs::create_dir(folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            created => created.doing(format!("creating {}", folder.display()))?,
        }
        if let Some(above) = folder.parent() {
            sync_folder(above)?;
        }
    }
    Ok(())
}

/// Gives a file another name in its folder.
pub(super) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).doing(format!("naming {}", to.display()))
}

/// Makes a file's bytes durable.
pub(super) fn sync(path: &Path) -> Result<()> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.doing(format!("syncing {}", path.display()))
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.doing(format!("syncing {}", folder.display()))
}

/// All files below a folder, with their bytes; none if it is not there.
pub(super) fn list(folder: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_path_buf()]);
    let mut walk = || -> io::Result<()> {
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                entries => entries?,
            };
            for entry in entries {
                let entry = entry?;
                let metadata = match entry.metadata() {
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    metadata => metadata?,
                };
                if metadata.is_dir() {
                    folders.push(entry.path());
                } else {
                    files.push((entry.path(), metadata.len()));
                }
            }
        }
        Ok(())
    };
    walk().doing(format!("listing {}", folder.display()))?;
    Ok(files)
}

/// Names of the folders in a folder; none if it is not there.
pub(super) fn folders(folder: &Path) -> Result<Vec<String>> {
    let walk = || -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                names.extend(entry.file_name().into_string());
            }
        }
        Ok(names)
    };
    walk().doing(format!("listing {}", folder.display()))
}

/// Deletes a file, if it is there.
pub(super) fn delete(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        deleted => deleted.doing(format!("deleting {}", path.display())),
    }
}

/// Deletes a folder with all that is in it, if it is there.
pub(super) fn delete_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        deleted => deleted.doing(format!("deleting {}", folder.display())),
    }
}
