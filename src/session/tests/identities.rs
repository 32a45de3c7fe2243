//! Credentials of the sidecar's own: on each leg before anything else, and never the client's matter.

use super::super::*;
use super::bed::*;
use crate::wire::frames::PREFIX;
use crate::wire::{Xid, code, request};

/// What servers say to credentials they do not take.
const AUTH_FAILED: i32 = -115;

fn identity(name: &str) -> Identity {
    Identity::new("digest", format!("{name}:secret").as_bytes())
}

/// One identity at home, two on the remote ensemble.
fn known() -> Settings {
    let mut settings = settings();
    settings.identities = vec![
        vec![identity("us")],
        vec![identity("eu"), identity("eu-too")],
    ];
    settings
}

/// What a leg was given: names behind `auth` packets, in order.
fn given(bed: &Bed) -> Vec<String> {
    let name = |frame: &Vec<u8>| {
        let request = request::Request::parse(frame.get(PREFIX..)?).ok()?;
        if request.op != OpCode::Auth {
            return None;
        }
        let text = String::from_utf8_lossy(request.payload).into_owned();
        let name = text.strip_suffix(":secret")?;
        // Behind the length of the secret, whose bytes are not printable.
        Some(name.rsplit(|c: char| c.is_control()).next()?.to_owned())
    };
    bed.frames.iter().filter_map(name).collect()
}

#[test]
fn home_is_told_first_and_the_client_does_not_hear_of_it() {
    let mut bed = Bed::with(known(), Origin::New);
    let out = bed.drain();
    assert!(matches!(out[..], [Out::Leg(HOME, _, OpCode::Auth)]));
    assert_eq!(given(&bed), ["us"]);
    let ours = own(&out, 0);
    assert_ne!(ours, Xid::AUTH, "the client may use that one");
    bed.client(&request::auth(Xid::AUTH, "digest", b"client:secret"));
    assert_eq!(bed.answer(HOME, Xid::AUTH, 0, code::OK).len(), 1);
    assert_eq!(bed.answer(HOME, ours, 0, code::OK), []);
}

#[test]
fn the_clients_own_credentials_are_told_apart_whoever_is_refused() {
    let mut bed = Bed::with(known(), Origin::New);
    let ours = own(&bed.drain(), 0);
    bed.client(&request::auth(Xid::AUTH, "digest", b"client:secret"));
    assert_eq!(bed.answer(HOME, ours, 0, AUTH_FAILED), []);
    assert_eq!(
        bed.answer(HOME, Xid::AUTH, 0, code::OK),
        [Out::Reply(-4, 0, 0)],
        "its own were taken"
    );
}

#[test]
fn a_remote_leg_is_told_before_the_clients_credentials() {
    let mut bed = Bed::with(known(), Origin::New);
    bed.drain();
    bed.client(&request::auth(Xid::AUTH, "digest", b"client:secret"));
    bed.answer(HOME, Xid::AUTH, 0, code::OK);
    bed.get(1, "/eu/x");
    let out = bed.up();
    assert_eq!(given(&bed), ["us", "client", "eu", "eu-too", "client"]);
    let Some(Out::Leg(EU, _, OpCode::Multi)) = out.get(3) else {
        panic!("the barrier comes behind all credentials: {out:?}")
    };
    for index in [1, 0] {
        assert_eq!(bed.answer(EU, own(&out, index), 0, code::OK), []);
    }
    // A new connection knows nothing.
    bed.lost(EU);
    bed.frames.clear();
    bed.up();
    assert_eq!(given(&bed), ["eu", "eu-too", "client"]);
}

#[test]
fn what_an_ensemble_refuses_is_left_out_and_known() {
    let mut bed = Bed::with(known(), Origin::New);
    bed.drain();
    bed.get(1, "/eu/x");
    let out = bed.up();
    assert_eq!(bed.answer(EU, own(&out, 0), 0, AUTH_FAILED), []);
    let refused = Event::IdentityRefused {
        ensemble: EU,
        err: AUTH_FAILED,
    };
    assert!(bed.events.contains(&refused));
    bed.lost(EU);
    bed.frames.clear();
    bed.up();
    assert_eq!(given(&bed), ["eu-too"]);
    let unwelcome: Vec<_> = bed.session.unwelcome_identities().collect();
    assert_eq!(unwelcome, [(EU, &identity("eu"))]);
}

#[test]
fn home_closes_over_what_it_refuses_and_it_is_known_to_whom_comes_next() {
    let mut bed = Bed::with(known(), Origin::New);
    let ours = own(&bed.drain(), 0);
    assert_eq!(bed.answer(HOME, ours, 0, AUTH_FAILED), []);
    assert_eq!(bed.lost(HOME), [Out::CloseClient]);
    let unwelcome: Vec<_> = bed.session.unwelcome_identities().collect();
    assert_eq!(unwelcome, [(HOME, &identity("us"))]);
}

#[test]
fn new_ones_are_added_under_way_and_old_ones_not_repeated() {
    let mut bed = Bed::with(known(), Origin::New);
    bed.drain();
    bed.get(1, "/eu/x");
    bed.up();
    bed.frames.clear();
    let mut changed = known();
    changed.identities[0].push(identity("us-too"));
    // Servers close over what they do not know; that waits for the next connection.
    changed.identities[0].push(Identity::new("odd", b"us-odd:secret"));
    changed.identities[1] = vec![identity("eu-too"), identity("eu-new")];
    bed.session.reload(Arc::new(changed), bed.now);
    bed.drain();
    assert_eq!(given(&bed), ["eu-new", "us-too"]);
    bed.lost(EU);
    bed.frames.clear();
    bed.up();
    assert_eq!(given(&bed), ["eu-too", "eu-new"]);
}

#[test]
fn they_do_not_hold_a_drain() {
    let mut bed = Bed::with(known(), Origin::New);
    bed.drain();
    // Home owes nothing but the answer to ours.
    bed.get(1, "/eu/x");
    let out = bed.up();
    assert_eq!(out.last(), Some(&sent(EU, 1, OpCode::GetData)));
}

#[test]
fn debug_output_has_no_secrets() {
    let bed = Bed::with(known(), Origin::New);
    let shown = format!("{:?} {:?}", known(), bed.session.settings);
    assert!(shown.contains("digest"), "{shown}");
    for secret in ["secret", &format!("{:?}", b"secret")[1..18]] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}
