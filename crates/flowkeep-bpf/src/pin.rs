//! Maps that outlive their process: they are pinned to a folder of the BPF file system.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;

use aya::maps::{MapData, MapError};
use flowkeep_core::rules::RuleSet;
use flowkeep_core::table::{Header, LayoutError, SLOTS, Seed};

use crate::Error;
use crate::abi::{BUCKET_HEADER_WORDS, CONFIG_WORDS, HEADER_WORDS, RECORD_WORDS, VERSION};
use crate::attach::Pin;
use crate::config::MappedConfig;
use crate::error::system;
use crate::maps::{NAMES, words};

/// A table that is pinned to a folder.
#[derive(Clone, Copy)]
pub(crate) struct Existing {
    pub(crate) buckets: u32,
    pub(crate) seed: Seed,
    pub(crate) rules: RuleSet,
}

/// The table that is pinned to a folder, if there is one.
///
/// This compares the sizes of the pinned maps, which the loader does not do.
pub(crate) fn existing(folder: &Path) -> Result<Option<Existing>, Error> {
    let (config, header) = (folder.join("CONFIG"), folder.join("HEADER"));
    if !header.exists() {
        return Ok(None);
    }
    let version = version(&config)?;
    if version != VERSION {
        return Err(Error::Pinned {
            path: config,
            what: format!(
                "created by version {version} of the programs, but this is version {VERSION}"
            ),
        });
    }
    let rules = MappedConfig::new(&open(&config, CONFIG_WORDS, 1)?)?.rules();
    let rules = rules.ok_or_else(|| Error::Pinned {
        path: config,
        what: "made for rules that are not known".to_owned(),
    })?;
    let words = words(&open(&header, HEADER_WORDS, 1)?, HEADER_WORDS)?;
    let described = words.header().ok_or(LayoutError::NotATable);
    let (buckets, seed) = described.and_then(Header::read).map_err(|error| {
        let what = error.to_string();
        Error::Pinned { path: header, what }
    })?;
    open(&folder.join("BUCKETS"), BUCKET_HEADER_WORDS, buckets)?;
    open(
        &folder.join("RECORDS"),
        RECORD_WORDS,
        buckets * SLOTS as u32,
    )?;
    Ok(Some(Existing {
        buckets,
        seed,
        rules,
    }))
}

/// The version of the programs that a config is for: in every version its first word.
fn version(path: &Path) -> Result<u64, Error> {
    let data = MapData::from_pin(path).map_err(|error| unopened(path, &error))?;
    let words = words(&data, 1)?;
    Ok(words.first().map_or(0, |version| version.load(Relaxed)))
}

/// Why a pin can't be opened: this user may not, or it is not a map.
fn unopened(path: &Path, error: &MapError) -> Error {
    let path = path.to_owned();
    match system(error) {
        Some(source) if source.kind() == ErrorKind::PermissionDenied => {
            Error::File { path, source }
        }
        said => Error::Pinned {
            path,
            what: said.map_or_else(|| error.to_string(), |said| said.to_string()),
        },
    }
}

/// Opens a pinned array with this many elements of this many words.
fn open(path: &Path, words: usize, entries: u32) -> Result<MapData, Error> {
    let wrong = |what: String| Error::Pinned {
        path: path.to_owned(),
        what,
    };
    let data = MapData::from_pin(path).map_err(|error| unopened(path, &error))?;
    let info = data.info().map_err(|error| wrong(error.to_string()))?;
    let found = (info.key_size(), info.value_size(), info.max_entries());
    let wanted = (4, words as u32 * 8, entries);
    if found != wanted {
        return Err(wrong(format!(
            "a map of {} elements of {} bytes, instead of {} of {}",
            found.2, found.1, wanted.2, wanted.1
        )));
    }
    Ok(data)
}

/// A folder that is removed with its pins when this is dropped, unless it is kept.
pub(crate) struct NewFolder {
    folder: PathBuf,
    kept: bool,
}

impl NewFolder {
    /// Creates the folder if it does not exist. No table is pinned to it.
    pub(crate) fn create(folder: &Path) -> Result<Self, Error> {
        // Other users could lock what they can open.
        match DirBuilder::new().mode(0o700).create(folder) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(source) => {
                let path = folder.to_owned();
                return Err(Error::File { path, source });
            }
        }
        // A loader that was killed may have pinned some maps, of any size, and would be continued.
        for name in NAMES {
            let path = folder.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(Error::File {
                        path,
                        source: error,
                    });
                }
                _ => {}
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            kept: false,
        })
    }

    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        if !self.kept {
            let _ = remove(&self.folder);
        }
    }
}

/// Removes a folder and its pins, and detaches the programs that they keep attached. The maps live
/// on as long as a program uses them.
pub(crate) fn remove(folder: &Path) -> Result<(), Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::File { path, source }
    };
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let path = entry.map_err(failed(folder))?.path();
        match Pin::at(path.clone()) {
            Some(pin) => pin.renamed().detach()?,
            None => fs::remove_file(&path).map_err(failed(&path))?,
        }
    }
    fs::remove_dir(folder).map_err(failed(folder))
}
