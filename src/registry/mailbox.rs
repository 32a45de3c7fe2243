//! How a connection is told what others want of it.

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
pub(crate) struct Mailbox(Mutex<Letters>);

#[derive(Debug, Default)]
struct Letters {
    commands: Vec<Command>,
    reader: Option<Waker>,
}

impl Mailbox {
    pub(super) fn send(&self, command: Command) {
        let mut letters = lock(&self.0);
        letters.commands.push(command);
        if let Some(reader) = letters.reader.take() {
            reader.wake();
        }
    }

    /// All that has come; with nothing there, the task is woken when something does.
    pub(crate) fn take(&self, cx: &Context<'_>) -> Vec<Command> {
        let mut letters = lock(&self.0);
        if letters.commands.is_empty()
            && !letters
                .reader
                .as_ref()
                .is_some_and(|reader| reader.will_wake(cx.waker()))
        {
            letters.reader = Some(cx.waker().clone());
        }
        std::mem::take(&mut letters.commands)
    }
}
