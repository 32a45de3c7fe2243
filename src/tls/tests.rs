//! Handshakes over loopback, with certificates made for the occasion.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::HandshakeKind;

use super::*;

/// An authority.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut wanted = CertificateParams::new(Vec::new()).unwrap();
        wanted.distinguished_name.push(DnType::CommonName, name);
        wanted.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(wanted, key).unwrap())
    }

    fn store(&self) -> RootCertStore {
        let mut store = RootCertStore::empty();
        store.add(self.0.der().clone()).unwrap();
        store
    }

    /// A certificate for a host, good until 2100 or until the given year begins.
    fn certify(&self, host: &str, year: i32) -> Certified {
        let mut wanted = CertificateParams::new(vec![host.to_owned()]).unwrap();
        wanted.not_before = date_time_ymd(2000, 1, 1);
        wanted.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = wanted.signed_by(&key, &self.0).unwrap();
        Certified {
            chain: vec![certificate.der().clone()],
            key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        }
    }
}

const LATER: i32 = 2100;

fn localhost() -> Server {
    Server {
        host: "localhost".to_owned(),
        port: 1,
    }
}

/// Both sides' streams, or what each has against the other.
async fn shake(
    connector: &Connector,
    acceptor: &Acceptor,
) -> (io::Result<Stream>, io::Result<Stream>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await;
    let (far, _) = listener.accept().await.unwrap();
    let server = localhost();
    let client = async {
        let mut stream = connector
            .connect(Stream::Tcp(near.unwrap()), &server)
            .await?;
        // In TLS 1.3 the server judges after the client believes to be through.
        stream.write_all(b"ping").await?;
        stream.read_exact(&mut [0; 4]).await?;
        Ok(stream)
    };
    let server = async {
        let mut stream = acceptor.accept(Stream::Tcp(far)).await?;
        stream.read_exact(&mut [0; 4]).await?;
        stream.write_all(b"pong").await?;
        stream.flush().await?;
        Ok(stream)
    };
    tokio::join!(client, server)
}

/// TLS over streams in memory that hold no more than so many bytes.
pub(crate) async fn pair(capacity: usize) -> (Stream, Stream) {
    let ours = Authority::new("ours");
    let connector = Connector::new(ours.store(), None, None).unwrap();
    let acceptor = Acceptor::new(ours.certify("localhost", LATER), None).unwrap();
    let (near, far) = tokio::io::duplex(capacity);
    let server = localhost();
    let (near, far) = tokio::join!(
        connector.connect(Stream::Memory(near), &server),
        acceptor.accept(Stream::Memory(far)),
    );
    (near.unwrap(), far.unwrap())
}

/// What is said of a failure.
fn said(outcome: &io::Result<Stream>) -> String {
    let error = outcome.as_ref().err().unwrap();
    match TlsFault::of(error) {
        Some(fault) => fault.to_string(),
        None => format!("not of TLS: {error}"),
    }
}

#[tokio::test]
async fn each_side_is_told_what_is_wrong() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let good = || ours.certify("localhost", LATER);
    let trusting = |identity| Connector::new(ours.store(), identity, None).unwrap();
    let open = |identity| Acceptor::new(identity, None).unwrap();
    let strict = || Acceptor::new(good(), Some(ours.store())).unwrap();
    let cases: [(Connector, Acceptor, &str, &str); 7] = [
        (
            trusting(None),
            open(theirs.certify("localhost", LATER)),
            "not signed by an authority in our CA file",
            "does not trust the authority of our certificate",
        ),
        (
            trusting(None),
            open(ours.certify("elsewhere.example", LATER)),
            "not for localhost; it is for elsewhere.example",
            "it does not take our certificate",
        ),
        (
            trusting(None),
            open(ours.certify("localhost", 2020)),
            "expired on 2020-01-01 00:00 UTC",
            "says that our certificate has expired",
        ),
        (
            trusting(None),
            strict(),
            "wants a certificate of ours and got none",
            "shows no certificate",
        ),
        (
            trusting(Some(theirs.certify("client", LATER))),
            strict(),
            "does not trust the authority of our certificate",
            "not signed by an authority in our CA file",
        ),
        (
            trusting(Some(ours.certify("client", 2020))),
            strict(),
            "says that our certificate has expired",
            "expired on 2020-01-01 00:00 UTC",
        ),
        (
            Connector::new(theirs.store(), None, None).unwrap(),
            open(good()),
            "not signed by an authority in our CA file",
            "does not trust the authority of our certificate",
        ),
    ];
    for (connector, acceptor, to_client, to_server) in cases {
        let (client, server) = shake(&connector, &acceptor).await;
        let (client, server) = (said(&client), said(&server));
        assert!(client.contains(to_client), "{client} | {server}");
        assert!(server.contains(to_server), "{client} | {server}");
    }
}

#[tokio::test]
async fn good_certificates_on_both_sides_are_taken_and_sessions_resumed() {
    let ours = Authority::new("ours");
    let identity = Some(ours.certify("client", LATER));
    let connector = Connector::new(ours.store(), identity, None).unwrap();
    let server = ours.certify("localhost", LATER);
    let acceptor = Acceptor::new(server, Some(ours.store())).unwrap();
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let (client, server) = shake(&connector, &acceptor).await;
        server.unwrap();
        let Stream::Tls(stream) = client.unwrap() else {
            panic!("not TLS")
        };
        kinds.push(stream.get_ref().1.handshake_kind().unwrap());
    }
    assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed]);
}

#[tokio::test]
async fn the_name_expected_can_be_set() {
    let ours = Authority::new("ours");
    let acceptor = Acceptor::new(ours.certify("zk.eu.example", LATER), None).unwrap();
    for (name, fits) in [("zk.eu.example", true), ("zk.us.example", false)] {
        let name = ServerName::try_from(name).unwrap();
        let connector = Connector::new(ours.store(), None, Some(name)).unwrap();
        let (client, _) = shake(&connector, &acceptor).await;
        assert_eq!(client.is_ok(), fits);
    }
}

#[tokio::test]
async fn what_is_not_tls_is_told_so() {
    let ours = Authority::new("ours");
    let acceptor = Acceptor::new(ours.certify("localhost", LATER), None).unwrap();
    for first in [&b"ruok"[..], &[0, 0, 0, 45, 0, 0, 0, 0]] {
        let (mut near, far) = tokio::io::duplex(1024);
        near.write_all(first).await.unwrap();
        near.shutdown().await.unwrap();
        let outcome = acceptor.accept(Stream::Memory(far)).await;
        assert_eq!(said(&outcome), "it does not speak TLS");
    }
}

#[tokio::test]
async fn an_end_without_goodbye_is_an_end() {
    let ours = Authority::new("ours");
    let connector = Connector::new(ours.store(), None, None).unwrap();
    let acceptor = Acceptor::new(ours.certify("localhost", LATER), None).unwrap();
    let (client, server) = shake(&connector, &acceptor).await;
    // Which says nothing.
    drop(server.unwrap());
    let mut rest = Vec::new();
    client.unwrap().read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"");
}
