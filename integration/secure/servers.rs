//! TLS to stock servers.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::time::Duration;

use super::{SESSION, logged, logs, over_tls, shared, tls};
use crate::ZOONET;
use crate::raw::{self, CONNECTION_LOSS, NO_NODE, OK, Raw};
use crate::testbed::authority::{Authority, End};
use crate::testbed::sidecar::{Setup, Sidecar};
use crate::testbed::zookeeper::{Plan, Role};

/// Home as it is, eu at this address of its and with this line.
fn eu_by(server: std::net::SocketAddr, line: Option<&str>) -> Sidecar {
    let secure = shared();
    let setup = Setup::home(&secure.us)
        .servers("eu", &[server])
        .route("/eu", "eu");
    let setup = match line {
        Some(line) => setup.ensemble_key("eu", line),
        None => setup,
    };
    setup.key("connect_timeout: 6s").start(ZOONET)
}

#[test]
fn both_sides_are_served_over_tls() {
    let secure = shared();
    let sidecar = secure.setup().start(ZOONET);
    let mut client = Raw::connect(sidecar.address(), SESSION);
    client.make("/over-tls");
    client.make("/eu");
    client.make("/eu/over-tls");
    // More than a record of TLS holds, and than a socket takes at once.
    let much: Vec<u8> = (0..900_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    for path in ["/over-tls", "/eu/over-tls"] {
        assert_eq!(client.set(path, &much).err, OK);
        let reply = client.get(path);
        assert!(reply.err == OK && reply.body[4..].starts_with(&much));
    }
    // Looked at without TLS.
    for (ensemble, path) in [(&secure.us, "/over-tls"), (&secure.eu, "/eu/over-tls")] {
        let mut direct = Raw::connect(ensemble.servers()[0].address(), SESSION);
        assert_eq!(direct.get(path).err, OK);
    }
}

#[test]
fn many_requests_at_once_get_their_replies_over_tls() {
    let sidecar = shared().setup().start(ZOONET);
    let mut client = Raw::connect(sidecar.address(), SESSION);
    client.make("/crowd");
    client.set("/crowd", &[7; 20_000]);
    let sent: Vec<i32> = (0..500)
        .map(|_| client.send(raw::GET_DATA, &raw::get_body("/crowd")))
        .collect();
    for xid in sent {
        let reply = client.reply();
        assert_eq!((reply.xid, reply.err), (xid, OK));
        assert!(reply.body.len() > 20_000);
    }
}

#[test]
fn words_for_home_are_asked_over_tls() {
    let sidecar = shared().setup().start(ZOONET);
    for half_close in [None, Some(Shutdown::Write)].repeat(5) {
        let mut stream = raw::dial(sidecar.address());
        stream.write_all(b"srvr").unwrap();
        if let Some(how) = half_close {
            stream.shutdown(how).unwrap();
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        // How many nodes there are only home knows.
        assert!(answer.contains("Node count: "), "{half_close:?}: {answer}");
    }
}

#[test]
fn what_a_server_is_is_learned_over_tls() {
    let authority = Authority::new("quorum");
    let ap = Plan::new("ap")
        .voters(3)
        .tls(&authority.stores("ap"))
        .start();
    let identity = authority.certify("sidecar", &["sidecar.example"], End::Far);
    let follower = ap.follower().unwrap();
    assert_eq!(follower.role(), Some(Role::Follower));
    let sidecar = Setup::home(&shared().us)
        .servers("ap", &[follower.secure_address()])
        .ensemble_key("ap", &tls(authority.ca(), Some(&identity), ""))
        .route("/ap", "ap")
        .key("connect_timeout: 6s")
        .log("zoonet=trace")
        .start(ZOONET);
    let mut client = Raw::connect(sidecar.address(), SESSION);
    // Each round is a switch; where nothing is known the barrier is another one.
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while logged(
        &sidecar,
        &["barrier placed", "ensemble=\"ap\"", "barrier=Sync"],
    ) == 0
    {
        assert!(std::time::Instant::now() < deadline, "{}", sidecar.log());
        // The first ones may come while the leg is opened.
        client.get("/ap/none");
        assert_eq!(client.get("/none").err, NO_NODE);
    }
}

#[test]
fn a_server_that_cannot_be_trusted_is_refused_in_words() {
    let secure = shared();
    let server = &secure.eu.servers()[0];
    let (encrypted, plain) = (server.secure_address(), server.address());
    let (ours, theirs) = (&secure.authority, Authority::new("strangers"));
    let stranger = theirs.certify("stranger", &["stranger.example"], End::Far);
    let expired = ours.certify("expired", &["sidecar.example"], End::Past);
    let good = Some(&secure.sidecar);
    let cases = [
        (
            encrypted,
            tls(theirs.ca(), good, ""),
            "TLS: its certificate is not signed by an authority in our CA file",
        ),
        (
            encrypted,
            tls(ours.ca(), good, ", server_name: zk.example"),
            "TLS: its certificate is not for zk.example; it is for 127.0.0.1, localhost",
        ),
        (
            encrypted,
            tls(ours.ca(), None, ""),
            "TLS: it does not take our certificate, or wants one and got none",
        ),
        (
            encrypted,
            tls(ours.ca(), Some(&stranger), ""),
            "TLS: it does not take our certificate: its authority, its time or its name",
        ),
        (
            encrypted,
            tls(ours.ca(), Some(&expired), ""),
            "TLS: it does not take our certificate: its authority, its time or its name",
        ),
        (
            plain,
            tls(ours.ca(), good, ""),
            "TLS: it closed the connection (a port without TLS?)",
        ),
    ];
    for (server, line, said) in cases {
        println!("{line}");
        let sidecar = eu_by(server, Some(&line));
        let mut client = Raw::connect(sidecar.address(), SESSION);
        assert_eq!(client.get("/eu/x").err, CONNECTION_LOSS);
        logs(
            &sidecar,
            &["WARN", "cannot open leg", &server.to_string(), said],
        );
        assert_eq!(client.get("/secure-missing").err, NO_NODE, "home goes on");
    }
    // Neither is TLS found where it was not asked for.
    let sidecar = eu_by(encrypted, None);
    let mut client = Raw::connect(sidecar.address(), SESSION);
    assert_eq!(client.get("/eu/x").err, CONNECTION_LOSS);
    logs(
        &sidecar,
        &["WARN", "cannot open leg", &encrypted.to_string()],
    );
}

#[test]
fn the_name_of_the_servers_may_be_another_than_their_host() {
    let authority = Authority::new("named");
    let mut stores = authority.stores("ap");
    stores.identity = authority.certify("zk", &["zk.ap.example"], End::Far).both;
    let ap = Plan::new("ap").tls(&stores).start();
    let identity = authority.certify("sidecar", &["sidecar.example"], End::Far);
    let home = Setup::home(&shared().us)
        .key("connect_timeout: 6s")
        .route("/ap", "ap");
    for (more, err) in [
        ("", CONNECTION_LOSS),
        (", server_name: zk.ap.example", NO_NODE),
    ] {
        let line = tls(authority.ca(), Some(&identity), more);
        let sidecar = over_tls(home.clone(), &ap, &line).start(ZOONET);
        let mut client = Raw::connect(sidecar.address(), SESSION);
        assert_eq!(client.get("/ap/x").err, err, "{}", sidecar.log());
    }
}
