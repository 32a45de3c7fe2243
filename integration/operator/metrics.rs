//! Metrics as Prometheus gets them, the dashboard's and the alerts' side of the contract included.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::ZOONET;
use crate::raw::{self, CLOSE_SESSION, CONNECTION_LOSS, EXISTS, GET_DATA, NO_NODE, OK, Raw};
use crate::testbed::python::prepared;
use crate::testbed::scratch::Scratch;
use crate::testbed::sidecar::{Setup, Sidecar};
use crate::testbed::{ports, regions};

const SESSION: u32 = 10_000;

/// How long something may take to show in the metrics.
const PATIENCE: Duration = Duration::from_secs(20);

/// A sidecar between the pair whose metrics can be asked for.
struct Watched {
    sidecar: Sidecar,
    setup: Setup,
    admin: SocketAddr,
}

impl Watched {
    fn start(setup: Setup) -> Self {
        let admin = ports::reserve();
        let setup = setup.key(&format!("admin: {admin}"));
        Self {
            sidecar: setup.start(ZOONET),
            setup,
            admin,
        }
    }

    fn on_the_pair() -> Self {
        let pair = regions::shared_pair();
        Self::start(Setup::home(&pair.us).ensemble(&pair.eu).route("/eu", "eu"))
    }

    fn connect(&self) -> Raw {
        Raw::connect(self.sidecar.address(), SESSION)
    }

