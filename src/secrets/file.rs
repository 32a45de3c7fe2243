//! One file each: what it holds, or what is wrong with it. What it holds is never quoted.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use thiserror::Error;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{Error, InconsistentKeys, RootCertStore};

use crate::session::Identity;

/// More than the bundle of a whole operating system.
const LIMIT: u64 = 4 << 20;

/// Credentials that one ensemble may be given.
const MOST_CREDENTIALS: usize = 100;

/// What is wrong with a file.
#[derive(Debug, Error)]
pub enum FileFault {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It is no file of this kind.
    #[error("larger than 4MiB")]
    TooLarge,
    /// Others could read what is secret.
    #[error(
        "others can read it (mode {mode:04o}); expected 0600 or 0400, or 0640 where root owns it"
    )]
    Open {
        /// Its permissions.
        mode: u32,
    },
    /// It is not PEM, or broken.
    #[error("not in PEM format: {0}")]
    Pem(pem::Error),
    /// There is no certificate in it.
    #[error("no certificate in it; expected PEM: -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    /// There is no private key in it.
    #[error(
        "no private key in it; expected PEM: -----BEGIN PRIVATE KEY-----. Keys with a passphrase \
         cannot be used"
    )]
    NoKey,
    /// The key is another one's.
    #[error("this certificate is not that of the private key in `key`")]
    Mismatch,
    /// It holds something that cannot be used.
    #[error("cannot be used: {0}")]
    Unusable(Error),
    /// There are no credentials in it.
    #[error("no credentials in it; expected lines such as: digest USER:PASSWORD")]
    NoCredentials,
    /// A line of it is no credential.
    #[error("line {line}: not a credential; expected `SCHEME AUTH`, as in: digest USER:PASSWORD")]
    Credential {
        /// Counted from 1.
        line: usize,
    },
    /// There are too many.
    #[error("more than {MOST_CREDENTIALS} credentials")]
    TooMany,
}

impl From<Error> for FileFault {
    fn from(error: Error) -> Self {
        if error == Error::InconsistentKeys(InconsistentKeys::KeyMismatch) {
            Self::Mismatch
        } else {
            Self::Unusable(error)
        }
    }
}

/// Certificates, in the order of the file.
pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, FileFault> {
    let bytes = read(&File::open(file)?)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(FileFault::Pem)?;
    if found.is_empty() {
        return Err(FileFault::NoCertificate);
    }
    Ok(found)
}

/// Certificates of authorities.
pub(super) fn authorities(file: &Path) -> Result<RootCertStore, FileFault> {
    let mut authorities = RootCertStore::empty();
    for certificate in certificates(file)? {
        authorities.add(certificate)?;
    }
    Ok(authorities)
}

/// A private key.
pub(super) fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, FileFault> {
    let bytes = read_secret(file)?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| {
        if matches!(error, pem::Error::NoItemsFound) {
            FileFault::NoKey
        } else {
            FileFault::Pem(error)
        }
    })
}

/// Credentials: a line each of a scheme and, behind a space, all that is to be told; also empty
/// lines, and comments that begin with `#`.
pub(super) fn credentials(file: &Path) -> Result<Vec<Identity>, FileFault> {
    let bytes = read_secret(file)?;
    let mut identities = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.trim_ascii().is_empty() || line.starts_with(b"#") {
            continue;
        }
        let identity = credential(line).ok_or(FileFault::Credential { line: index + 1 })?;
        if !identities.contains(&identity) {
            identities.push(identity);
        }
    }
    match identities.len() {
        0 => Err(FileFault::NoCredentials),
        1..=MOST_CREDENTIALS => Ok(identities),
        _ => Err(FileFault::TooMany),
    }
}

fn credential(line: &[u8]) -> Option<Identity> {
    let space = line.iter().position(u8::is_ascii_whitespace)?;
    let (scheme, auth) = line.split_at_checked(space)?;
    let scheme = std::str::from_utf8(scheme).ok()?;
    let auth = auth.trim_ascii_start();
    let name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let named = scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.bytes().all(name);
    // Servers take anything for a digest, and let nobody in with it.
    let sound = scheme != "digest" || auth.iter().skip(1).any(|byte| *byte == b':');
    (named && sound && !auth.is_empty()).then(|| Identity::new(scheme, auth))
}

/// Reads a file that nobody else may read.
fn read_secret(path: &Path) -> Result<Vec<u8>, FileFault> {
    const ROOT: u32 = 0;
    let file = File::open(path)?;
    let about = file.metadata()?;
    let forbidden = if about.uid() == ROOT { 0o037 } else { 0o077 };
    if about.mode() & forbidden != 0 {
        return Err(FileFault::Open {
            mode: about.mode() & 0o7777,
        });
    }
    read(&file)
}

fn read(file: &File) -> Result<Vec<u8>, FileFault> {
    let mut bytes = Vec::new();
    file.take(LIMIT + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|size| size > LIMIT) {
        return Err(FileFault::TooLarge);
    }
    Ok(bytes)
}
