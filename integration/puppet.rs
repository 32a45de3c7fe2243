//! A stock client that does what it is told: `clients/puppet.py` and `clients/Puppet.java`.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use crate::testbed::python::{Python, Running};

/// The bound of a single wait.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client under way; dropping it kills it.
#[derive(Debug)]
pub(crate) struct Puppet {
    running: Running,
    number: Cell<u32>,
    unasked: RefCell<Vec<String>>,
    /// Answers nobody has waited for yet: they and what comes unasked are told by different threads
    /// of the client, in any order.
    answers: RefCell<Vec<String>>,
}

impl Puppet {
    /// A connected kazoo client with this session timeout, seconds.
    pub(crate) fn kazoo(hosts: impl ToString, timeout: u32) -> Self {
        Self::start(Python::file("clients/puppet.py").arg(hosts).arg(timeout))
    }

    /// A connected Java client.
    pub(crate) fn java(hosts: impl ToString, timeout: u32) -> Self {
        let program = Python::file("clients/puppet.py").arg(hosts).arg(timeout);
        Self::start(program.arg("--java"))
    }

    fn start(program: Python) -> Self {
        let running = program.start();
        running.expect("ready", PATIENCE);
        Self {
            running,
            number: Cell::new(0),
            unasked: RefCell::default(),
            answers: RefCell::default(),
        }
    }

    /// The process, to stop and to kill.
    pub(crate) fn running(&self) -> &Running {
        &self.running
    }

    /// Tells it something; the number of what it was told.
    pub(crate) fn tell(&self, words: &str) -> u32 {
        let number = self.number.get() + 1;
        self.number.set(number);
        self.running.say(&format!("{number} {words}"));
        number
    }

    /// The answer to what it was told.
    pub(crate) fn answer(&self, number: u32) -> String {
        let prefix = format!("= {number} ");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut answers = self.answers.borrow_mut();
            if let Some(at) = answers.iter().position(|line| line.starts_with(&prefix)) {
                return answers.remove(at).split_off(prefix.len());
            }
            drop(answers);
            self.next(deadline, &prefix);
        }
    }

    /// Tells it something and waits for the answer.
    pub(crate) fn ask(&self, words: &str) -> String {
        self.answer(self.tell(words))
    }

    /// Waits for an unasked line and takes it out.
    pub(crate) fn sees(&self, line: &str) {
        self.sees_within(line, PATIENCE);
    }

    /// Waits for an unasked line no longer than that, and takes it out.
    pub(crate) fn sees_within(&self, line: &str, within: Duration) {
        let deadline = Instant::now() + within;
        loop {
            let found = self.unasked.borrow().iter().position(|seen| seen == line);
            if let Some(at) = found {
                self.unasked.borrow_mut().remove(at);
                return;
            }
            self.next(deadline, line);
        }
    }

    /// What it has seen unasked, and no test has taken out yet, when it has answered these words:
    /// a round trip to a server behind which nothing can be on its way from it.
    pub(crate) fn seen_behind(&self, words: &[&str]) -> Vec<String> {
        for words in words {
            self.ask(words);
        }
        // Events are told by another thread of the client than answers are.
        std::thread::sleep(Duration::from_millis(100));
        self.ask("session");
        self.unasked.take()
    }

    /// Reads the next line and keeps it.
    fn next(&self, deadline: Instant, what: &str) {
        let left = deadline.saturating_duration_since(Instant::now());
        let line = self.running.line(left).unwrap_or_else(|| {
            let seen = self.unasked.borrow();
            panic!("no \"{what}\" but {seen:?};\n{}", self.running.errors())
        });
        match line.strip_prefix("! ") {
            Some(unasked) => self.unasked.borrow_mut().push(unasked.to_owned()),
            None => self.answers.borrow_mut().push(line),
        }
    }
}
