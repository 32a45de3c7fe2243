//! Certificates are replaced while clients work.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use super::clients::{client_tls, dial};
use super::{SESSION, logged, logs, replace, shared, tls};
use crate::ZOONET;
use crate::raw::{self, NO_NODE, OK, Raw};
use crate::testbed::authority::{Authority, Certified, End};
use crate::testbed::sidecar::{Setup, Sidecar};
use crate::testbed::zookeeper::Plan;

/// Longer than files have to be as they are before they are complained of.
const A_WHILE: Duration = Duration::from_secs(7);

fn is_shown(sidecar: &Sidecar, ca: &Path, certificate: &Path) -> bool {
    let stream = dial(sidecar.address(), ca, None).unwrap();
    let expected = CertificateDer::from_pem_file(certificate).unwrap();
    stream.conn.peer_certificates().unwrap()[0] == expected
}

fn replace_both(old: &Certified, new: &Certified) {
    replace(&old.key, &new.key);
    replace(&old.certificate, &new.certificate);
}

#[test]
fn new_clients_meet_the_new_certificate_and_old_ones_stay() {
    let secure = shared();
    let (authority, ca) = (&secure.authority, secure.authority.ca());
    let used = authority.certify("used", &["127.0.0.1"], End::Far);
    let next = authority.certify("next", &["127.0.0.1"], End::Far);
    let sidecar = secure.setup().key(&client_tls(&used, None)).start(ZOONET);
    let mut client = Raw::over(dial(sidecar.address(), ca, None).unwrap(), 0, SESSION);
    assert_eq!(client.get("/eu/secure-missing").err, NO_NODE);

    // One after the other, as people do it; that they do not fit for a moment is no news.
    replace(&used.key, &next.key);
    thread::sleep(Duration::from_millis(500));
    replace(&used.certificate, &next.certificate);
    logs(&sidecar, &["INFO", "reloaded"]);
    assert_eq!(logged(&sidecar, &["not reloaded"]), 0);
    assert!(is_shown(&sidecar, ca, &next.certificate));
    for path in ["/secure-missing", "/eu/secure-missing"] {
        assert_eq!(client.get(path).err, NO_NODE, "the session goes on");
    }
    assert_eq!(logged(&sidecar, &["leg is up"]), 1, "its leg as well");
}

#[test]
fn what_cannot_be_used_changes_nothing_and_is_said_once() {
    let secure = shared();
    let (authority, ca) = (&secure.authority, secure.authority.ca());
    let used = authority.certify("used-on", &["127.0.0.1"], End::Far);
    let first = authority.folder().write("first.pem", "");
    fs::copy(&used.certificate, &first).unwrap();
    let next = authority.certify("next-on", &["127.0.0.1"], End::Far);
    let expired = authority.certify("expired-on", &["127.0.0.1"], End::Past);
    let sidecar = secure.setup().key(&client_tls(&used, None)).start(ZOONET);

    // The certificate of another key.
    replace(&used.certificate, &next.certificate);
    let words = [
        "ERROR",
        "not reloaded",
        "client_tls.certificate",
        "not that of the private key",
    ];
    logs(&sidecar, &words);
    thread::sleep(A_WHILE);
    assert_eq!(logged(&sidecar, &words), 1);
    assert!(is_shown(&sidecar, ca, &first));

    // One that is of no use any more.
    replace_both(&used, &expired);
    let words = [
        "ERROR",
        "not reloaded",
        "this certificate has expired on 2020-01-01 00:00 UTC",
    ];
    logs(&sidecar, &words);
    assert!(is_shown(&sidecar, ca, &first));

    // One that is gone.
    fs::remove_file(&used.key).unwrap();
    logs(
        &sidecar,
        &[
            "ERROR",
            "not reloaded",
            "client_tls.key",
            "cannot be read: No such file",
        ],
    );
    assert!(is_shown(&sidecar, ca, &first));
    assert_eq!(logged(&sidecar, &["INFO", " reloaded"]), 0);

    replace_both(&used, &next);
    logs(&sidecar, &["INFO", " reloaded"]);
    assert!(is_shown(&sidecar, ca, &next.certificate));
}