    /// All metrics.
    fn page(&self) -> String {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        let request = format!(
            "GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.admin
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(head.contains("text/plain; version=0.0.4"), "{head}");
        body.to_owned()
    }

    /// The value of one series.
    fn value(&self, series: &str) -> f64 {
        let page = self.page();
        value_in(&page, series).unwrap_or_else(|| panic!("no {series} in:\n{page}"))
    }

    /// Waits until a series has this value.
    fn awaits(&self, series: &str, expected: f64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.value(series);
            if found == expected {
                return;
            }
            assert!(Instant::now() < deadline, "{series} stays at {found}");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

fn value_in(page: &str, series: &str) -> Option<f64> {
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok())
}

/// What a client does that meets most of what is counted.
fn walk(watched: &Watched, name: &str) {
    let mut client = watched.connect();
    client.make("/eu");
    let (here, there) = (format!("/{name}"), format!("/eu/{name}"));
    client.make(&here);
    client.make(&there);
    assert_eq!(client.get(&there).err, OK);
    assert_eq!(client.get(&here).err, OK);
    let missing = raw::get_body(&format!("{there}/missing"));
    assert_eq!(client.call(EXISTS, &missing).err, NO_NODE);
    let watch = [&raw::buffer(there.as_bytes())[..], &[1]].concat();
    assert_eq!(client.call(GET_DATA, &watch).err, OK);
    let changed = client.send(raw::SET_DATA, &raw::set_body(&there, b"new"));
    assert_eq!(client.reply().xid, -1, "the event comes first");
    assert_eq!(client.reply().xid, changed);
    assert_eq!(client.call(CLOSE_SESSION, &[]).err, OK);
    raw::assert_closed(client.stream);
}

#[test]
fn a_scrape_has_every_metric_and_promtool_finds_no_fault_in_it() {
    let watched = Watched::on_the_pair();
    walk(&watched, "metrics-all");
    watched.awaits("zoonet_sessions{state=\"connected\"}", 0.0);
    let page = watched.page();
    let list = fs::read_to_string(monitoring().join("METRICS.md")).unwrap();
    let declared: BTreeSet<String> = list
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .map(|(name, rest)| format!("{name} {}", rest.split(' ').next().unwrap_or_default()))
        .collect();
    let exported: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(str::to_owned)
        .collect();
    assert_eq!(declared, exported);
    let check = promtool(&["check", "metrics"], &page);
    assert!(check.status.success(), "{check:?}");
    assert_eq!(text(&check.stderr), "");
    assert_eq!(text(&check.stdout), "");
    // It does find faults.
    let faulty = page.replace("zoonet_switches_total", "zoonet_switches");
    let check = promtool(&["check", "metrics"], &faulty);
    assert!(!check.status.success(), "{check:?}");
}

#[test]
fn what_a_client_does_is_counted_once_and_where_it_belongs() {
    let watched = Watched::on_the_pair();
    walk(&watched, "metrics-exact");
    watched.awaits("zoonet_sessions{state=\"connected\"}", 0.0);
    let page = watched.page();
    for (series, expected) in [
        ("requests_total{ensemble=\"us\",op=\"getData\"}", 1),
        ("requests_total{ensemble=\"eu\",op=\"getData\"}", 2),
        ("responses_total{ensemble=\"eu\",op=\"getData\"}", 2),
        ("requests_total{ensemble=\"eu\",op=\"setData\"}", 1),
        ("requests_total{ensemble=\"eu\",op=\"closeSession\"}", 1),
        ("requests_total{ensemble=\"us\",op=\"closeSession\"}", 1),
        ("response_errors_total{ensemble=\"eu\",error=\"NONODE\"}", 1),
        ("watch_events_total{ensemble=\"eu\"}", 1),
        ("watch_events_total{ensemble=\"us\"}", 0),
        // To eu for its node, back for the own, there again, back, there.
        ("switches_total{ensemble=\"eu\"}", 3),
        ("switches_total{ensemble=\"us\"}", 2),
        ("barrier_duration_seconds_count{ensemble=\"us\"}", 1),
        ("barrier_duration_seconds_count{ensemble=\"eu\"}", 1),
        ("drain_wait_seconds_count{ensemble=\"us\"}", 3),
        ("drain_wait_seconds_count{ensemble=\"eu\"}", 2),
        ("legs_opened_total{ensemble=\"eu\",session=\"new\"}", 1),
        ("legs_opened_total{ensemble=\"us\",session=\"new\"}", 0),
        ("connections_total{outcome=\"new\"}", 1),
        ("connection_ends_total{reason=\"closed\"}", 1),
    ] {
        let found = value_in(&page, &format!("zoonet_{series}"));
        assert_eq!(found, Some(f64::from(expected)), "{series} in:\n{page}");
    }
    // 8 bytes of header, the path and its length, a flag, and the length of it all.
    let asked = f64::from(2 * (4 + 8 + 4 + 17 + 1));
    let bytes = "zoonet_request_bytes_total{ensemble=\"eu\",op=\"getData\"}";
    assert_eq!(value_in(&page, bytes), Some(asked));
}

#[test]
fn gauges_follow_clients_that_come_and_go_and_end_where_they_began() {
    let watched = Watched::on_the_pair();
    let mut maker = watched.connect();
    maker.make("/eu");
    maker.make("/eu/metrics-gauges");
    assert_eq!(maker.call(CLOSE_SESSION, &[]).err, OK);
    let watch = [&raw::buffer(b"/eu/metrics-gauges")[..], &[1]].concat();
    let mut clients: Vec<Raw> = (0..10).map(|_| watched.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.call(GET_DATA, &watch).err, OK);
    }
    watched.awaits("zoonet_sessions{state=\"connected\"}", 10.0);
    watched.awaits("zoonet_legs{ensemble=\"us\",state=\"open\"}", 10.0);
    watched.awaits("zoonet_legs{ensemble=\"eu\",state=\"open\"}", 10.0);
    assert!(watched.value("zoonet_ledger_bytes{ensemble=\"eu\"}") > 100.0);
    // Half of them end their sessions, the others are just gone.
    for client in clients.iter_mut().step_by(2) {
        assert_eq!(client.call(CLOSE_SESSION, &[]).err, OK);
    }
    drop(clients);
    for (series, expected) in [
        ("sessions{state=\"connected\"}", 0),
        ("sessions{state=\"parked\"}", 5),
        ("legs{ensemble=\"us\",state=\"open\"}", 0),
        ("legs{ensemble=\"eu\",state=\"open\"}", 0),
        ("legs{ensemble=\"eu\",state=\"dialling\"}", 0),
        ("legs{ensemble=\"eu\",state=\"parked\"}", 5),
        ("ledger_bytes{ensemble=\"eu\"}", 0),
        ("look_ahead_bytes", 0),
    ] {
        watched.awaits(&format!("zoonet_{series}"), f64::from(expected));
    }
}

#[test]
fn an_ensemble_out_of_reach_shows() {
    let pair = regions::shared_pair();
    let setup = Setup::home(&pair.us).servers("eu", &[ports::reserve()]);
    let watched = Watched::start(setup.route("/eu", "eu"));
    let mut client = watched.connect();
    assert_eq!(client.get("/eu/x").err, CONNECTION_LOSS);
    watched.awaits("zoonet_circuit_open{ensemble=\"eu\"}", 1.0);
    assert_eq!(watched.value("zoonet_circuit_open{ensemble=\"us\"}"), 0.0);
    let refused = "zoonet_dials_total{ensemble=\"eu\",outcome=\"no_connection\"}";
    assert!(watched.value(refused) >= 1.0);
    assert!(watched.value("zoonet_unreachable_total{ensemble=\"eu\"}") >= 1.0);
    assert!(watched.value("zoonet_legs_unreachable_total{ensemble=\"eu\"}") >= 1.0);
    let here = "zoonet_dials_total{ensemble=\"us\",outcome=\"answered\"}";
    assert_eq!(watched.value(here), 1.0);
}

#[test]
fn counters_go_on_over_a_reload_and_a_bad_file_shows() {
    let watched = Watched::on_the_pair();
    let pings = |watched: &Watched| {
        let mut client = watched.connect();
        assert_eq!(client.get("/").err, OK);
        watched.value("zoonet_requests_total{ensemble=\"us\",op=\"getData\"}")
    };
    let routes = |watched: &Watched| {
        let page = watched.page();
        let line = page
            .lines()
            .find(|line| line.starts_with("zoonet_routes_info{"));
        line.unwrap().to_owned()
    };
    let before = routes(&watched);
    assert_eq!(pings(&watched), 1.0);
    watched
        .sidecar
        .rewrite(&watched.setup.clone().route("/other", "eu"));
    watched.sidecar.signal(Signal::HUP);
    watched.awaits("zoonet_reloads_total{outcome=\"applied\"}", 1.0);
    assert_eq!(pings(&watched), 2.0);
    assert_ne!(routes(&watched), before);
    watched
        .sidecar
        .rewrite(&watched.setup.clone().key("no: key"));
    watched.sidecar.signal(Signal::HUP);
    watched.awaits("zoonet_last_reload_successful", 0.0);
    watched.sidecar.rewrite(&watched.setup);
    watched.sidecar.signal(Signal::HUP);
    watched.awaits("zoonet_last_reload_successful", 1.0);
    assert_eq!(routes(&watched), before);
}

#[test]
fn the_alerts_are_good_rules_and_fire_when_they_should() {
    let rules = monitoring().join("alerts.yaml");
    let check = promtool(&["check", "rules", rules.to_str().unwrap()], "");
    assert!(check.status.success(), "{check:?}");
    let tests = monitoring().join("alerts.test.yaml");
    let check = promtool(&["test", "rules", tests.to_str().unwrap()], "");
    assert!(check.status.success(), "{check:?}");

    // With rules that are a little wrong the same tests fail.
    let rules = fs::read_to_string(&rules).unwrap();
    let tests = fs::read_to_string(&tests).unwrap();
    for (right, wrong) in [
        ("(zoonet_routes_info)) > 1", "(zoonet_routes_info)) > 2"),
        ("ephemerals=\"lost\"", "ephemerals=\"none\""),
        ("zoonet_circuit_open == 1", "zoonet_circuit_open == 0"),
        ("{outcome=\"unreachable\"}[2m]", "{outcome=\"new\"}[2m]"),
        (
            "zoonet_barrier_failures_total[5m]",
            "zoonet_barriers_total[5m]",
        ),
    ] {
        let scratch = Scratch::new("alerts");
        assert!(rules.contains(right), "{right}");
        scratch.write("alerts.yaml", &rules.replace(right, wrong));
        let tests = scratch.write("alerts.test.yaml", &tests);
        let check = promtool(&["test", "rules", tests.to_str().unwrap()], "");
        assert!(!check.status.success(), "{wrong}: {check:?}");
    }
}

#[test]
fn the_queries_of_the_dashboard_are_ones_that_prometheus_reads() {
    let text = fs::read_to_string(monitoring().join("grafana.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let queries: Vec<String> = dashboard["panels"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten()
        .map(|target| target["expr"].as_str().unwrap())
        .map(|query| {
            let query = query.replace("$__rate_interval", "5m");
            query.replace("$instance", ".*").replace("$ensemble", ".*")
        })
        .collect();
    assert!(queries.len() > 40, "{queries:?}");
    let check = |queries: &[String]| {
        let rules: Vec<Value> = (0..)
            .zip(queries)
            .map(|(number, query)| {
                let labels = json!({ "number": number.to_string() });
                json!({ "record": "of:dashboard", "expr": query, "labels": labels })
            })
            .collect();
        let scratch = Scratch::new("dashboard");
        // JSON is YAML.
        let rules = json!({ "groups": [{ "name": "dashboard", "rules": rules }] });
        let file = scratch.write("rules.yaml", &rules.to_string());
        promtool(&["check", "rules", file.to_str().unwrap()], "")
    };
    let good = check(&queries);
    assert!(good.status.success(), "{good:?}");
    let [first, ..] = &queries[..] else {
        panic!("no queries");
    };
    let bad = check(&[first.replacen('(', "", 1)]);
    assert!(!bad.status.success(), "{bad:?}");
}

fn monitoring() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/monitoring")
}

/// Runs Prometheus' own checker with this as its input.
fn promtool(arguments: &[&str], input: &str) -> Output {
    let mut running = Command::new(prepared("promtool"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = running.stdin.take().unwrap();
    // It need not read all of it to find a fault.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    running.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_switch_then_a_read_costs_an_ensemble_one_message_more() {
    let pair = regions::shared_pair();
    let setup = Setup::home(&pair.us)
        .ensemble(&pair.eu)
        .ensemble_key("eu", "warm: true")
        .route("/eu", "eu");
    let watched = Watched::start(setup);
    let mut client = watched.connect();
    // It has its leg before it asks for anything there.
    watched.awaits("zoonet_legs{ensemble=\"eu\",state=\"open\"}", 1.0);
    for _ in 0..20 {
        assert_eq!(client.get("/metrics-cost").err, NO_NODE);
        assert_eq!(client.get("/eu/metrics-cost").err, NO_NODE);
    }
    assert_eq!(client.call(CLOSE_SESSION, &[]).err, OK);
    let asked = |op: &str| {
        let series = format!("zoonet_requests_total{{ensemble=\"eu\",op=\"{op}\"}}");
        value_in(&watched.page(), &series).unwrap_or(0.0)
    };
    // A barrier of the other kind stands in until the server has said what it is.
    let barriers = asked("sync") + asked("multi");
    assert_eq!(
        (asked("getData"), barriers, asked("closeSession")),
        (20.0, 20.0, 1.0)
    );
    let all: f64 = watched
        .page()
        .lines()
        .filter_map(|line| line.strip_prefix("zoonet_requests_total{ensemble=\"eu\","))
        .filter_map(|rest| rest.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum();
    assert_eq!(all, 41.0, "and nothing else");
}
