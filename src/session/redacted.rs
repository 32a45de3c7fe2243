//! What `Debug` shows of whatever holds frames: never what is in them. They carry data, credentials
//! and the passwords of sessions, and what is printed somewhere ends in a log.

use std::fmt;

use super::{Output, Session};

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("me", &self.me)
            .field("phase", &self.phase)
            .field("switch", &self.switch)
            .field("drain", &self.drain)
            .field("auths", &self.auths.len())
            .field("shown", &self.shown)
            .field("outputs", &self.outputs)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ToClient(frame) => write!(f, "ToClient({} bytes)", frame.len()),
            Self::ToLeg(leg, frame) => write!(f, "ToLeg({leg:?}, {} bytes)", frame.len()),
            Self::Dial(leg, frame) => write!(f, "Dial({leg:?}, {} bytes)", frame.len()),
            Self::LearnRole(leg) => write!(f, "LearnRole({leg:?})"),
            Self::HangUp(leg) => write!(f, "HangUp({leg:?})"),
            Self::Forget(leg) => write!(f, "Forget({leg:?})"),
            Self::CloseClient => f.write_str("CloseClient"),
            Self::Happened(event) => write!(f, "Happened({event:?})"),
        }
    }
}
