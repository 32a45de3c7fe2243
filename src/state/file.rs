//! The file: opened, judged, moved aside, made anew, changed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use redb::backends::FileBackend;
use redb::{Database, Durability, TableDefinition};

use super::judge::{self, Contents, Found};
use super::place::{PRIVATE, make_private, open_directory, sync_directory};
use super::record::Record;
use super::{Cause, Change, StateError, Table};

const NAME: &str = "legs.redb";

/// Where a file is made before it gets its name.
const NEW: &str = "legs.redb.new";

/// Memory for pages; the default is a gigabyte.
const CACHE: usize = 4 << 20;

/// Client's session and ensemble, to a [`Record`].
pub(super) const LEGS: TableDefinition<'_, (i64, &str), &[u8]> = TableDefinition::new("legs");

/// The table's file, and the right to change it.
#[derive(Debug)]
pub(super) struct TableFile {
    directory: PathBuf,
    path: PathBuf,
    home: String,
    /// The directory, locked as long as this lives.
    lock: File,
    database: Option<Attached>,
    health: Health,
    /// How many transactions were durable.
    #[cfg(test)]
    pub(super) synced: u64,
}

/// An open file.
#[derive(Debug)]
struct Attached {
    database: Database,
    identity: Identity,
}

/// Device and inode.
type Identity = (u64, u64);

/// What was said last about the file, so that it is said once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Good,
    Failing,
}

impl TableFile {
    /// The file in this directory, and what it holds for this home.
    pub(super) fn open(directory: &Path, home: &str) -> Result<(Self, Table), StateError> {
        let path = directory.join(NAME);
        let lock = open_directory(directory, &path)?;
        make_private(&path)?;
        let found = judge::examine(&path).map_err(|cause| StateError::Unreadable {
            path: path.clone(),
            cause,
        })?;
        let table = match &found {
            Found::Contents(contents) => judge::choose(contents, home, &path),
            Found::Nothing | Found::Damage(_) => Table::new(),
        };
        let mut file = Self {
            directory: directory.to_owned(),
            path,
            home: home.to_owned(),
            lock,
            database: None,
            health: Health::Good,
            #[cfg(test)]
            synced: 0,
        };
        match file.attach(found, &table) {
            // Somebody who could not lock the directory, or with an older zoonet.
            Err(Cause::Table { cause, .. })
                if matches!(*cause, redb::Error::DatabaseAlreadyOpen) =>
            {
                return Err(StateError::InUse {
                    path: file.path.clone(),
                });
            }
            outcome => file.note(outcome.as_ref().err()),
        }
        Ok((file, table))
    }

    /// Makes these changes in one transaction. `before` is the table without them; the file is
    /// brought in line with it where it had to be opened again.
    pub(super) fn commit(
        &mut self,
        changes: &[Change],
        before: impl FnOnce() -> Table,
    ) -> Result<(), Cause> {
        let outcome = self.try_commit(changes, before);
        if outcome.is_err() {
            self.detach();
        }
        self.note(outcome.as_ref().err());
        outcome
    }

    fn try_commit(
        &mut self,
        changes: &[Change],
        before: impl FnOnce() -> Table,
    ) -> Result<(), Cause> {
        let identity = self.identity();
        if let Some(attached) = &self.database
            && identity != Some(attached.identity)
        {
            tracing::error!(path = %self.path.display(), "leg table was removed or replaced, it is made anew");
            self.detach();
        }
        if self.database.is_none() {
            let found = judge::examine(&self.path)
                .map_err(|cause| io_failed("reading", &self.path, cause))?;
            self.attach(found, &before())?;
        }
        self.write(changes)
    }

    /// Opens the file that was found, or a new one, and brings it in line with `wanted`.
    fn attach(&mut self, found: Found, wanted: &Table) -> Result<(), Cause> {
        let missing = match found {
            Found::Contents(contents) => self.missing(&contents, wanted),
            Found::Nothing => self.create(wanted).map(|()| Vec::new())?,
            Found::Damage(damage) => {
                let aside = self.aside()?;
                tracing::error!(
                    path = %self.path.display(), moved_to = %aside.display(), %damage, kept = wanted.len(),
                    "leg table is damaged and moved aside; remote legs it held beyond those kept are \
                     lost: remote ephemerals of running sessions will expire"
                );
                fs::rename(&self.path, &aside)
                    .map_err(|cause| io_failed("moving aside", &self.path, cause))?;
                self.create(wanted).map(|()| Vec::new())?
            }
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&self.path)
            .map_err(|cause| io_failed("opening", &self.path, cause))?;
        let metadata = file
            .metadata()
            .map_err(|cause| io_failed("opening", &self.path, cause))?;
        let database = guarded(&self.path, || database(file))?;
        self.database = Some(Attached {
            database,
            identity: (metadata.dev(), metadata.ino()),
        });
        if missing.is_empty() {
            return Ok(());
        }
        self.write(&missing)
    }

    /// The changes that lead from the file's contents to the table. Records that cannot be read
    /// may be a later version's: they stay.
    fn missing(&self, contents: &Contents, wanted: &Table) -> Vec<Change> {
        let mut changes = Vec::new();
        for (key, bytes) in contents {
            if Record::decode(bytes).is_ok() && !wanted.contains_key(key) {
                changes.push(Change::Forget(key.clone()));
            }
        }
        for (key, credentials) in wanted {
            if contents.get(key) != Some(&Record::encode(&self.home, credentials)) {
                changes.push(Change::Remember(key.clone(), credentials.clone()));
            }
        }
        changes
    }

