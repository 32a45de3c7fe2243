use super::*;

const ONE: &str = "home: us\nensembles: { us: { servers: [a:1] } }\nroutes: { /: us }\n";

fn facts(role: Role) -> Facts {
    Facts {
        version: "3.8.0-abc, built on 02/25/2022 08:49 UTC".to_owned(),
        role: Some(role),
        zxid: Zxid(0x1_0000_0002),
        latency: "0/0.0/0".to_owned(),
        nodes: 12,
    }
}

fn load() -> Load {
    Load {
        connected: 1,
        outstanding: 2,
        traffic: Traffic {
            requests: 30,
            replies: 28,
            latency: Latency {
                least: 0,
                mean: 1.234_56,
                most: 17,
            },
            ..Traffic::default()
        },
        clients: vec![Client {
            peer: Some(([127, 0, 0, 1], 40_000).into()),
            session: SessionId(0x1f),
            since: SystemTime::UNIX_EPOCH,
            timeout: 4_000,
            outstanding: 2,
            received: 30,
            sent: 28,
        }],
        ..Load::default()
    }
}

fn srvr(home: Home) -> Option<String> {
    let config = Config::parse("one", ONE).unwrap();
    let view = View {
        config: &config,
        home,
        load: load(),
    };
    view.srvr()
}

const VERSION: &str = concat!(
    "3.8.0-zoonet-",
    env!("CARGO_PKG_VERSION"),
    ", built on 02/25/2022 08:49 UTC"
);

#[test]
fn srvr_is_as_a_server_says_it() {
    let expected = format!(
        "Zookeeper version: {VERSION}\nLatency min/avg/max: 0/1.2346/17\nReceived: 30\n\
         Sent: 28\nConnections: 1\nOutstanding: 2\nZxid: 0x100000002\nMode: observer\n\
         Node count: 12\n"
    );
    assert_eq!(srvr(Home::Serving(facts(Role::Leader))), Some(expected));
    let read_only = srvr(Home::ReadOnly(facts(Role::ReadOnly))).unwrap();
    assert!(read_only.contains("\nMode: read-only\n"), "{read_only}");
    assert_eq!(srvr(Home::NotServing), None);
    assert_eq!(srvr(Home::Unreachable), None);
}

#[test]
fn what_home_does_not_tell_is_left_out() {
    let untold = srvr(Home::Untold).unwrap();
    assert!(untold.starts_with("Zookeeper version: zoonet-"), "{untold}");
    assert!(untold.ends_with("Zxid: 0x0\nMode: observer\n"), "{untold}");
}

#[test]
fn stat_and_cons_list_the_clients() {
    let config = Config::parse("one", ONE).unwrap();
    let view = View {
        config: &config,
        home: Home::Serving(facts(Role::Follower)),
        load: load(),
    };
    let stat = view.stat().unwrap();
    let clients = "Clients:\n /127.0.0.1:40000[1](queued=2,recved=30,sent=28)\n\nLatency";
    assert!(stat.contains(clients), "{stat}");
    let cons = " /127.0.0.1:40000[1](queued=2,recved=30,sent=28,sid=0x1f,est=0,to=4000)\n\n";
    assert_eq!(view.load.cons(), cons);
}

#[test]
fn mntr_is_a_key_and_a_value_a_line_whether_home_serves_or_not() {
    let config = Config::parse("one", ONE).unwrap();
    for (home, state) in [
        (Home::Serving(facts(Role::Leader)), "observer"),
        (Home::Unreachable, "not-serving"),
    ] {
        let view = View {
            config: &config,
            home,
            load: load(),
        };
        let mntr = view.mntr();
        for line in mntr.lines() {
            let (key, value) = line.split_once('\t').unwrap();
            assert!(key.starts_with("zk_") && !value.is_empty(), "{line}");
        }
        assert!(
            mntr.contains(&format!("\nzk_server_state\t{state}\n")),
            "{mntr}"
        );
        assert!(mntr.contains("\nzk_packets_received\t30\n"), "{mntr}");
    }
}

#[test]
fn means_are_written_as_java_writes_them() {
    for (mean, written) in [(0.0, "0.0"), (8.571_43, "8.5714"), (2.5, "2.5")] {
        assert_eq!(Mean(mean).to_string(), written);
    }
}
