//! The words for what is wrong with a file: where, what was found, what is allowed.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_yaml::Location;

use crate::route::PathFault;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("{}: cannot be read: {cause}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The file was read and is wrong. Prints each mistake with its place and its line.
    #[error("{}", Report { name, text, mistakes })]
    Rejected {
        /// What the file is called.
        name: String,
        /// What is in it.
        text: String,
        /// Never empty; in the order of the file.
        mistakes: Vec<Mistake>,
    },
}

impl ConfigError {
    pub(super) fn rejected(name: &str, text: &str, mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
        Self::Rejected {
            name: name.to_owned(),
            text: text.to_owned(),
            mistakes,
        }
    }
}

/// One thing to be corrected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Counted from 1; 0 if it is about the file as a whole.
    pub line: u64,
    /// Counted from 1, in characters.
    pub column: u64,
    /// What is wrong.
    pub complaint: Complaint,
}

impl Mistake {
    pub(super) fn new(at: Location, complaint: Complaint) -> Self {
        Self {
            line: at.line(),
            column: at.column(),
            complaint,
        }
    }
}

/// What is wrong, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the words beside each variant say it")]
pub enum Complaint {
    #[error("{0}")]
    Yaml(String),
    #[error(
        "unknown key `{found}`{} Allowed here: {}",
        Hint(found, allowed),
        List(allowed)
    )]
    UnknownKey { found: String, allowed: Vec<String> },
    #[error("`{0}` is given twice; keep one of them")]
    DuplicateKey(String),
    #[error("no value; write one behind the colon, or remove the line")]
    NoValue,
    #[error("expected {0}")]
    Shape(String),

    #[error("`{key}` is missing; add {example}")]
    Missing {
        key: &'static str,
        example: &'static str,
    },
    #[error("`{found}` is not an address; expected IP:PORT, such as 127.0.0.1:2181 or [::1]:2181")]
    Address { found: String },
    #[error(
        "`{found}` is no place to listen; expected IP:PORT, such as 127.0.0.1:2181 or \
         [::1]:2181, or unix:/PATH"
    )]
    Place { found: String },
    #[error(
        "`{found}` cannot be a Unix socket; expected unix: and an absolute path of at most \
         {longest} bytes, such as unix:/run/zoonet/zk.sock"
    )]
    Socket { found: String, longest: usize },
    #[error("no place to listen; list at least one, such as 127.0.0.1:2181")]
    NoPlaces,
    #[error("`{found}` is listed already")]
    DuplicatePlace { found: String },
    #[error(
        "`client_tls` is for clients that come over TCP, and `listen` has Unix sockets only; \
         remove it, or add an IP:PORT"
    )]
    IdleClientTls,
    #[error("no name of a file")]
    NoFile,
    #[error(
        "`{found}` is neither a host name nor an IP address; expected what is in the servers' certificates"
    )]
    ServerName { found: String },
    #[error(
        "{found} can be reached from other machines, and whoever reaches it acts as this host; \
         use 127.0.0.1, or set `allow_remote: true` if that is meant"
    )]
    Remote { found: SocketAddr },
    #[error("`admin` has the address of `listen`, {0}; give it a port of its own")]
    SameAddress(SocketAddr),
    #[error("`{found}` is neither `true` nor `false`")]
    Bool { found: String },
    #[error(
        "`{found}` is not known here{} Allowed: {}",
        Hint(found, allowed),
        List(allowed)
    )]
    Word { found: String, allowed: Vec<String> },
    #[error(
        "`{found}` is no four-letter word that may be allowed; expected `*` for all, or some of \
         conf, cons, dirs, dump, envi, gtmk, hash, isro, mntr, ruok, srvr, stat, wchc, wchp, wchs"
    )]
    FourLetters { found: String },
    #[error("`{found}` has no unit; write `{found}s` for seconds or `{found}ms` for milliseconds")]
    NoUnit { found: String },
    #[error("`{found}` is not a duration; expected a whole number with a unit: 500ms, 30s, 2m")]
    Duration { found: String },
    #[error("`{found}` is out of range; expected 1ms to 10m")]
    DurationRange { found: String },
    #[error(
        "`{found}` is not a size; expected a whole number of bytes, or one with KiB, MiB or GiB"
    )]
    Size { found: String },
    #[error("`{found}` is out of range; expected {range}")]
    Range { found: String, range: &'static str },
    #[error(
        "replies of up to {reply} bytes, but requests of up to {frame}: what is written could not \
         be read; expected `reply_limit` not to be less than `frame_limit`"
    )]
    ReplyLimit { reply: usize, frame: usize },
    #[error("`{found}` is not a number; expected {range}")]
    Number { found: String, range: &'static str },
    #[error("`{found}` is not an absolute path; expected one such as /var/lib/zoonet")]
    NotAbsolute { found: String },
    #[error("`{found}` is not a log filter: {why}; expected `info`, or `warn,zoonet=debug`")]
    Filter { found: String, why: String },

    #[error(
        "`{found}` cannot be the name of an ensemble; expected 1 to 64 letters, digits, `-`, `_`"
    )]
    Name { found: String },
    #[error(
        "no ensemble is called `{found}`{} Known: {}",
        Hint(found, known),
        List(known)
    )]
    UnknownEnsemble { found: String, known: Vec<String> },
    #[error("{found} ensembles; at most 1000 are supported")]
    TooManyEnsembles { found: usize },
    #[error("no servers; list at least one, such as zk1.example:2181")]
    NoServers,
    #[error("`{found}` names several servers; each is an item of its own: [a:2181, b:2181]")]
    SeveralServers { found: String },
    #[error("`{found}` has a path; servers are HOST:PORT, a chroot is the `root:` of a route")]
    ServerPath { found: String },
    #[error("`{found}` has no port; write `{found}:2181`")]
    NoPort { found: String },
    #[error("`{port}` in `{found}` is not a port; expected 1 to 65535")]
    Port { found: String, port: String },
    #[error("`{host}` in `{found}` is neither a host name nor an IP address; IPv6 is [::1]:2181")]
    Host { found: String, host: String },
    #[error("`{found}` is not a host name; expected one without a port: zoonet.us.example")]
    HostName { found: String },
    #[error("`{found}` is listed already, in line {line}")]
    DuplicateServer { found: String, line: u64 },
    #[error("`{found}` belongs to ensemble `{owner}` already, in line {line}")]
    ForeignServer {
        found: String,
        owner: String,
        line: u64,
    },

    #[error("no route for `/`; add `/: {example}`, so that every path has an ensemble")]
    NoTop { example: String },
    #[error("`{found}` {fault}; expected {}", Allowed(*fault))]
    Path { found: String, fault: PathFault },
    #[error("`{found}` is routed already, in line {line}")]
    DuplicateRoute { found: String, line: u64 },
    #[error(
        "`{prefix}` leads to `{real}` on `{ensemble}`, which overlaps what `{other}` in line {line} \
         leads to; expected separate subtrees, so that every node has one path for clients"
    )]
    Overlap {
        prefix: String,
        real: String,
        ensemble: String,
        other: String,
        line: u64,
    },
}

