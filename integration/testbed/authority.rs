//! Authorities and what they sign, as files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};

use super::scratch::Scratch;
use super::zookeeper::Stores;

/// An authority, with a folder for what it signs.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: Scratch,
    ca: PathBuf,
}

/// A certificate and its key.
#[derive(Clone, Debug)]
pub(crate) struct Certified {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Both, as ZooKeeper wants to have them.
    pub(crate) both: PathBuf,
}

/// Until when a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Far,
    Past,
}

impl Authority {
    /// An authority of its own.
    pub(crate) fn new(name: &str) -> Self {
        let mut wanted = CertificateParams::new(Vec::new()).expect("no names are good names");
        wanted.distinguished_name.push(DnType::CommonName, name);
        wanted.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("ring makes keys");
        let issuer = CertifiedIssuer::self_signed(wanted, key).expect("it signs itself");
        let folder = Scratch::new(name);
        let ca = folder.write("ca.pem", &issuer.pem());
        Self { issuer, folder, ca }
    }

    /// The file that makes others trust it.
    pub(crate) fn ca(&self) -> &Path {
        &self.ca
    }

    /// The folder, for what else a test needs beside its certificates.
    pub(crate) fn folder(&self) -> &Scratch {
        &self.folder
    }

    /// Signs a certificate for these hosts.
    pub(crate) fn certify(&self, name: &str, hosts: &[&str], end: End) -> Certified {
        let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        let mut wanted = CertificateParams::new(hosts).expect("hosts of tests are good names");
        wanted.distinguished_name.push(DnType::CommonName, name);
        wanted.not_before = date_time_ymd(2000, 1, 1);
        wanted.not_after = match end {
            End::Far => date_time_ymd(2100, 1, 1),
            End::Past => date_time_ymd(2020, 1, 1),
        };
        let key = KeyPair::generate().expect("ring makes keys");
        let signed = wanted.signed_by(&key, &self.issuer);
        let certificate = signed.expect("it signs what it is asked to").pem();
        let key = key.serialize_pem();
        let secret = |file: &str, content: &str| {
            let path = self.folder.write(&format!("{name}.{file}"), content);
            let mode = fs::Permissions::from_mode(0o600);
            fs::set_permissions(&path, mode).expect("the scratch directory is ours");
            path
        };
        Certified {
            certificate: self.folder.write(&format!("{name}.pem"), &certificate),
            key: secret("key", &key),
            both: secret("both.pem", &format!("{key}{certificate}")),
        }
    }

    /// What a server on loopback needs that trusts whom this authority does.
    pub(crate) fn stores(&self, name: &str) -> Stores {
        Stores {
            identity: self
                .certify(name, &["127.0.0.1", "localhost"], End::Far)
                .both,
            authorities: self.ca.clone(),
        }
    }
}
