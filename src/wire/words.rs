//! Four-letter words: what a connection may start with instead of a handshake, and what a server
//! says of itself in its answer to `srvr`.

use std::fmt;

use super::Zxid;

/// A word that ZooKeeper 3.4 to 3.9 knows (`FourLetterCommands`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Word([u8; 4]);

/// All of them, sorted.
const WORDS: [[u8; 4]; 18] = [
    *b"conf", *b"cons", *b"crst", *b"dirs", *b"dump", *b"envi", *b"gtmk", *b"hash", *b"isro",
    *b"mntr", *b"ruok", *b"srst", *b"srvr", *b"stat", *b"stmk", *b"wchc", *b"wchp", *b"wchs",
];

impl Word {
    /// The word these bytes are. As a frame's length every word lies far above any limit, so that
    /// a handshake is never mistaken for one.
    #[must_use]
    pub fn parse(first: [u8; 4]) -> Option<Self> {
        WORDS.contains(&first).then_some(Self(first))
    }

    /// All words.
    pub fn all() -> impl Iterator<Item = Self> {
        WORDS.into_iter().map(Self)
    }

    /// As it stands on the wire.
    #[must_use]
    pub const fn bytes(self) -> [u8; 4] {
        self.0
    }

    /// Whether it changes the server it is sent to: resets its counters, or how much it traces.
    #[must_use]
    pub const fn changes_its_server(self) -> bool {
        matches!(&self.0, b"crst" | b"srst" | b"stmk")
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// Whether these first four bytes of a connection are a word.
#[must_use]
pub fn is_word(first: [u8; 4]) -> bool {
    Word::parse(first).is_some()
}

/// What a server answers to a word that is not in its `4lw.commands.whitelist`, behind the word.
pub const NOT_LISTED: &str = " is not executed because it is not in the whitelist.\n";

/// What a server answers to most words while it has no quorum, or is starting.
pub const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests\n";

/// An answer to `srvr`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Srvr {
    /// The server serves.
    Serving(Facts),
    /// It runs, and serves nobody.
    NotServing,
    /// It does not say, because the word is not in its whitelist.
    NotListed,
    /// No ZooKeeper answers so.
    Foreign,
}

/// What a serving server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its version as it words it: `3.8.0-…, built on …`.
    pub version: String,
    /// What it is to its ensemble; `None` for a word that is not known here.
    pub role: Option<Role>,
    /// The last transaction it has processed.
    pub zxid: Zxid,
    /// Its request latency in milliseconds, least, mean and most, as it words it: `0/0.5/12`.
    pub latency: String,
    /// How many znodes it holds.
    pub nodes: u64,
}

impl Srvr {
    /// Reads an answer, whole or cut off.
    #[must_use]
    pub fn parse(answer: &[u8]) -> Self {
        let text = String::from_utf8_lossy(answer);
        if text.trim_end() == NOT_SERVING.trim_end() {
            return Self::NotServing;
        }
        if text.contains(NOT_LISTED.trim_end()) {
            return Self::NotListed;
        }
        Facts::parse(&text).map_or(Self::Foreign, Self::Serving)
    }
}

impl Facts {
    fn parse(text: &str) -> Option<Self> {
        let fact = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        let zxid = fact("Zxid: 0x")?;
        Some(Self {
            version: fact("Zookeeper version: ")?.trim().to_owned(),
            role: Role::of_srvr(text.as_bytes()),
            // Negative ones are written as the 64 bits they are.
            zxid: Zxid(u64::from_str_radix(zxid.trim(), 16).ok()?.cast_signed()),
            latency: fact("Latency min/avg/max: ")?.trim().to_owned(),
            nodes: fact("Node count: ")?.trim().parse().ok()?,
        })
    }

    /// The version alone, without what it was built from: `3.8.0`.
    #[must_use]
    pub fn release(&self) -> &str {
        let end = self.version.find(|c: char| !c.is_ascii_digit() && c != '.');
        self.version.split_at(end.unwrap_or(self.version.len())).0
    }

    /// When it was built, as it words it; empty where it does not say.
    #[must_use]
    pub fn built(&self) -> &str {
        let parts = self.version.split_once(", built on ");
        parts.map_or("", |(_, built)| built)
    }
}

/// What a server says it is in its answer to `srvr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Leads the ensemble: a `sync` here is not matched against commits and is no barrier.
    Leader,
    /// Votes and follows.
    Follower,
    /// Follows without a vote.
    Observer,
    /// The only server of its ensemble: what it reads is what was written.
    Standalone,
    /// Cut off from its quorum, serving reads only.
    ReadOnly,
}

impl Role {
    /// The word a server has for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Observer => "observer",
            Self::Standalone => "standalone",
            Self::ReadOnly => "read-only",
        }
    }

    /// Reads the `Mode:` line of an answer to `srvr`; `None` when there is none, as while the
    /// server is not serving or the word is not whitelisted.
    #[must_use]
    pub fn of_srvr(answer: &[u8]) -> Option<Self> {
        let line = answer
            .split(|byte| *byte == b'\n')
            .find_map(|line| line.strip_prefix(b"Mode: "))?;
        match line.trim_ascii() {
            b"leader" => Some(Self::Leader),
            b"follower" => Some(Self::Follower),
            b"observer" => Some(Self::Observer),
            b"standalone" => Some(Self::Standalone),
            b"read-only" => Some(Self::ReadOnly),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_no_frame_lengths() {
        for word in Word::all() {
            assert_eq!(Word::parse(word.bytes()), Some(word));
            assert!(super::super::frames::frame_size(&word.bytes(), 1 << 30).is_err());
        }
        assert!(WORDS.is_sorted());
        assert_eq!(Word::parse([0, 0, 0, 45]), None);
    }

    #[test]
    fn an_answer_to_srvr_is_read_or_told_apart() {
        let answer =
            b"Zookeeper version: 3.8.0-${mvngit.commit.id}, built on 2024-12-29 17:54 UTC\n\
                       Latency min/avg/max: 0/0.5/12\nReceived: 1\nSent: 0\nConnections: 1\n\
                       Outstanding: 0\nZxid: 0x300000007\nMode: leader\nNode count: 5\n\
                       Proposal sizes last/min/max: 32/32/36\n";
        let Srvr::Serving(facts) = Srvr::parse(answer) else {
            panic!("it serves");
        };
        assert_eq!(facts.release(), "3.8.0");
        assert_eq!(facts.built(), "2024-12-29 17:54 UTC");
        assert_eq!(facts.role, Some(Role::Leader));
        assert_eq!((facts.zxid.epoch(), facts.zxid.counter()), (3, 7));
        assert_eq!((facts.latency.as_str(), facts.nodes), ("0/0.5/12", 5));
        for (answer, kind) in [
            (NOT_SERVING, Srvr::NotServing),
            (&format!("srvr{NOT_LISTED}"), Srvr::NotListed),
            ("HTTP/1.1 400 Bad Request\r\n\r\n", Srvr::Foreign),
            ("", Srvr::Foreign),
        ] {
            assert_eq!(Srvr::parse(answer.as_bytes()), kind);
        }
    }

    #[test]
    fn the_mode_line_is_found() {
        let answer = b"Zookeeper version: 3.8.0\nNode count: 5\nMode: observer\n";
        assert_eq!(Role::of_srvr(answer), Some(Role::Observer));
        assert_eq!(
            Role::of_srvr(b"This ZooKeeper instance is not currently serving requests\n"),
            None
        );
    }
}
