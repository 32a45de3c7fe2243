//! TLS from clients.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, DEFAULT_VERSIONS, RootCertStore, StreamOwned,
    SupportedProtocolVersion,
};

use super::{SESSION, logged, logs, shared};
use crate::ZOONET;
use crate::raw::{self, NO_NODE, Raw};
use crate::testbed::authority::{Authority, Certified, End};
use crate::testbed::python::Python;
use crate::testbed::sidecar::Setup;

/// A stream of a client that speaks TLS.
pub(super) type Encrypted = StreamOwned<ClientConnection, TcpStream>;

/// Shakes hands with a sidecar on loopback.
pub(super) fn dial(
    address: SocketAddr,
    ca: &Path,
    identity: Option<&Certified>,
) -> io::Result<Encrypted> {
    dial_in(DEFAULT_VERSIONS, address, ca, identity)
}

fn dial_in(
    versions: &[&'static SupportedProtocolVersion],
    address: SocketAddr,
    ca: &Path,
    identity: Option<&Certified>,
) -> io::Result<Encrypted> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(ca).unwrap())
        .unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some(Certified {
            certificate, key, ..
        }) => {
            let certificate = CertificateDer::from_pem_file(certificate).unwrap();
            let key = PrivateKeyDer::from_pem_file(key).unwrap();
            builder
                .with_client_auth_cert(vec![certificate], key)
                .unwrap()
        }
    };
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut session = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = raw::dial(address);
    while session.is_handshaking() {
        session.complete_io(&mut socket)?;
    }
    Ok(StreamOwned::new(session, socket))
}

/// The key that lets clients of an authority in, and the certificate shown to them.
pub(super) fn client_tls(shown: &Certified, client_ca: Option<&Path>) -> String {
    let ca = client_ca.map_or_else(String::new, |ca| format!(", client_ca: {}", ca.display()));
    format!(
        "client_tls: {{ certificate: {}, key: {}{ca} }}",
        shown.certificate.display(),
        shown.key.display()
    )
}

/// What is said to somebody whom the other side does not take: nothing of use.
fn turned_away(stream: io::Result<Encrypted>) {
    // In TLS 1.3 a client is told after it believes to be through.
    let Ok(mut stream) = stream else { return };
    let hello = raw::framed(&raw::handshake(0, SESSION, 0, &[0; 16]));
    let answered = stream
        .write_all(&hello)
        .and_then(|()| raw::read_frame(&mut stream));
    assert!(answered.is_err(), "{answered:?}");
}

#[test]
fn an_unmodified_client_works_over_tls_on_both_sides() {
    let secure = shared();
    let shown = secure
        .authority
        .certify("localhost", &["127.0.0.1"], End::Far);
    let own = secure
        .authority
        .certify("kazoo", &["kazoo.example"], End::Far);
    let ca = secure.authority.ca();
    let sidecar = secure
        .setup()
        .key(&client_tls(&shown, Some(ca)))
        .start(ZOONET);
    Python::file("clients/tls.py")
        .args(["--connect", &sidecar.address().to_string()])
        .args(["--local", "/kazoo-tls", "--remote", "/eu/kazoo-tls"])
        .args([Path::new("--ca"), ca].map(|part| part.display()))
        .args([Path::new("--certificate"), &own.certificate].map(|part| part.display()))
        .args([Path::new("--key"), &own.key].map(|part| part.display()))
        .run(Duration::from_secs(120));
}

