//! What a line looks like.
//!
//! Values may come from strangers: bytes of clients, names in certificates. So control characters,
//! and those that turn the direction of text or end a line for some reader, are escaped.

use std::fmt::{self, Write};

use serde::ser::{Serialize, SerializeMap, Serializer};
use tracing::Level;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use super::line::{Line, Sum, Value};

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// For eyes: time, level, module, words, fields.
    Human,
    /// The same on a terminal.
    Coloured,
    /// One object.
    Json,
}

impl Shape {
    /// The line as it is written, its end included.
    pub(super) fn of(self, line: &Line) -> String {
        let mut text = String::with_capacity(256);
        let time = now();
        let written = match self {
            Self::Human => human(&mut text, &time, line, ["", ""]),
            Self::Coloured => human(&mut text, &time, line, colour(line.level)),
            Self::Json => json(&mut text, &time, line),
        };
        written.expect("a string takes all");
        text.push('\n');
        text
    }
}

fn now() -> String {
    let mut time = String::new();
    // There is no such clock; the line is worth more than its time.
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    time
}

/// What stands on a terminal in front of a level and behind it.
fn colour(level: Level) -> [&'static str; 2] {
    let before = match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    };
    [before, "\x1b[0m"]
}

fn human(text: &mut String, time: &str, line: &Line, [before, behind]: [&str; 2]) -> fmt::Result {
    let Line {
        level,
        target,
        message,
        fields,
        sum,
    } = line;
    write!(text, "{time} {before}{level:>5}{behind} {target}: ")?;
    escape(text, message)?;
    if let Some(Sum { more, seconds }) = sum {
        write!(text, ": {more} more in the last {seconds}s")?;
    }
    for (name, value) in fields.iter() {
        write!(text, " {name}=")?;
        match value {
            Value::String(value) => escape(text, &format!("{value:?}"))?,
            Value::Text(value) => escape(text, value)?,
            Value::Signed(value) => write!(text, "{value}")?,
            Value::Unsigned(value) => write!(text, "{value}")?,
            Value::Float(value) => write!(text, "{value}")?,
            Value::Truth(value) => write!(text, "{value}")?,
        }
    }
    Ok(())
}

fn json(text: &mut String, time: &str, line: &Line) -> fmt::Result {
    let object = serde_json::to_string(&Object { time, line }).map_err(|_| fmt::Error)?;
    // What JSON leaves as it is stands within its strings, where it may be written in this way too.
    for character in object.chars() {
        if is_unseemly(character) {
            write!(text, "\\u{:04x}", u32::from(character))?;
        } else {
            text.push(character);
        }
    }
    Ok(())
}

struct Object<'a> {
    time: &'a str,
    line: &'a Line,
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Line {
            level,
            target,
            message,
            fields,
            sum,
        } = self.line;
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry("timestamp", self.time)?;
        object.serialize_entry("level", level.as_str())?;
        object.serialize_entry("target", target)?;
        object.serialize_entry("message", message)?;
        if let Some(Sum { more, seconds }) = sum {
            object.serialize_entry("more", more)?;
            object.serialize_entry("seconds", seconds)?;
        }
        for (name, value) in fields.iter() {
            match value {
                Value::String(value) | Value::Text(value) => object.serialize_entry(name, value),
                Value::Signed(value) => object.serialize_entry(name, value),
                Value::Unsigned(value) => object.serialize_entry(name, value),
                Value::Float(value) => object.serialize_entry(name, value),
                Value::Truth(value) => object.serialize_entry(name, value),
            }?;
        }
        object.end()
    }
}

fn escape(text: &mut String, value: &str) -> fmt::Result {
    for character in value.chars() {
        if is_unseemly(character) {
            write!(text, "{}", character.escape_default())?;
        } else {
            text.push(character);
        }
    }
    Ok(())
}

/// Whether it would do something to a terminal, or to the order of what is read; all of them are
/// of the Basic Multilingual Plane.
fn is_unseemly(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}
