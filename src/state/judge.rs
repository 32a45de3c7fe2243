//! What is in the file, found out without touching it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use redb::backends::InMemoryBackend;
use redb::{Database, ReadableDatabase, ReadableTable, StorageBackend, TableError};
use thiserror::Error;

use super::file::LEGS;
use super::record::Record;
use super::{Key, Table};
use crate::wire::SessionId;

/// No leg table is as large: that would be a million legs.
const LARGEST: u64 = 1 << 30;

/// All records as they are.
pub(super) type Contents = BTreeMap<Key, Vec<u8>>;

/// What stands under the file's name.
pub(super) enum Found {
    Nothing,
    Contents(Contents),
    Damage(Damage),
}

/// Why a file is not a leg table.
#[derive(Debug, Error)]
pub(super) enum Damage {
    #[error("the file is empty")]
    Empty,
    #[error("the file has {0} bytes")]
    Large(u64),
    #[error(transparent)]
    Store(#[from] redb::Error),
    #[error("the store panicked")]
    Panicked,
}

/// Reads the file into memory and everything in it, checksums included.
pub(super) fn examine(path: &Path) -> io::Result<Found> {
    let length = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        found => found?.len(),
    };
    if length > LARGEST {
        return Ok(Found::Damage(Damage::Large(length)));
    }
    let bytes = fs::read(path)?;
    if bytes.is_empty() {
        return Ok(Found::Damage(Damage::Empty));
    }
    let read = catch_unwind(AssertUnwindSafe(|| read(&bytes)));
    Ok(match read {
        Ok(Ok(contents)) => Found::Contents(contents),
        Ok(Err(error)) => Found::Damage(error.into()),
        Err(_) => Found::Damage(Damage::Panicked),
    })
}

/// The records of this home.
pub(super) fn choose(contents: &Contents, home: &str, path: &Path) -> Table {
    let path = path.display();
    let mut table = Table::new();
    let mut strangers = 0_u64;
    for ((client, ensemble), bytes) in contents {
        match Record::decode(bytes) {
            Ok(record) if record.home == home => {
                table.insert((*client, ensemble.clone()), record.credentials);
            }
            Ok(record) => {
                strangers += 1;
                tracing::debug!(%path, %client, ensemble, home = record.home, "leg of another home ignored");
            }
            Err(fault) => {
                tracing::error!(%path, %client, ensemble, %fault, "leg record skipped: its remote ephemerals will expire");
            }
        }
    }
    if strangers > 0 {
        tracing::warn!(%path, home, records = strangers, "legs of another home ensemble are removed from the table");
    }
    table
}

fn read(bytes: &[u8]) -> Result<Contents, redb::Error> {
    let copy = Copy(InMemoryBackend::new());
    copy.set_len(u64::try_from(bytes.len()).unwrap_or(u64::MAX))?;
    copy.write(0, bytes)?;
    let mut builder = Database::builder();
    builder.set_check_integrity_on_open(true);
    let database = builder.create_with_backend(copy)?;
    let transaction = database.begin_read()?;
    let legs = match transaction.open_table(LEGS) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(Contents::new()),
        found => found?,
    };
    let mut contents = Contents::new();
    for entry in legs.iter()? {
        let (key, record) = entry?;
        let (client, ensemble) = key.value();
        let key = (SessionId::from(client), ensemble.to_owned());
        contents.insert(key, record.value().to_vec());
    }
    Ok(contents)
}

/// The file's bytes. It does not grow as far as a damaged header may say.
#[derive(Debug)]
struct Copy(InMemoryBackend);

impl StorageBackend for Copy {
    fn len(&self) -> Result<u64, io::Error> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.0.read(offset, out)
    }

    fn set_len(&self, length: u64) -> Result<(), io::Error> {
        if length > 2 * LARGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.set_len(length)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.0.write(offset, data)
    }
}
