//! One record's bytes: a version, the leg's credentials, the home ensemble it belongs to.

use thiserror::Error;

use crate::wire::SessionId;
use crate::wire::connect::Credentials;

/// The first byte of every record written by this version.
const VERSION: u8 = 1;

/// What stands behind a key of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// The home ensemble, which gives the client's session id its meaning.
    pub(super) home: String,
    pub(super) credentials: Credentials,
}

/// Bytes that are no record of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum RecordFault {
    #[error("record version {0} is not known here")]
    Version(u8),
    #[error("record is cut off")]
    Short,
    #[error("name of the home ensemble is not text")]
    Name,
}

impl Record {
    pub(super) fn encode(home: &str, credentials: &Credentials) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend(credentials.session.number().to_be_bytes());
        bytes.extend(credentials.timeout.to_be_bytes());
        bytes.extend(credentials.password);
        bytes.extend(home.as_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, RecordFault> {
        let (&version, rest) = bytes.split_first().ok_or(RecordFault::Short)?;
        if version != VERSION {
            return Err(RecordFault::Version(version));
        }
        let (&session, rest) = rest.split_first_chunk().ok_or(RecordFault::Short)?;
        let (&timeout, rest) = rest.split_first_chunk().ok_or(RecordFault::Short)?;
        let (&password, home) = rest.split_first_chunk().ok_or(RecordFault::Short)?;
        let home = str::from_utf8(home).map_err(|_| RecordFault::Name)?;
        Ok(Self {
            home: home.to_owned(),
            credentials: Credentials {
                session: SessionId::from(i64::from_be_bytes(session)),
                password,
                timeout: u32::from_be_bytes(timeout),
            },
        })
    }
}
