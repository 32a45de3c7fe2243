//! A line in the making: what an event and its spans say, by name.

use std::error::Error;
use std::fmt;

use tracing::field::{Field, Visit};
use tracing::{Level, Metadata};

/// The name under which tracing has an event's words.
const MESSAGE: &str = "message";

/// A line of the log.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) level: Level,
    pub(super) target: &'static str,
    pub(super) message: String,
    pub(super) fields: Fields,
    /// Set where this stands for lines that were not written.
    pub(super) sum: Option<Sum>,
}

/// So many lines, within so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) more: u64,
    pub(super) seconds: u64,
}

impl Line {
    pub(super) fn new(metadata: &'static Metadata<'static>, mut fields: Fields) -> Self {
        Self {
            level: *metadata.level(),
            target: metadata.target(),
            message: fields.take_message(),
            fields,
            sum: None,
        }
    }
}

/// Names and values, in the order in which they were said; each name once.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Fields(Vec<(&'static str, Value)>);

/// What is said of a field.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// A string, which is quoted for eyes.
    String(String),
    /// What displays itself, an id or an error.
    Text(String),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Truth(bool),
}

impl Fields {
    /// These, and those of `inner`, who knows better.
    pub(super) fn overridden_by(mut self, inner: Self) -> Self {
        for (name, value) in inner.0 {
            self.set(name, value);
        }
        self
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    /// Only those of these names.
    pub(super) fn only(&self, names: &[&str]) -> Self {
        let named = self.0.iter().filter(|(name, _)| names.contains(name));
        Self(named.cloned().collect())
    }

    fn set(&mut self, name: &'static str, value: Value) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    fn take_message(&mut self) -> String {
        let at = self.0.iter().position(|(name, _)| *name == MESSAGE);
        match at.map(|at| self.0.remove(at).1) {
            Some(Value::Text(text) | Value::String(text)) => text,
            Some(Value::Signed(_) | Value::Unsigned(_) | Value::Float(_) | Value::Truth(_))
            | None => String::new(),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field.name(), Value::Text(format!("{value:?}")));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.set(field.name(), Value::Text(value.to_string()));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), Value::String(value.to_owned()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), Value::Signed(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), Value::Unsigned(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field.name(), Value::Float(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), Value::Truth(value));
    }
}
