//! Nothing that is secret is ever logged: passwords of sessions, what clients and the sidecar prove
//! who they are with, keys, data.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::clients::{Encrypted, client_tls, dial};
use super::{SESSION, logs, shared};
use crate::ZOONET;
use crate::raw::{self, GET_DATA, MULTI};
use crate::testbed::authority::{Authority, End};
use crate::testbed::sidecar::Sidecar;

/// How many bytes of a secret are looked for at once: a part is as bad as all of it.
const PART: usize = 8;

const OWN: &str = "silent-app:hush-own-3c19e7";
const ADDED: &str = "silent-anne:hush-added-77ab02";
const PAYLOAD: &[u8] = b"hush-payload-\x00\xfe\x91\x05\xc3-5b1d84";
const REFUSED: &str = "hush-refused-0f2c";

/// As in RFC 4648, without padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<u8> = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1))
        .collect();
    let letter = |six: &[u8]| {
        let number = six.iter().fold(0, |number, bit| number << 1 | bit);
        char::from(LETTERS[usize::from(number)])
    };
    bits.chunks_exact(6).map(letter).collect()
}

/// Every way in which these bytes may be written, in whatever they stand in.
fn spellings(part: &[u8]) -> Vec<String> {
    let list = |pattern: &dyn Fn(&u8) -> String, between: &str| {
        part.iter().map(pattern).collect::<Vec<_>>().join(between)
    };
    let mut all = vec![
        list(&|byte| format!("{byte:02x}"), ""),
        list(&|byte| format!("{byte:02X}"), ""),
        list(&|byte| format!("{byte:02x}"), " "),
        list(&|byte| format!("{byte:02x}"), ":"),
        list(&|byte| format!("{byte:#04x}"), ", "),
        list(&u8::to_string, ", "),
        list(&u8::to_string, ","),
        list(&|byte| byte.cast_signed().to_string(), ", "),
        part.escape_ascii().to_string(),
        String::from_utf8_lossy(part).into_owned(),
        format!("{:?}", String::from_utf8_lossy(part))
            .trim_matches('"')
            .to_owned(),
    ];
    // Wherever its bytes begin in those that are written.
    for before in 0..3 {
        let text = base64(&[&vec![0; before][..], part].concat());
        all.push(text[(before * 8_usize).div_ceil(6)..].to_owned());
    }
    all
}

/// The parts of a secret that are in the log.
fn leaks(log: &str, secret: &[u8]) -> Vec<String> {
    let parts = secret.chunks_exact(PART);
    let spelt = parts.flat_map(spellings);
    spelt
        .filter(|spelling| log.contains(spelling.as_str()))
        .collect()
}

/// A client in TLS that does what has to do with secrets; the password of its session.
fn live(stream: &mut Encrypted) -> (i64, Vec<u8>) {
    let hello = raw::handshake(0, SESSION, 0, &[0; 16]);
    stream.write_all(&raw::framed(&hello)).unwrap();
    let answer = raw::read_frame(stream).unwrap();
    let session = i64::from_be_bytes(answer[8..16].try_into().unwrap());
    let password = answer[20..36].to_vec();
    let mut ask = |xid: i32, op: i32, body: &[u8]| {
        stream
            .write_all(&raw::framed(&raw::request(xid, op, body)))
            .unwrap();
        let reply = raw::read_frame(stream).unwrap();
        i32::from_be_bytes(reply[12..16].try_into().unwrap())
    };
    let auth = |auth: &str| {
        [
            &[0; 4],
            &raw::buffer(b"digest")[..],
            &raw::buffer(auth.as_bytes()),
        ]
        .concat()
    };
    assert_eq!(ask(-4, 100, &auth(ADDED)), raw::OK);
    for path in ["/silence", "/eu/silence"] {
        let parent = path.rsplit_once('/').unwrap().0;
        if !parent.is_empty() {
            ask(1, raw::CREATE, &raw::create_body(parent, raw::PERSISTENT));
        }
        ask(2, raw::CREATE, &raw::create_body(path, raw::PERSISTENT));
        assert_eq!(
            ask(3, raw::SET_DATA, &raw::set_body(path, PAYLOAD)),
            raw::OK
        );
        assert_eq!(ask(4, GET_DATA, &raw::get_body(path)), raw::OK);
    }
    // Refused: across ensembles, data and all.
    let mut across = Vec::new();
    for path in ["/silence", "/eu/silence"] {
        across.extend(5_i32.to_be_bytes());
        across.push(0);
        across.extend((-1_i32).to_be_bytes());
        across.extend(raw::set_body(path, REFUSED.as_bytes()));
    }
    across.extend((-1_i32).to_be_bytes());
    across.push(1);
    across.extend((-1_i32).to_be_bytes());
    assert_eq!(ask(5, MULTI, &across), raw::OK);
    (session, password)
}

