//! What the sidecar tells its ensembles about its clients.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{SESSION, logged, logs};
use crate::ZOONET;
use crate::raw::{self, CREATE, OK, Raw};
use crate::testbed::regions;
use crate::testbed::scratch::Scratch;
use crate::testbed::sidecar::{Setup, Sidecar};

const NO_AUTH: i32 = -102;
const AUTH: i32 = 100;
const GET_ACL: i32 = 6;

/// Parts of passwords, to be found wherever they are.
const APP: &str = "hush-7f3a";
const ANNE: &str = "hush-a91c";

/// What servers make of `app:hush-7f3a` and `anne:hush-a91c`.
const APP_ID: &str = "app:GfxUAZ5tVcLAN8Z11GeCaq3/BqA=";
const ANNE_ID: &str = "anne:oG6hX4ovNjtERa9W1fd2FU9joeE=";

/// The body of create for whoever has this identity.
fn create_for(path: &str, scheme: &str, id: &str) -> Vec<u8> {
    [
        &raw::buffer(path.as_bytes())[..],
        &raw::buffer(b"guarded"),
        &1_i32.to_be_bytes(),
        &31_i32.to_be_bytes(),
        &raw::buffer(scheme.as_bytes()),
        &raw::buffer(id.as_bytes()),
        &raw::PERSISTENT.to_be_bytes(),
    ]
    .concat()
}