impl Complaint {
    /// The key that an unknown one is likely meant to be.
    pub(super) fn suggests(&self) -> Option<&str> {
        let Self::UnknownKey { found, allowed } = self else {
            return None;
        };
        nearest(found, allowed)
    }
}

/// What the parser refuses, in our words where we have better ones.
pub(super) fn from_yaml(error: &serde_yaml::Error) -> Mistake {
    use serde_yaml::Error as Yaml;
    let at = error.location().unwrap_or(Location::UNKNOWN);
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a foreign enum; its other words are good enough"
    )]
    let complaint = match error {
        Yaml::DuplicateMappingKey { key, .. } => {
            Complaint::DuplicateKey(key.clone().unwrap_or_default())
        }
        Yaml::NullIntoString { .. } => Complaint::NoValue,
        Yaml::SerdeInvalidType { expected, .. } => Complaint::Shape(expected.clone()),
        Yaml::Unexpected { expected, .. } => Complaint::Shape(
            match *expected {
                "mapping start" => "a map (`key: value`)",
                "sequence start" => "a list ([a, b], or one `- item` per line)",
                "string scalar" => "a single value, found a list or a map",
                other => other,
            }
            .to_owned(),
        ),
        Yaml::MultipleDocuments { .. } => {
            Complaint::Yaml("a second document starts here (`---`); expected one".to_owned())
        }
        other => Complaint::Yaml(without_place(&other.to_string())),
    };
    Mistake::new(at, complaint)
}