    /// Makes the file with all of the table in it, whole from the moment it has its name.
    fn create(&self, wanted: &Table) -> Result<(), Cause> {
        let new = self.directory.join(NEW);
        let failed = |doing, cause| io_failed(doing, &new, cause);
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("removing", error));
            }
            _ => {}
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(PRIVATE)
            .open(&new)
            .map_err(|cause| failed("creating", cause))?;
        let changes = self.missing(&Contents::new(), wanted);
        let made = guarded(&new, || {
            let database = database(file)?;
            apply(&database, &self.home, &changes, Durability::Immediate)?;
            Ok(database.close()?)
        });
        if made.is_err() {
            // It takes space, and is of no use.
            fs::remove_file(&new).ok();
        }
        made?;
        fs::rename(&new, &self.path).map_err(|cause| failed("renaming", cause))?;
        sync_directory(&self.directory).map_err(|cause| failed("syncing the directory of", cause))
    }

    /// A free name beside the file.
    fn aside(&self) -> Result<PathBuf, Cause> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let mut second = now.map_or(0, |since| since.as_secs());
        loop {
            let aside = self.directory.join(format!("{NAME}.damaged-{second}"));
            match fs::symlink_metadata(&aside) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(aside),
                Err(error) => return Err(io_failed("moving aside", &self.path, error)),
                Ok(_) => second = second.saturating_add(1),
            }
        }
    }

    fn write(&mut self, changes: &[Change]) -> Result<(), Cause> {
        let Some(Attached { database, .. }) = &self.database else {
            return Ok(());
        };
        let lazy = changes
            .iter()
            .all(|change| matches!(change, Change::ForgetAll(_)));
        let durability = if lazy {
            Durability::None
        } else {
            Durability::Immediate
        };
        guarded(&self.path, || {
            apply(database, &self.home, changes, durability)
        })?;
        #[cfg(test)]
        if !lazy {
            self.synced += 1;
        }
        Ok(())
    }

    /// Closes the file: after an error it has to be opened again.
    fn detach(&mut self) {
        if let Some(Attached { database, .. }) = self.database.take() {
            // What is wrong with it has been said, or it is not our file any more.
            guarded(&self.path, || Ok(database.close()?)).ok();
        }
    }

    fn identity(&self) -> Option<Identity> {
        let metadata = fs::symlink_metadata(&self.path).ok()?;
        Some((metadata.dev(), metadata.ino()))
    }

    /// Says so when the file stops to work, and when it works again.
    fn note(&mut self, failure: Option<&Cause>) {
        let path = self.path.display();
        match (self.health, failure) {
            (Health::Good, Some(cause)) => {
                tracing::error!(%path, %cause, "leg table cannot be written: new remote legs are refused, home work goes on");
                self.health = Health::Failing;
            }
            (Health::Failing, None) => {
                tracing::info!(%path, "leg table can be written again");
                self.health = Health::Good;
            }
            (Health::Good, None) | (Health::Failing, Some(_)) => {}
        }
    }
}

impl Drop for TableFile {
    /// An orderly end makes everything durable, and a panic in it is nobody's business any more.
    fn drop(&mut self) {
        self.detach();
        // Closing alone would leave it to a child that is about to be executed.
        self.lock.unlock().ok();
    }
}

/// Opened as it was judged: what an unchecked open believes of a damaged file may be wrong.
fn database(file: File) -> Result<Database, redb::Error> {
    let backend = FileBackend::new(file)?;
    let mut builder = Database::builder();
    builder
        .set_cache_size(CACHE)
        .set_check_integrity_on_open(true);
    Ok(builder.create_with_backend(backend)?)
}

/// Makes the changes, in order, in one transaction.
fn apply(
    database: &Database,
    home: &str,
    changes: &[Change],
    durability: Durability,
) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(durability)?;
    {
        let mut legs = transaction.open_table(LEGS)?;
        for change in changes {
            match change {
                Change::Remember((client, ensemble), credentials) => {
                    let record = Record::encode(home, credentials);
                    legs.insert((client.number(), ensemble.as_str()), record.as_slice())?;
                }
                Change::Forget((client, ensemble)) => {
                    legs.remove((client.number(), ensemble.as_str()))?;
                }
                Change::ForgetAll(client) => {
                    let first = (client.number(), "");
                    match client.number().checked_add(1) {
                        Some(next) => legs.retain_in(first..(next, ""), |_, _| false)?,
                        None => legs.retain_in(first.., |_, _| false)?,
                    }
                }
            }
        }
    }
    Ok(transaction.commit()?)
}

/// Calls into redb; a panic is an answer.
fn guarded<T>(path: &Path, call: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, Cause> {
    let path = path.to_owned();
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(cause)) => Err(Cause::Table {
            path,
            cause: Box::new(cause),
        }),
        Err(_) => Err(Cause::Panicked { path }),
    }
}

fn io_failed(doing: &'static str, path: &Path, cause: io::Error) -> Cause {
    Cause::Io {
        doing,
        path: path.to_owned(),
        cause,
    }
}