#[test]
fn clients_without_a_good_certificate_are_turned_away_in_words() {
    let secure = shared();
    let (ours, theirs) = (&secure.authority, Authority::new("strangers"));
    let shown = ours.certify("shown", &["127.0.0.1"], End::Far);
    let sidecar = secure
        .setup()
        .key(&client_tls(&shown, Some(ours.ca())))
        .start(ZOONET);
    let address = sidecar.address();

    turned_away(dial(address, ours.ca(), None));
    logs(
        &sidecar,
        &["WARN", "client turned away", "TLS: it shows no certificate"],
    );

    let stranger = theirs.certify("stranger", &["stranger.example"], End::Far);
    turned_away(dial(address, ours.ca(), Some(&stranger)));
    let words = "TLS: its certificate is not signed by an authority in our CA file";
    logs(&sidecar, &["WARN", "client turned away", words]);

    let expired = ours.certify("expired", &["client.example"], End::Past);
    turned_away(dial(address, ours.ca(), Some(&expired)));
    let words = "TLS: its certificate has expired on 2020-01-01 00:00 UTC";
    logs(&sidecar, &["WARN", "client turned away", words]);

    // A client that trusts somebody else says so.
    assert!(dial(address, theirs.ca(), None).is_err());
    let words = "TLS: it does not trust the authority of our certificate";
    logs(&sidecar, &["WARN", "client turned away", words]);

    // A good one comes through beside them.
    let good = ours.certify("good", &["client.example"], End::Far);
    let stream = dial(address, ours.ca(), Some(&good)).unwrap();
    let mut client = Raw::over(stream, 0, SESSION);
    assert_eq!(client.get("/eu/secure-missing").err, NO_NODE);
}

#[test]
fn both_versions_are_spoken() {
    let secure = shared();
    let (ours, ca) = (&secure.authority, secure.authority.ca());
    let shown = ours.certify("shown-twice", &["127.0.0.1"], End::Far);
    let good = ours.certify("good-twice", &["client.example"], End::Far);
    let key = client_tls(&shown, Some(ca));
    let sidecar = Setup::home(&secure.us).key(&key).start(ZOONET);
    for version in [&TLS12, &TLS13] {
        let stream = dial_in(&[version], sidecar.address(), ca, Some(&good)).unwrap();
        assert_eq!(stream.conn.protocol_version(), Some(version.version));
        let mut client = Raw::over(stream, 0, SESSION);
        assert_eq!(client.get("/secure-missing").err, NO_NODE);
        turned_away(dial_in(&[version], sidecar.address(), ca, None));
    }
}

#[test]
fn clients_that_do_not_speak_tls_are_turned_away() {
    let secure = shared();
    let shown = secure.authority.certify("shown", &["127.0.0.1"], End::Far);
    let sidecar = secure.setup().key(&client_tls(&shown, None)).start(ZOONET);
    let hello = raw::framed(&raw::handshake(0, SESSION, 0, &[0; 16]));
    for (turn, first) in [(1, &hello[..]), (2, b"ruok")] {
        let mut client = raw::dial(sidecar.address());
        client.write_all(first).unwrap();
        let mut answer = Vec::new();
        // The system may reset what was not read.
        let _ = client.read_to_end(&mut answer);
        assert!(
            !answer.starts_with(b"imok") && answer.len() < 30,
            "{answer:?}"
        );
        let words = ["WARN", "client turned away", "TLS: it does not speak TLS"];
        while logs(&sidecar, &words) < turn {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let turned = logged(&sidecar, &["client turned away"]);
    // Whoever only looks whether the port is open is nobody's concern.
    drop(raw::dial(sidecar.address()));
    let mut word = dial(sidecar.address(), secure.authority.ca(), None).unwrap();
    word.write_all(b"ruok").unwrap();
    let mut answer = String::new();
    word.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "imok");
    assert_eq!(logged(&sidecar, &["client turned away"]), turned);
}

/// A client that says nothing keeps nobody from connecting, and is not waited for longer than others.
#[test]
fn a_client_that_never_shakes_hands_is_let_go() {
    let secure = shared();
    let shown = secure.authority.certify("shown", &["127.0.0.1"], End::Far);
    let sidecar = Setup::home(&secure.us)
        .key(&client_tls(&shown, None))
        .key("handshake_timeout: 1s")
        .start(ZOONET);
    let silent = raw::dial(sidecar.address());
    let mut halting = raw::dial(sidecar.address());
    halting.write_all(&[0x16, 3, 1]).unwrap();
    let stream = dial(sidecar.address(), secure.authority.ca(), None).unwrap();
    assert_eq!(
        Raw::over(stream, 0, SESSION).get("/secure-missing").err,
        NO_NODE
    );
    raw::assert_closed(silent);
    raw::assert_closed(halting);
    logs(&sidecar, &["client turned away", "no handshake within 1s"]);
}