/// The parser says the place at the end; we say it in front.
fn without_place(words: &str) -> String {
    let end = words.rfind(" at line ").unwrap_or(words.len());
    words.get(..end).unwrap_or(words).to_owned()
}

/// All mistakes, each with its line of the file.
struct Report<'a> {
    name: &'a str,
    text: &'a str,
    mistakes: &'a [Mistake],
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for mistake in self.mistakes {
            let Mistake {
                line,
                column,
                complaint,
            } = mistake;
            let complaint = printable(&complaint.to_string());
            f.write_str(separator)?;
            separator = "\n";
            if *line == 0 {
                write!(f, "{}: {complaint}", self.name)?;
                continue;
            }
            write!(f, "{}:{line}:{column}: {complaint}", self.name)?;
            let Some(shown) = line_of(self.text, *line) else {
                continue;
            };
            let shown = shown.replace(|c: char| c.is_control() && c != '\t', "?");
            let number = line.to_string();
            // A tab is as wide in the mark as in the line above it.
            let before = usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX);
            let mark: String = shown
                .chars()
                .take(before)
                .map(|c| if c == '\t' { '\t' } else { ' ' })
                .collect();
            let width = number.len();
            write!(f, "\n  {number} | {shown}\n  {:width$} | {mark}^", "")?;
        }
        Ok(())
    }
}

/// The line of this number, counted from 1 as the parser does: for YAML a carriage return ends one
/// as a line feed does, and both in a row end it once.
fn line_of(text: &str, number: u64) -> Option<&str> {
    let before = usize::try_from(number.checked_sub(1)?).ok()?;
    text.split_inclusive('\n')
        .flat_map(|line| {
            let line = line.strip_suffix('\n').unwrap_or(line);
            line.strip_suffix('\r').unwrap_or(line).split('\r')
        })
        .nth(before)
}

/// What was found may contain what moves the cursor.
fn printable(words: &str) -> String {
    let mut printable = String::new();
    for c in words.chars() {
        if c.is_control() {
            printable.extend(c.escape_default());
        } else {
            printable.push(c);
        }
    }
    printable
}

/// `a, b, c`, cut where nobody would read on.
struct List<'a>(&'a [String]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 48;
        let shown: Vec<&str> = self.0.iter().take(SHOWN).map(String::as_str).collect();
        match self.0.len().saturating_sub(SHOWN) {
            _ if shown.is_empty() => f.write_str("none"),
            0 => f.write_str(&shown.join(", ")),
            more => write!(f, "{} and {more} more", shown.join(", ")),
        }
    }
}

/// The end of a sentence; a question, if something known is near what was found.
struct Hint<'a>(&'a str, &'a [String]);

impl fmt::Display for Hint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(found, known) = self;
        match nearest(found, known) {
            Some(word) => write!(f, "; did you mean `{word}`?"),
            None => f.write_str("."),
        }
    }
}

/// The known word that this is likely meant to be.
fn nearest<'w>(found: &str, known: &'w [String]) -> Option<&'w str> {
    // Of very short words everything is near.
    let most = match found.chars().count() {
        0..=2 => 0,
        3 => 1,
        _ => 2,
    };
    let near = known
        .iter()
        .map(|word| (distance(found, word), word))
        .filter(|(distance, _)| *distance <= most)
        .min();
    near.map(|(_, word)| word.as_str())
}

/// What a path has to look like instead.
struct Allowed(PathFault);

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            PathFault::Empty | PathFault::Relative => "a path from the root, such as `/eu`",
            PathFault::TrailingSlash => "the same without it (`/` alone is the root)",
            PathFault::EmptyComponent | PathFault::Dots => "plain components, such as `/eu/app`",
            PathFault::Character(_) | PathFault::NotText => "printable characters up to U+FFEF",
            PathFault::Sequential => {
                "another name: such a node is made by whoever owns its parent, not by this route"
            }
            PathFault::System => "a path outside of `/zookeeper`",
        })
    }
}

/// How many letters have to be changed, added or removed (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (index, x) in a.chars().enumerate() {
        let mut left = index + 1;
        let mut next = vec![left];
        for ((y, diagonal), above) in b.chars().zip(&row).zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(x != y))
                .min(above + 1)
                .min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}
