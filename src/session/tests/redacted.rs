//! `Debug` never shows a secret.

use super::bed::*;
use crate::session::*;
use crate::wire::Xid;
use crate::wire::connect::{ConnectRequest, ConnectResponse};
use crate::wire::request::{self, Request};

const SECRET: &[u8; 16] = b"hush-6d1fe2a90b7";

/// Every way in which `Debug` might spell it.
fn assert_silent(shown: &str) {
    let flat: String = shown.split_whitespace().collect();
    let list: Vec<String> = SECRET[..5].iter().map(u8::to_string).collect();
    let hex: String = SECRET[..5]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    for spelt in ["hush", &list.join(","), &hex] {
        assert!(!flat.contains(spelt), "{spelt} in {shown}");
    }
    assert!(shown.len() > 10, "it says something: {shown}");
}

#[test]
fn what_holds_credentials_does_not_show_them() {
    let me = Credentials {
        session: SessionId(0x5e55),
        password: *SECRET,
        timeout: 10_000,
    };
    let handshake = ConnectRequest {
        last_zxid_seen: Zxid::NONE,
        timeout: 10_000,
        session: me.session,
        password: SECRET.to_vec(),
        read_only: None,
    };
    let auth = request::auth(Xid::AUTH, "digest", SECRET);
    let request = Request::parse(&auth[4..]).unwrap();
    let mut session = Session::new(
        Arc::new(settings()),
        me.clone(),
        Origin::New,
        Tick::default(),
    );
    session.auths.push(auth[4..].to_vec());
    session.outputs.push_back(Output::ToClient(auth.clone()));
    for shown in [
        format!("{me:#?}"),
        format!("{:?}", ConnectResponse::Granted(me)),
        format!("{handshake:#?}"),
        format!("{:#?}", Identity::new("digest", SECRET)),
        format!("{request:#?}"),
        format!("{session:#?}"),
        format!("{session:?}"),
        format!("{:?}", Output::ToLeg(EU, auth.clone())),
        format!("{:?}", Output::Dial(EU, handshake.frame())),
    ] {
        assert_silent(&shown);
    }
}
