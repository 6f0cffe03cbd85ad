//! Maps that outlive the program: pinned to a folder of the BPF file system.

use std::path::Path;

use aya::maps::MapData;
use flowkeep_core::table::{LANES, Seed};

use crate::Error;
use crate::abi::{CONFIG_WORDS, HEAD_WORDS, HEADER_WORDS, RECORD_WORDS};
use crate::memory::describe;

/// The maps that are pinned. What is only of use while a packet is looked at is not.
pub(crate) const MAPS: [&str; 6] = [
    "HEADER",
    "HEADS",
    "RECORDS",
    "CONFIG",
    "STATISTICS",
    "ERRORS",
];

/// Looks for a table in a folder: how many sets it has, and its seed.
///
/// A loader gets a pinned map, whatever its size: sizes have to be compared before.
pub(crate) fn existing(folder: &Path) -> Result<Option<(u32, Seed)>, Error> {
    let path = folder.join("HEADER");
    if !path.exists() {
        return Ok(None);
    }
    let header = open(&path, HEADER_WORDS, 1)?;
    let (sets, seed) = describe(&header)?.map_err(|error| Error::Pinned {
        path,
        what: error.to_string(),
    })?;
    open(&folder.join("HEADS"), HEAD_WORDS, sets)?;
    open(&folder.join("RECORDS"), RECORD_WORDS, sets * LANES as u32)?;
    open(&folder.join("CONFIG"), CONFIG_WORDS, 1)?;
    Ok(Some((sets, seed)))
}

/// Opens a pinned array map, if it is one of so many elements of so many words.
fn open(path: &Path, words: usize, entries: u32) -> Result<MapData, Error> {
    let wrong = |what: String| Error::Pinned {
        path: path.to_owned(),
        what,
    };
    let data = MapData::from_pin(path).map_err(|error| wrong(error.to_string()))?;
    let info = data.info().map_err(|error| wrong(error.to_string()))?;
    let found = (info.key_size(), info.value_size(), info.max_entries());
    let wanted = (4, words as u32 * 8, entries);
    if found != wanted {
        return Err(wrong(format!(
            "a map of {} elements of {} bytes, where {} of {} are wanted",
            found.2, found.1, wanted.2, wanted.1
        )));
    }
    Ok(data)
}

/// Removes the pins of a folder, and the folder. The maps live on as long as a program uses them.
pub(crate) fn remove(folder: &Path) -> Result<(), Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::File { path, source }
    };
    for entry in std::fs::read_dir(folder).map_err(failed(folder))? {
        let path = entry.map_err(failed(folder))?.path();
        std::fs::remove_file(&path).map_err(failed(&path))?;
    }
    std::fs::remove_dir(folder).map_err(failed(folder))
}
