//! A Unix socket in the place of a port, or beside one.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::clients::client_tls;
use super::{SESSION, shared};
use crate::ZOONET;
use crate::raw::{NO_NODE, OK, Raw};
use crate::testbed::authority::End;
use crate::testbed::regions;
use crate::testbed::scratch::Scratch;
use crate::testbed::sidecar::Setup;

fn connect(path: &Path) -> Raw<UnixStream> {
    let stream = UnixStream::connect(path).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    Raw::over(stream, 0, SESSION)
}

fn place(scratch: &Scratch) -> (std::path::PathBuf, String) {
    let path = scratch.path().join("zk.sock");
    let place = format!("unix:{}", path.display());
    (path, place)
}

#[test]
fn clients_work_over_it_on_both_sides_beside_tls() {
    let scratch = Scratch::new("socket");
    let (path, place) = place(&scratch);
    let secure = shared();
    let shown = secure.authority.certify("socket", &["127.0.0.1"], End::Far);
    let sidecar = secure
        .setup()
        .key(&client_tls(&shown, None))
        .listen_too(&place)
        .key("socket_mode: \"0660\"")
        .start(ZOONET);
    assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o660);
    let mut client = connect(&path);
    for name in ["/over-socket", "/eu", "/eu/over-socket"] {
        client.make(name);
        assert_eq!(client.set(name, b"x").err, OK);
    }
    assert_eq!(client.get("/eu/secure-missing").err, NO_NODE);
    // Many at once, so that none is only lucky.
    let mut clients: Vec<_> = (0..20).map(|_| connect(&path)).collect();
    for client in &mut clients {
        assert_eq!(client.get("/eu/over-socket").err, OK);
    }
    drop(sidecar);
}

#[test]
fn it_is_replaced_after_a_crash_removed_at_the_end_and_never_taken_from_a_live_one() {
    let scratch = Scratch::new("socket");
    let (path, place) = place(&scratch);
    let home = &regions::shared_pair().us;
    let sidecar = Setup::home(home).listen_too(&place).start(ZOONET);
    assert_eq!(
        path.metadata().unwrap().permissions().mode() & 0o7777,
        0o600
    );
    assert_eq!(connect(&path).get("/secure-missing").err, NO_NODE);

    // Another one that wants the same place.
    let other = scratch.path().join("state");
    std::fs::create_dir(&other).unwrap();
    let yaml = Setup::home(home)
        .listen_too(&place)
        .yaml(crate::testbed::ports::reserve(), &other);
    let config = scratch.write("other.yaml", &yaml);
    let output = Command::new(ZOONET)
        .args(["run", "--config"])
        .arg(config)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    let expected = format!("cannot listen on {place}: ");
    assert!(
        said.lines().last().unwrap().starts_with(&expected),
        "{said}"
    );
    assert!(said.contains("in use"), "{said}");
    assert_eq!(connect(&path).get("/secure-missing").err, NO_NODE);

    sidecar.kill();
    assert!(path.exists(), "a crash leaves it");
    sidecar.restart();
    assert_eq!(connect(&path).get("/secure-missing").err, NO_NODE);

    sidecar.terminate();
    assert!(sidecar.wait(Duration::from_secs(20)).unwrap().success());
    assert!(!path.exists());
}
