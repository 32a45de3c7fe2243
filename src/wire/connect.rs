//! The handshake: the first frame each way, which has no header of its own.
//!
//! Both records may end without their last byte, `readOnly`: go-zookeeper and clients before 3.4
//! leave it out, and servers answer in kind. zoonet relays home's bytes as they are and only
//! reads what it needs.

use super::jute::{Reader, Writer};
use super::{SessionId, WireFault, Zxid};

/// Length of every password a stock server gives.
const PASSWORD: usize = 16;

/// What a client asks for. `Debug` leaves the password out.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ConnectRequest {
    /// The largest zxid the client saw; a server that is behind it refuses by closing.
    pub last_zxid_seen: Zxid,
    /// The session timeout asked for, milliseconds.
    pub timeout: i32,
    /// The session to attach to, or [`SessionId::NONE`] for a new one.
    pub session: SessionId,
    /// The session's password.
    pub password: Vec<u8>,
    /// Whether a server without a quorum will do; `None` where the client leaves the byte out.
    pub read_only: Option<bool>,
}

impl ConnectRequest {
    /// Reads the payload of the first frame of a connection.
    ///
    /// # Errors
    /// A [`WireFault`] when a field is cut off; bytes behind the record are ignored, as servers do.
    pub fn parse(payload: &[u8]) -> Result<Self, WireFault> {
        let mut reader = Reader::new(payload);
        reader.int("protocolVersion")?;
        Ok(Self {
            last_zxid_seen: Zxid(reader.long("lastZxidSeen")?),
            timeout: reader.int("timeOut")?,
            session: SessionId(reader.long("sessionId")?),
            password: reader.buffer("passwd")?.unwrap_or_default().to_vec(),
            read_only: reader.bool("readOnly").ok(),
        })
    }

    /// The request as a frame.
    #[must_use]
    pub fn frame(&self) -> Vec<u8> {
        let record = Writer::with_capacity(45)
            .int(0)
            .long(self.last_zxid_seen.0)
            .int(self.timeout)
            .long(self.session.0)
            .buffer(Some(&self.password));
        match self.read_only {
            Some(read_only) => record.bool(read_only).finish(),
            None => record.finish(),
        }
    }
}

impl std::fmt::Debug for ConnectRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectRequest")
            .field("last_zxid_seen", &self.last_zxid_seen)
            .field("timeout", &self.timeout)
            .field("session", &self.session)
            .field("read_only", &self.read_only)
            .finish_non_exhaustive()
    }
}

/// The session a server granted. `Debug` leaves the password out.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// The session's id on its ensemble.
    pub session: SessionId,
    /// Its password. A function of the id on stock servers, so the id is as sensitive.
    pub password: [u8; PASSWORD],
    /// The negotiated session timeout, milliseconds, above zero.
    pub timeout: u32,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("session", &self.session)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// A server's answer to a [`ConnectRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ConnectResponse {
    /// The session is there.
    Granted(Credentials),
    /// The session is unknown or expired, or the password is wrong. The server closes next.
    Refused,
}

impl ConnectResponse {
    /// Reads the payload of the first frame a server sends.
    ///
    /// # Errors
    /// A [`WireFault`] when a field is cut off or the password is not 16 bytes.
    pub fn parse(payload: &[u8]) -> Result<Self, WireFault> {
        let mut reader = Reader::new(payload);
        reader.int("protocolVersion")?;
        let timeout = reader.int("timeOut")?;
        let session = SessionId(reader.long("sessionId")?);
        let offset = reader.position();
        let given = reader.buffer("passwd")?.unwrap_or_default();
        let Ok(timeout @ 1..) = u32::try_from(timeout) else {
            return Ok(Self::Refused);
        };
        let Ok(password) = <[u8; PASSWORD]>::try_from(given) else {
            return Err(WireFault::Short {
                what: "passwd",
                offset,
                needed: PASSWORD,
                left: given.len(),
            });
        };
        Ok(Self::Granted(Credentials {
            session,
            password,
            timeout,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(read_only: Option<bool>) -> ConnectRequest {
        ConnectRequest {
            last_zxid_seen: Zxid(5),
            timeout: 10_000,
            session: SessionId(7),
            password: vec![9; 16],
            read_only,
        }
    }

    #[test]
    fn both_lengths_of_the_request_are_known() {
        for (read_only, length) in [(Some(false), 45), (Some(true), 45), (None, 44)] {
            let frame = request(read_only).frame();
            assert_eq!(frame.len(), length + 4);
            assert_eq!(
                ConnectRequest::parse(&frame[4..]).unwrap(),
                request(read_only)
            );
        }
    }

    #[test]
    fn a_response_without_the_read_only_byte_is_read() {
        let response = |timeout| {
            Writer::default()
                .int(0)
                .int(timeout)
                .long(3)
                .buffer(Some(&[1; 16]))
                .finish()
        };
        let granted = ConnectResponse::parse(&response(4000)[4..]).unwrap();
        let expected = Credentials {
            session: SessionId(3),
            password: [1; 16],
            timeout: 4000,
        };
        assert_eq!(granted, ConnectResponse::Granted(expected));
        assert_eq!(
            ConnectResponse::parse(&response(0)[4..]).unwrap(),
            ConnectResponse::Refused
        );
        assert_eq!(
            ConnectResponse::parse(&response(-1)[4..]).unwrap(),
            ConnectResponse::Refused
        );
    }

    #[test]
    fn passwords_stay_out_of_debug_output() {
        let shown = format!(
            "{:?} {:?}",
            request(None),
            Credentials {
                session: SessionId(3),
                password: [222; 16],
                timeout: 1,
            }
        );
        assert!(!shown.contains("222") && !shown.contains("9, 9"), "{shown}");
    }
}
