//! The leg table: what is needed to attach remote legs again after this process is gone.
//!
//! A record is on disk before its leg is first used, so that a sidecar that is killed finds the
//! remote sessions of its clients again, and no ephemeral is lost. The table is one file,
//! `legs.redb`, in the directory the configuration calls `state`.
//!
//! ```text
//! remember, forget ─→ queue ─→ one transaction for all that wait ─→ file (redb, fsync)
//! load             ←─ the same table in memory, from which the file can be made anew
//! ```
//!
//! # What goes wrong, and what then
//!
//! * Killed at any point: what was acknowledged is there, and the file opens.
//! * Disk full, directory read-only, I/O errors: [`Store::remember`] fails, so that its leg must
//!   not be used. The file is closed, and every later change tries it again: when there is space,
//!   it is brought in line with the table in memory and work goes on. What can be read is loaded
//!   even if nothing can be written.
//! * Damaged file: moved aside to `legs.redb.damaged-UNIXTIME`, reported, and a new one is made. At
//!   start that one is empty; later it holds all that is known in memory.
//! * File removed or replaced while running: noticed at the next change, and made anew.
//! * A record of another home ensemble is ignored and removed: a session id means nothing there. One
//!   that cannot be read is skipped and kept, for it may be a later version's.
//!
//! # Decisions
//!
//! * [`Store::load`] cannot fail: it shows the table in memory, and what went wrong with the file
//!   was said by `open`.
//! * The file is judged in a copy in memory, with all its checksums. So whatever redb says is about
//!   the bytes, and an error of the disk is never taken for damage. It is small: some hundred bytes
//!   per leg.
//! * A new file is made under another name and renamed when it is complete. So a file that is there
//!   is whole, and an empty one is damage.
//! * `forget` is as durable as `remember`, since one who replaces a leg, or closes one that held no
//!   ephemerals, would find the stale record refused after a restart and could not tell it from a
//!   loss. `forget_all` is not: the client's session is gone and nobody attaches to its legs again.
//! * The directory is locked as long as the store lives, beside redb's own lock of the file: that
//!   one is given up where the file is closed, moved aside or made anew.
//! * redb is believed to panic on some damage, so calls into it are caught. This needs unwinding.

mod error;
mod file;
mod judge;
mod place;
mod record;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

pub use error::{Cause, StateError};

use crate::wire::SessionId;
use crate::wire::connect::Credentials;
use file::TableFile;

/// What is needed to attach a remote leg again. `Debug` leaves the password out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegRecord {
    /// The leg's ensemble, by name: numbers change with the configuration.
    pub ensemble: String,
    /// The leg's session on it.
    pub credentials: Credentials,
}

/// The client's session, and the name of a leg's ensemble.
type Key = (SessionId, String);

/// All legs of this home's sessions.
type Table = BTreeMap<Key, Credentials>;

/// One change of the table.
#[derive(Clone, Debug)]
enum Change {
    Remember(Key, Credentials),
    Forget(Key),
    ForgetAll(SessionId),
}

/// The leg table of one sidecar. Clones are the same table.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

impl Store {
    /// Opens the table in `directory`, which is created if it is missing (its parents are not), for
    /// a sidecar whose home ensemble has this name.
    ///
    /// A damaged file and one that cannot be written are reported in the log, and no errors here.
    /// Blocks.
    ///
    /// # Errors
    /// If the directory or a file in it cannot be read, if other users can read the file and that
    /// cannot be mended, or if another zoonet has it.
    pub fn open(directory: &Path, home: &str) -> Result<Self, StateError> {
        let (file, table) = TableFile::open(directory, home)?;
        Ok(Self::of(table, Medium::File(Mutex::new(file))))
    }

