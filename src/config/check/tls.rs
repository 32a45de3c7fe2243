//! Which files TLS and credentials are in. What is in them is judged when they are read.

use std::path::PathBuf;

use serde_yaml::{Location, Spanned};

use super::super::raw::{RawClientTls, RawTls, Text};
use super::super::strict::Strict;
use super::super::{ClientTls, Complaint, KeyPair, Place, ServerTls, scalar};
use super::Checker;

impl Checker {
    /// TLS to an ensemble.
    pub(super) fn server_tls(&mut self, raw: Option<Spanned<Strict<RawTls>>>) -> Option<ServerTls> {
        let raw = raw?;
        let (value, at) = (self.known_keys(raw.value), raw.referenced);
        let ca = self.required(value.ca.as_ref(), at, "ca", "`ca: FILE`");
        let identity = if value.certificate.is_none() && value.key.is_none() {
            None
        } else {
            self.key_pair(value.certificate.as_ref(), value.key.as_ref(), at)
        };
        Some(ServerTls {
            ca: ca?,
            identity,
            server_name: self.optional(value.server_name.as_ref(), scalar::server_name),
        })
    }

    /// TLS from clients.
    pub(super) fn client_tls(
        &mut self,
        raw: Option<Spanned<Strict<RawClientTls>>>,
        listen: &[Place],
    ) -> Option<ClientTls> {
        let raw = raw?;
        let (value, at) = (self.known_keys(raw.value), raw.referenced);
        if listen.iter().all(|place| matches!(place, Place::Unix(_))) && !listen.is_empty() {
            self.blame(at, Complaint::IdleClientTls);
        }
        let client_ca = value.client_ca.as_ref().map(|file| self.file(file));
        Some(ClientTls {
            identity: self.key_pair(value.certificate.as_ref(), value.key.as_ref(), at)?,
            client_ca,
        })
    }

    /// A certificate and its key; one without the other is of no use.
    fn key_pair(
        &mut self,
        certificate: Option<&Text>,
        key: Option<&Text>,
        at: Location,
    ) -> Option<KeyPair> {
        let certificate = self.required(certificate, at, "certificate", "`certificate: FILE`");
        let key = self.required(
            key,
            at,
            "key",
            "`key: FILE`, the private key of `certificate`",
        );
        Some(KeyPair {
            certificate: certificate?,
            key: key?,
        })
    }

    fn required(
        &mut self,
        file: Option<&Text>,
        at: Location,
        key: &'static str,
        example: &'static str,
    ) -> Option<PathBuf> {
        if file.is_none() {
            self.missing(at, key, example);
        }
        file.map(|file| self.file(file))
    }

    /// A file; relative names are beside the configuration.
    pub(super) fn file(&mut self, text: &Text) -> PathBuf {
        if text.value.is_empty() {
            self.blame(text.referenced, Complaint::NoFile);
        }
        self.folder.join(&text.value)
    }
}