#[test]
fn a_leg_goes_on_with_servers_of_a_new_authority() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let stores = old.stores("ap");
    let ap = Plan::new("ap").tls(&stores).start();
    let server = &ap.servers()[0];
    let ca = old.folder().write("used-ca.pem", "");
    fs::copy(old.ca(), &ca).unwrap();
    let identity = old.certify("sidecar", &["sidecar.example"], End::Far);
    let sidecar = Setup::home(&shared().us)
        .servers("ap", &[server.secure_address()])
        .ensemble_key("ap", &tls(&ca, Some(&identity), ""))
        .key("connect_timeout: 5s")
        .route("/ap", "ap")
        .start(ZOONET);
    let mut client = Raw::connect(sidecar.address(), 30_000);
    client.make("/ap");
    client.make("/ap/watched");
    let create = raw::create_body("/ap/ephemeral", raw::EPHEMERAL);
    assert_eq!(client.call(raw::CREATE, &create).err, OK);
    let watch = [&raw::buffer(b"/ap/watched")[..], &[1]].concat();
    assert_eq!(client.call(raw::GET_DATA, &watch).err, OK);
    assert_eq!(logged(&sidecar, &["leg is up"]), 1);

    // Its connection stays while the file changes; the next one goes by what is in it.
    replace(&ca, new.ca());
    logs(&sidecar, &["INFO", " reloaded"]);
    assert_eq!(client.get("/ap/watched").err, OK);
    assert_eq!(logged(&sidecar, &["leg is up"]), 1);
    server.kill();
    replace(&stores.identity, &new.stores("ap").identity);
    server.restart();
    let deadline = Instant::now() + Duration::from_secs(60);
    while client.get("/ap/ephemeral").err != OK {
        assert!(Instant::now() < deadline, "{}", sidecar.log());
        thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(logged(&sidecar, &["leg is up"]), 2);
    assert_eq!(logged(&sidecar, &["leg's session has expired"]), 0);

    // What it watches is watched again.
    let mut direct = Raw::connect(server.address(), SESSION);
    assert_eq!(direct.set("/ap/watched", b"new").err, OK);
    assert_eq!(client.reply().xid, -1, "an event");
}

#[test]
fn check_says_until_when_certificates_are_good() {
    let authority = Authority::new("check");
    let check = |shown: &Certified| {
        let yaml = Setup::home(&shared().us)
            .key(&client_tls(shown, None))
            .yaml(crate::testbed::ports::reserve(), authority.folder().path());
        let config = authority.folder().write("zoonet.yaml", &yaml);
        let output = Command::new(ZOONET)
            .arg("check")
            .arg(config)
            .output()
            .unwrap();
        let [said, complained] =
            [output.stdout, output.stderr].map(|b| String::from_utf8(b).unwrap());
        (output.status.code(), said, complained)
    };
    let good = authority.certify("good", &["127.0.0.1"], End::Far);
    let line = format!(
        "certificate  {}  good until 2100-01-01 00:00 UTC: ",
        good.certificate.display()
    );
    let (code, said, complained) = check(&good);
    assert!(
        code == Some(0) && said.contains(&line),
        "{said}{complained}"
    );

    let past = authority.certify("past", &["127.0.0.1"], End::Past);
    let file = past.certificate.display();
    let (code, said, complained) = check(&past);
    let line = format!("certificate  {file}  EXPIRED on 2020-01-01 00:00 UTC");
    assert!(code == Some(1) && said.contains(&line), "{said}");
    let line = format!(
        "client_tls.certificate: {file}: this certificate has expired on 2020-01-01 00:00 UTC"
    );
    assert_eq!(complained.trim_end(), line);

    replace(&good.key, &past.key);
    let (code, said, complained) = check(&good);
    assert!(code == Some(1) && said.is_empty(), "{said}");
    assert!(
        complained.contains("not that of the private key"),
        "{complained}"
    );
}