    /// An empty table that is kept in memory only. It outlives the sidecars it is lent to, one after
    /// the other, and takes part in whatever order their tasks run in: nothing is done beside them.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::of(Table::new(), Medium::Memory)
    }

    fn of(table: Table, medium: Medium) -> Self {
        let shared = Shared {
            table: Mutex::new(table),
            medium,
            queue: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// All client sessions with their remote legs.
    #[must_use]
    pub fn load(&self) -> Vec<(SessionId, Vec<LegRecord>)> {
        let mut sessions: Vec<(SessionId, Vec<LegRecord>)> = Vec::new();
        for ((client, ensemble), credentials) in lock(&self.shared.table).iter() {
            let leg = LegRecord {
                ensemble: ensemble.clone(),
                credentials: credentials.clone(),
            };
            match sessions.last_mut() {
                Some((last, legs)) if last == client => legs.push(leg),
                _ => sessions.push((*client, vec![leg])),
            }
        }
        sessions
    }

    /// Writes down a leg, in place of an earlier one of this session on the same ensemble. It is on
    /// disk when this returns.
    ///
    /// Calls that come while another is written share one transaction. If the future is dropped,
    /// the record may be written all the same.
    ///
    /// # Errors
    /// If it could not be written; the leg must not be used then. The earlier record stands.
    pub async fn remember(&self, client: SessionId, leg: LegRecord) -> Result<(), StateError> {
        let LegRecord {
            ensemble,
            credentials,
        } = leg;
        let change = Change::Remember((client, ensemble.clone()), credentials);
        self.change(change)
            .await
            .map_err(|cause| StateError::NotRemembered {
                client,
                ensemble,
                cause,
            })
    }

    /// Takes one leg out of the table. That is on disk when this returns.
    ///
    /// # Errors
    /// If it could not be written. The record is out of the table in memory, and so goes with the
    /// next change that can be written.
    pub async fn forget(&self, client: SessionId, ensemble: &str) -> Result<(), StateError> {
        let change = Change::Forget((client, ensemble.to_owned()));
        self.change(change)
            .await
            .map_err(|cause| StateError::NotForgotten { client, cause })
    }

    /// Takes all legs of a session that has ended out of the table.
    ///
    /// It may be on disk only with the next [`Store::remember`], [`Store::forget`] or the orderly
    /// end of this process. A record that is left behind by a crash does no harm: its client's
    /// session is gone, so its leg is only parked, or refused as expired.
    ///
    /// # Errors
    /// If it could not be written, as [`Store::forget`].
    pub async fn forget_all(&self, client: SessionId) -> Result<(), StateError> {
        self.change(Change::ForgetAll(client))
            .await
            .map_err(|cause| StateError::NotForgotten { client, cause })
    }

    async fn change(&self, change: Change) -> Outcome {
        let (told, outcome) = oneshot::channel();
        if let Some(turn) = self.shared.enqueue(Waiter { change, told }) {
            match self.shared.medium {
                Medium::File(_) => drop(tokio::task::spawn_blocking(move || turn.run())),
                Medium::Memory => turn.run(),
            }
        }
        // No answer: the runtime stopped before the turn came, or the turn panicked.
        outcome
            .await
            .unwrap_or_else(|_| Err(Arc::new(Cause::Stopped)))
    }
}

/// What all clones of a [`Store`] have in common.
#[derive(Debug)]
struct Shared {
    /// What the file holds, or would if it could be written.
    table: Mutex<Table>,
    medium: Medium,
    /// Never held for long.
    queue: Mutex<Queue>,
}

/// Where changes are written.
#[derive(Debug)]
enum Medium {
    /// Locked while a transaction runs, so never by async code.
    File(Mutex<TableFile>),
    /// Nowhere: the table is all there is.
    Memory,
}

/// Changes that wait for the next transaction: at most one for each caller that waits.
#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Waiter>,
    writer: Writer,
}

/// Whether somebody empties the queue.
#[derive(Debug, Default)]
enum Writer {
    #[default]
    Idle,
    Busy,
}

/// How a change went.
type Outcome = Result<(), Arc<Cause>>;

/// A change, and who wants to know how it went.
#[derive(Debug)]
struct Waiter {
    change: Change,
    told: oneshot::Sender<Outcome>,
}

impl Shared {
    /// Adds to the queue. The turn is for the caller to run, where one is returned.
    fn enqueue(self: &Arc<Self>, waiter: Waiter) -> Option<Turn> {
        let mut queue = lock(&self.queue);
        queue.waiting.push(waiter);
        match std::mem::replace(&mut queue.writer, Writer::Busy) {
            Writer::Idle => Some(Turn {
                shared: Some(Arc::clone(self)),
            }),
            Writer::Busy => None,
        }
    }

    /// What waits, or nothing, and then nobody is writing any more.
    fn next_batch(&self) -> Option<Vec<Waiter>> {
        let mut queue = lock(&self.queue);
        if queue.waiting.is_empty() {
            queue.writer = Writer::Idle;
            return None;
        }
        Some(std::mem::take(&mut queue.waiting))
    }

    /// One transaction. Returns its outcome, and whom to tell.
    fn commit(&self, batch: Vec<Waiter>) -> Answers {
        let (changes, waiting): (Vec<Change>, Vec<_>) = batch
            .into_iter()
            .map(|Waiter { change, told }| (change, told))
            .unzip();
        let outcome = match &self.medium {
            Medium::File(file) => lock(file)
                .commit(&changes, || lock(&self.table).clone())
                .map_err(Arc::new),
            Medium::Memory => Ok(()),
        };
        let mut table = lock(&self.table);
        for change in changes {
            match (change, &outcome) {
                (Change::Remember(key, credentials), Ok(())) => {
                    table.insert(key, credentials);
                }
                (Change::Remember(..), Err(_)) => {}
                (Change::Forget(key), _) => {
                    table.remove(&key);
                }
                (Change::ForgetAll(client), _) => table.retain(|(of, _), _| *of != client),
            }
        }
        Answers { outcome, waiting }
    }
}

/// How a transaction went, and who wants to know.
struct Answers {
    outcome: Outcome,
    waiting: Vec<oneshot::Sender<Outcome>>,
}

impl Answers {
    fn give(self) {
        for told in self.waiting {
            // Whoever no longer waits does not mind.
            told.send(self.outcome.clone()).ok();
        }
    }
}

/// The duty to write what waits in the queue, until nothing does.
#[derive(Debug)]
struct Turn {
    /// None when it is done.
    shared: Option<Arc<Shared>>,
}

impl Turn {
    fn run(mut self) {
        let mut answers: Option<Answers> = None;
        while let Some(shared) = &self.shared {
            let next = shared.next_batch();
            if next.is_none() {
                self.shared = None;
            }
            // Only now: whoever has the last answer and drops the store has closed the file.
            if let Some(answers) = answers.take() {
                answers.give();
            }
            if let (Some(batch), Some(shared)) = (next, &self.shared) {
                answers = Some(shared.commit(batch));
            }
        }
    }
}

impl Drop for Turn {
    /// If it was not run to its end, those who wait are told so by their channels' end.
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            let mut queue = lock(&shared.queue);
            queue.writer = Writer::Idle;
            queue.waiting.clear();
        }
    }
}

/// A panic elsewhere leaves nothing half done behind these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
