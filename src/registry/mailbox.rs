//! How a connection is told what others want of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use tokio::sync::mpsc;

use super::{Report, lock};
use crate::dial::Dialer;
use crate::session::Settings;

/// What a connection can be told.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// Another connection of the same session has come: this one ends at once (T30).
    TakeOver,
    /// The sidecar stops: what is outstanding is answered, then the connection ends.
    Stop,
    /// The configuration has changed.
    Reload(Arc<Settings>, Dialer),
    /// Somebody wants to know how the connection is.
    Describe(mpsc::Sender<Report>),
}

/// Where a connection is told.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    letters: Mutex<Letters>,
    /// Whether there may be any: asked with each of a connection's polls, where a lock costs more.
    unread: AtomicBool,
}

#[derive(Debug, Default)]
struct Letters {
    commands: Vec<Command>,
    reader: Option<Waker>,
}

impl Mailbox {
    pub(super) fn send(&self, command: Command) {
        let mut letters = lock(&self.letters);
        letters.commands.push(command);
        self.unread.store(true, Ordering::Release);
        if let Some(reader) = &letters.reader {
            reader.wake_by_ref();
        }
    }
}

/// The connection's side of its mailbox.
#[derive(Debug)]
pub(crate) struct Reader {
    mailbox: Arc<Mailbox>,
    /// Who is woken when something comes.
    woken: Option<Waker>,
}

impl Reader {
    pub(crate) const fn new(mailbox: Arc<Mailbox>) -> Self {
        Self {
            mailbox,
            woken: None,
        }
    }

    /// All that has come since; the task is woken when something does.
    #[inline]
    pub(crate) fn take(&mut self, cx: &Context<'_>) -> Vec<Command> {
        let woken = self.woken.as_ref();
        if woken.is_some_and(|woken| woken.will_wake(cx.waker()))
            && !self.mailbox.unread.load(Ordering::Acquire)
        {
            return Vec::new();
        }
        self.look(cx)
    }

    #[inline(never)]
    fn look(&mut self, cx: &Context<'_>) -> Vec<Command> {
        let mut letters = lock(&self.mailbox.letters);
        self.woken = Some(cx.waker().clone());
        letters.reader.clone_from(&self.woken);
        self.mailbox.unread.store(false, Ordering::Release);
        std::mem::take(&mut letters.commands)
    }
}
