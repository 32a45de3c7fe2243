//! How far a check is: one line that is rewritten on a terminal, a line per server elsewhere.

use std::cell::Cell;
use std::io::{self, Write};

use super::server::Probe;

/// Says on standard error what is going on.
#[derive(Debug)]
pub struct Progress {
    to: To,
    servers: Cell<usize>,
    done: Cell<usize>,
}

/// What standard error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    Terminal,
    File,
}

impl Progress {
    /// On a terminal the line is rewritten and is gone in the end.
    #[must_use]
    pub fn on_terminal() -> Self {
        Self::new(To::Terminal)
    }

    /// In a file every server has a line that stays.
    #[must_use]
    pub fn in_file() -> Self {
        Self::new(To::File)
    }

    const fn new(to: To) -> Self {
        Self {
            to,
            servers: Cell::new(0),
            done: Cell::new(0),
        }
    }

    pub(super) fn begin(&self, servers: usize) {
        self.servers.set(servers);
        self.say(&format!("asking {servers} servers"));
    }

    pub(super) fn done(&self, ensemble: &str, probe: &Probe) {
        self.done.set(self.done.get() + 1);
        let (done, servers, server) = (self.done.get(), self.servers.get(), &probe.server);
        let words = if probe.serves() {
            "serves"
        } else {
            "does not serve"
        };
        self.say(&format!(
            "{done} of {servers} servers: {ensemble} {server} {words}"
        ));
    }

    pub(super) fn phase(&self, what: &str) {
        self.say(what);
    }

    pub(super) fn finish(&self) {
        if self.to == To::Terminal {
            print("\r\x1b[2K");
        }
    }

    fn say(&self, words: &str) {
        match self.to {
            // Never wider than a narrow terminal: a line that wraps cannot be rewritten.
            To::Terminal => print(&format!("\r\x1b[2Kchecking: {words:.68}")),
            To::File => print(&format!("checking: {words}\n")),
        }
    }
}

/// Whoever closed standard error does not want to know.
fn print(words: &str) {
    let mut out = io::stderr().lock();
    let _ = out.write_all(words.as_bytes());
    let _ = out.flush();
}
