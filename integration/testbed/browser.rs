//! A real browser without a window, for pages of the sidecar.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::python::{Python, Running};
use super::scratch::Scratch;

/// How long it may take to start, and for what it is told.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser with one page; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Browser {
    driver: Running,
    _profile: Scratch,
}

impl Browser {
    /// Starts it.
    pub(crate) fn start() -> Self {
        let profile = Scratch::new("browser");
        let driver = Python::file("testbed/browser.py").arg(profile.path().display());
        let browser = Self {
            driver: driver.start(),
            _profile: profile,
        };
        browser.driver.expect("ready", PATIENCE);
        browser
    }

    /// Loads a page.
    pub(crate) fn open(&self, url: &str) {
        self.tell(&format!("open {url}"));
    }

    /// What an expression is worth in the page, as text.
    pub(crate) fn eval(&self, expression: &str) -> String {
        let value = self.tell(&format!("eval {expression}"));
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    }

    /// What an element says; empty where there is none.
    pub(crate) fn text(&self, selector: &str) -> String {
        let found = format!("document.querySelector({selector:?})?.innerText ?? ''");
        self.eval(&found)
    }

    /// Waits until an element says something that will do, and returns it.
    pub(crate) fn await_text(&self, selector: &str, will_do: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.text(selector);
            if will_do(&text) {
                return text;
            }
            assert!(Instant::now() < deadline, "{selector} still says {text:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Puts text into an input, as if it had been typed.
    pub(crate) fn input(&self, id: &str, text: &str) {
        self.tell(&format!("type {id} {text}"));
    }

    /// What the page takes for its user's choice of colours: `light` or `dark`.
    pub(crate) fn scheme(&self, scheme: &str) {
        self.tell(&format!("scheme {scheme}"));
    }

    /// Sets the size of the window, in pixels.
    pub(crate) fn size(&self, width: u32, height: u32) {
        self.tell(&format!("size {width} {height}"));
    }

    /// Takes a picture of the whole page, as a PNG.
    pub(crate) fn shot(&self, file: &Path) {
        self.tell(&format!("shot {}", file.display()));
    }

    /// What went wrong so far: `errors`, and `foreign`, requests to other hosts.
    pub(crate) fn problems(&self) -> Value {
        self.tell("problems")
    }

    fn tell(&self, command: &str) -> Value {
        assert!(!command.contains('\n'), "a command is a line: {command}");
        self.driver.say(command);
        let line = self
            .driver
            .line(PATIENCE)
            .unwrap_or_else(|| panic!("{command} is not answered: {}", self.driver.errors()));
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }
}