/// A file that only its owner can read.
fn secret(scratch: &Scratch, name: &str, text: &str) -> PathBuf {
    let path = scratch.write(&format!("{name}.new"), text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let named = scratch.path().join(name);
    fs::rename(path, &named).unwrap();
    named
}

/// Both ensembles of the pair, each with credentials in this file.
fn with_credentials(file: &Path) -> Setup {
    let pair = regions::shared_pair();
    let line = format!("credentials: {}", file.display());
    Setup::home(&pair.us)
        .ensemble(&pair.eu)
        .route("/eu", "eu")
        .ensemble_key("us", &line)
        .ensemble_key("eu", &line)
        .log("zoonet=trace,info")
}

/// Nodes of both sides that only `id` may touch, made without a sidecar.
fn guarded(name: &str, id: &str) -> [String; 2] {
    let pair = regions::shared_pair();
    [(&pair.us, ""), (&pair.eu, "/eu")].map(|(ensemble, prefix)| {
        let mut direct = Raw::connect(ensemble.servers()[0].address(), SESSION);
        if !prefix.is_empty() {
            direct.make(prefix);
        }
        let path = format!("{prefix}/{name}");
        assert_eq!(
            direct.call(CREATE, &create_for(&path, "digest", id)).err,
            OK
        );
        assert_eq!(direct.get(&path).err, NO_AUTH, "guarded from others");
        path
    })
}

/// `addAuth` of a client, under the number that clients use for it.
fn add_auth(client: &mut Raw, auth: &str) {
    let body = [
        &0_i32.to_be_bytes()[..],
        &raw::buffer(b"digest"),
        &raw::buffer(auth.as_bytes()),
    ]
    .concat();
    let frame = raw::framed(&raw::request(-4, AUTH, &body));
    client.stream.write_all(&frame).unwrap();
    let reply = client.reply();
    assert_eq!((reply.xid, reply.err), (-4, OK));
}

/// Everything the sidecar wrote: its log, and its state.
fn written(sidecar: &Sidecar) -> Vec<u8> {
    let mut all = sidecar.log().into_bytes();
    for entry in fs::read_dir(sidecar.state()).unwrap() {
        all.extend(fs::read(entry.unwrap().path()).unwrap());
    }
    all
}

fn holds(bytes: &[u8], word: &str) -> bool {
    bytes
        .windows(word.len())
        .any(|part| part == word.as_bytes())
}

#[test]
fn clients_have_what_the_sidecar_has_and_their_own_besides() {
    let scratch = Scratch::new("credentials");
    let file = secret(&scratch, "auth", &format!("# ours\ndigest app:{APP}\n"));
    let sidecar = with_credentials(&file).start(ZOONET);
    let ours = guarded("guarded-ours", APP_ID);
    let annes = guarded("guarded-annes", ANNE_ID);
    let mut client = Raw::connect(sidecar.address(), SESSION);
    for path in &ours {
        assert_eq!(client.get(path).err, OK, "{path}");
        assert_eq!(client.set(path, b"changed").err, OK, "{path}");
    }
    for path in &annes {
        assert_eq!(client.get(path).err, NO_AUTH, "{path}");
    }
    add_auth(&mut client, &format!("anne:{ANNE}"));
    for path in ours.iter().chain(&annes) {
        assert_eq!(client.get(path).err, OK, "{path}");
    }
    // What is made for the creator is for both.
    for path in ["/guarded-both", "/eu/guarded-both"] {
        assert_eq!(client.call(CREATE, &create_for(path, "auth", "")).err, OK);
        let acl = client.call(GET_ACL, &raw::buffer(path.as_bytes())).body;
        assert!(holds(&acl, APP_ID) && holds(&acl, ANNE_ID), "{acl:?}");
    }
    // A client that comes back is who it was.
    let mut next = Raw::connect(sidecar.address(), SESSION);
    for path in &ours {
        assert_eq!(next.get(path).err, OK, "{path}");
    }
    let check = Command::new(ZOONET)
        .arg("check")
        .arg(sidecar.config())
        .output()
        .unwrap();
    assert!(check.status.success(), "{check:?}");
    for (place, bytes) in [
        ("what is written", written(&sidecar)),
        ("check", check.stdout),
    ] {
        assert!(holds(&bytes, "us"), "something to look at");
        for word in [APP, ANNE] {
            assert!(!holds(&bytes, word), "{word} is in {place}");
        }
    }
}

#[test]
fn what_an_ensemble_refuses_is_left_out_and_said() {
    let scratch = Scratch::new("credentials");
    let file = secret(
        &scratch,
        "auth",
        &format!("nosuch {APP}\ndigest app:{APP}\n"),
    );
    let sidecar = with_credentials(&file).start(ZOONET);
    let ours = guarded("guarded-refused", APP_ID);
    let words = |ensemble: &str| {
        let ensemble = format!("ensemble=\"{ensemble}\"");
        logged(
            &sidecar,
            &["ERROR", "own credentials are refused", &ensemble],
        )
    };
    // Home closes the connection of the client that comes first; the next ones are served.
    let first = Raw::connect(sidecar.address(), SESSION);
    raw::assert_closed(first.stream);
    for _ in 0..5 {
        let mut client = Raw::connect(sidecar.address(), SESSION);
        assert_eq!(client.get(&ours[0]).err, OK);
    }
    assert_eq!(words("us"), 1);
    // The leg is opened again at once, without them; the client stays.
    let mut client = Raw::connect(sidecar.address(), SESSION);
    let deadline = Instant::now() + Duration::from_secs(20);
    while client.get(&ours[1]).err != OK {
        assert!(Instant::now() < deadline, "{}", sidecar.log());
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(words("eu"), 1);
    // Whoever says so has them tried again.
    sidecar.signal(Signal::HUP);
    logs(&sidecar, &["INFO", " reloaded"]);
    let tried = Raw::connect(sidecar.address(), SESSION);
    raw::assert_closed(tried.stream);
    assert_eq!(words("us"), 2);
    assert!(!holds(&written(&sidecar), APP));
}

#[test]
fn sessions_under_way_get_what_is_added_to_the_file() {
    let scratch = Scratch::new("credentials");
    let file = secret(&scratch, "auth", "digest somebody:else\n");
    let sidecar = with_credentials(&file).start(ZOONET);
    let ours = guarded("guarded-later", APP_ID);
    let mut client = Raw::connect(sidecar.address(), SESSION);
    for path in &ours {
        assert_eq!(client.get(path).err, NO_AUTH);
    }
    // What cannot be read changes nothing.
    secret(&scratch, "auth", "digest somebody\n");
    logs(
        &sidecar,
        &[
            "ERROR",
            "not reloaded",
            "credentials",
            "line 1: not a credential",
        ],
    );
    secret(&scratch, "auth", &format!("digest app:{APP}\n"));
    logs(&sidecar, &["INFO", " reloaded"]);
    let deadline = Instant::now() + Duration::from_secs(10);
    for path in &ours {
        while client.get(path).err != OK {
            assert!(Instant::now() < deadline, "{path}");
            thread::sleep(Duration::from_millis(20));
        }
    }
    assert_eq!(
        logged(&sidecar, &["leg is up"]),
        1,
        "over the same connections"
    );
}

#[test]
fn it_does_not_start_with_credentials_that_others_can_read() {
    let scratch = Scratch::new("credentials");
    let file = secret(&scratch, "auth", &format!("digest app:{APP}\n"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let listen = crate::testbed::ports::reserve();
    let yaml = with_credentials(&file).yaml(listen, scratch.path());
    let config = scratch.write("zoonet.yaml", &yaml);
    for arguments in [vec!["check"], vec!["run", "--config"]] {
        let output = Command::new(ZOONET)
            .args(arguments)
            .arg(&config)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        for key in ["ensembles.eu.credentials", "ensembles.us.credentials"] {
            let line = format!("{key}: {}: others can read it (mode 0644)", file.display());
            assert!(said.contains(&line), "{said}");
        }
        assert!(!said.contains(APP), "{said}");
    }
}
