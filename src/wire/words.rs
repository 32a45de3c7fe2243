//! Four-letter words: what a connection may start with instead of a handshake.

/// The words of ZooKeeper 3.4 to 3.9 (`FourLetterCommands`).
const WORDS: [[u8; 4]; 18] = [
    *b"conf", *b"cons", *b"crst", *b"dirs", *b"dump", *b"envi", *b"gtmk", *b"hash", *b"isro",
    *b"mntr", *b"ruok", *b"srst", *b"srvr", *b"stat", *b"stmk", *b"wchc", *b"wchp", *b"wchs",
];

/// Whether these first four bytes are a four-letter word. As a frame's length every word lies far
/// above any limit, so that a handshake is never mistaken for one.
#[must_use]
pub fn is_word(first: [u8; 4]) -> bool {
    WORDS.contains(&first)
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
        for word in WORDS {
            assert!(is_word(word));
            assert!(super::super::frames::frame_size(&word, 1 << 30).is_err());
        }
        assert!(!is_word([0, 0, 0, 45]));
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