/// Breaks off with a frame that is none, and comes back with the password, a wrong one first.
fn come_back(sidecar: &Sidecar, ca: &Path, session: i64, password: &[u8]) {
    let password: [u8; 16] = password.try_into().unwrap();
    let mut wrong = password;
    wrong[15] ^= 1;
    for password in [wrong, password] {
        let mut stream = dial(sidecar.address(), ca, None).unwrap();
        let hello = raw::handshake(0, SESSION, session, &password);
        stream.write_all(&raw::framed(&hello)).unwrap();
        raw::read_frame(&mut stream).unwrap();
        stream
            .write_all(&[&[0xff; 4][..], PAYLOAD].concat())
            .unwrap();
        let _ = stream.read(&mut [0]);
    }
}

/// The bytes of a key's file, and those that the text in it stands for.
fn key_of(file: &Path) -> Vec<u8> {
    let text = fs::read_to_string(file).unwrap();
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    body.into_bytes()
}

#[test]
fn no_secret_is_logged_however_much_is() {
    let secure = shared();
    let shown = secure
        .authority
        .certify("silence", &["127.0.0.1"], End::Far);
    let ca = secure.authority.ca();
    let file = secure
        .authority
        .folder()
        .write("silence.auth", &format!("digest {OWN}\n"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let credentials = format!("credentials: {}", file.display());
    for format in ["human", "json"] {
        let sidecar = secure
            .setup()
            .ensemble_key("us", &credentials)
            .ensemble_key("eu", &credentials)
            .key(&client_tls(&shown, None))
            .key(&format!("log_format: {format}"))
            .log("trace")
            .start(ZOONET);
        let mut client = dial(sidecar.address(), ca, None).unwrap();
        let (session, password) = live(&mut client);
        drop(client);
        logs(&sidecar, &["client gone"]);
        come_back(&sidecar, ca, session, &password);
        // A file that cannot be used is complained of, and not shown.
        fs::write(&file, format!("{OWN}\n")).unwrap();
        logs(&sidecar, &["not reloaded", "not a credential"]);
        fs::write(&file, format!("digest {OWN}\n")).unwrap();
        // Somebody whose authority nobody knows.
        let stranger = Authority::new("stranger");
        dial(sidecar.address(), stranger.ca(), None).unwrap_err();
        logs(&sidecar, &["client turned away"]);
        sidecar.terminate();
        sidecar.wait(std::time::Duration::from_secs(20)).unwrap();

        let log = sidecar.log();
        for (what, secret) in [
            ("the session's password", password.as_slice()),
            ("addAuth", ADDED.as_bytes()),
            ("credentials", OWN.as_bytes()),
            ("data", PAYLOAD),
            ("data that was refused", REFUSED.as_bytes()),
            ("the key for clients", &key_of(&shown.key)),
            ("the key for servers", &key_of(&secure.sidecar.key)),
        ] {
            let found = leaks(&log, secret);
            assert!(found.is_empty(), "{what} as {found:?} in:\n{log}");
        }
        // It was all there to be seen: the client, its operations, the TRACE of what was done.
        let id = format!("{session:#x}");
        for words in [
            id.as_str(),
            "leg is up",
            "request refused",
            "TRACE",
            "switched",
        ] {
            assert!(log.contains(words), "no {words} in:\n{log}");
        }
    }
}

/// What is looked for would be found, in each spelling.
#[test]
fn a_secret_would_be_found_however_it_is_spelt() {
    let mut log = String::from("INFO nothing of note");
    assert_eq!(leaks(&log, PAYLOAD), [""; 0]);
    for spelling in [
        format!("{PAYLOAD:?}"),
        format!("{PAYLOAD:02x?}").replace(['[', ']', ' ', ','], ""),
        PAYLOAD.escape_ascii().to_string(),
        base64(&[b"x", PAYLOAD].concat()),
        base64(PAYLOAD),
        String::from_utf8_lossy(PAYLOAD).into_owned(),
    ] {
        let mut line = log.clone();
        write!(line, " frame={spelling}").unwrap();
        assert!(!leaks(&line, PAYLOAD).is_empty(), "{spelling}");
    }
    log.push_str(REFUSED);
    assert!(!leaks(&log, REFUSED.as_bytes()).is_empty());
}
