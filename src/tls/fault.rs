//! Why a TLS handshake failed, in words that say what to look at.

use std::fmt;
use std::io;

use tokio_rustls::rustls::{AlertDescription, CertificateError, Error};

use crate::secrets::Moment;

/// Why TLS with a peer failed. `Display` says what to look at.
#[derive(Clone, Debug, PartialEq)]
pub struct TlsFault(Error);

impl TlsFault {
    /// The fault behind an error of a stream, if it is one of TLS.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Self> {
        let cause = error.get_ref()?.downcast_ref::<Error>()?;
        Some(Self(cause.clone()))
    }
}

impl std::error::Error for TlsFault {}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "a foreign enum; its other words are good enough"
        )]
        match &self.0 {
            Error::InvalidCertificate(error) => certificate(error, f),
            Error::NoCertificatesPresented => {
                f.write_str("it shows no certificate, and has to show one that our CA has signed")
            }
            Error::InvalidMessage(_) => f.write_str("it does not speak TLS"),
            Error::AlertReceived(alert) => said(*alert, f),
            Error::PeerIncompatible(why) => write!(f, "no common version or cipher: {why:?}"),
            other => other.fmt(f),
        }
    }
}

/// What is wrong with the peer's certificate.
fn certificate(error: &CertificateError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a foreign enum; its other words are good enough"
    )]
    match error {
        CertificateError::ExpiredContext { not_after, .. } => {
            let since = Moment::from_unix(not_after.as_secs());
            write!(f, "its certificate has expired on {since}")
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            let until = Moment::from_unix(not_before.as_secs());
            write!(f, "its certificate is not valid before {until}")
        }
        CertificateError::UnknownIssuer => {
            f.write_str("its certificate is not signed by an authority in our CA file")
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => {
            let expected = expected.to_str();
            write!(f, "its certificate is not for {expected}; it is for ")?;
            match presented.as_slice() {
                [] => f.write_str("no name at all"),
                names => {
                    let names: Vec<&str> = names.iter().map(|name| plain(name)).collect();
                    f.write_str(&names.join(", "))
                }
            }
        }
        other => write!(f, "its certificate is not good: {other}"),
    }
}

/// A name in a certificate, which comes as `DnsName("zk1.eu")` or `IpAddress(10.0.0.1)`.
fn plain(name: &str) -> &str {
    let inner = name.split_once('(').map_or(name, |(_, inner)| inner);
    inner.trim_end_matches(')').trim_matches('"')
}

/// What the peer says is wrong with us.
fn said(alert: AlertDescription, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a foreign enum; its other words are good enough"
    )]
    f.write_str(match alert {
        AlertDescription::CertificateRequired => "it wants a certificate of ours and got none",
        AlertDescription::BadCertificate => {
            "it does not take our certificate, or wants one and got none"
        }
        AlertDescription::UnknownCA => "it does not trust the authority of our certificate",
        AlertDescription::CertificateUnknown => {
            "it does not take our certificate: its authority, its time or its name are wrong there"
        }
        AlertDescription::CertificateExpired => "it says that our certificate has expired",
        AlertDescription::HandshakeFailure => "it refuses the handshake",
        AlertDescription::ProtocolVersion => "it speaks no version of TLS from 1.2 on",
        other => return write!(f, "it breaks off: {other:?}"),
    })
}
