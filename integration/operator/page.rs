//! The status page in a real browser. Pictures of it are left in `target/tmp/status-page-*.png`.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::ZOONET;
use crate::patience::eventually;
use crate::raw::{self, CREATE, EPHEMERAL, OK, Raw};
use crate::testbed::browser::Browser;
use crate::testbed::sidecar::{Setup, Sidecar};
use crate::testbed::zookeeper::Plan;
use crate::testbed::{ports, regions};

const SESSION: u32 = 30_000;

/// Whether the page is wider than its window.
const WIDER: &str = "document.documentElement.scrollWidth > innerWidth";

/// Reads and writes on both sides until told to stop; errors too, some.
fn work(mut client: Raw, on: &AtomicBool) {
    while on.load(Ordering::Relaxed) {
        for path in ["/page", "/eu/page", "/page-none"] {
            client.get(path);
            client.set(path, b"x");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Ends the work also when a check fails: the thread is waited for.
struct Until<'a>(&'a AtomicBool);

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// A client with a remote ephemeral, and the id of its session there.
fn client(sidecar: &Sidecar) -> (Raw, String) {
    let mut client = Raw::connect(sidecar.address(), SESSION);
    client.make("/page");
    client.make("/eu");
    client.make("/eu/page");
    let ephemeral = raw::create_body(&format!("/eu/page-{:x}", client.session), EPHEMERAL);
    assert_eq!(client.call(CREATE, &ephemeral).err, OK);
    let found = crate::testbed::http::get(sidecar.admin(), "/sessions").json();
    let sessions = found["sessions"].as_array().unwrap();
    let id = format!("{:#x}", client.session);
    let one = sessions
        .iter()
        .find(|one| one["session"] == id.as_str())
        .unwrap();
    let leg = one["legs"][1]["session"].as_str().unwrap().to_owned();
    (client, leg)
}

fn open(browser: &Browser, sidecar: &Sidecar) {
    browser.open(&format!("http://{}/", sidecar.admin()));
    browser.await_text("#verdict", |text| text == "ready");
}

/// The numbers in a plot's line of present values.
fn present(text: &str) -> Vec<f64> {
    text.split_whitespace()
        .filter_map(|word| word.replace(',', "").parse().ok())
        .collect()
}

fn picture(browser: &Browser, name: &str) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    browser.shot(&folder.join(format!("status-page-{name}.png")));
}

fn assert_readable(browser: &Browser, how: &str) {
    let contrast = include_str!("contrast.js").replace('\n', " ");
    assert_eq!(browser.eval(&contrast), "", "{how}");
    let wider = browser.eval(WIDER);
    assert_eq!(wider, "false", "the page does not scroll sideways, {how}");
}

/// The numbers move, and the lines with them.
fn assert_live(browser: &Browser) {
    let moves = |text: &str| {
        let now = present(text);
        now.len() == 2 && now.iter().all(|number| *number > 0.0)
    };
    for plot in ["requests", "p50", "p99", "switches", "barriers"] {
        browser.await_text(&format!("#plot-{plot} .now"), moves);
    }
    browser.await_text("#plot-errors .now", |text| {
        present(text).first().is_some_and(|home| *home > 0.0)
    });
    let line = "document.querySelector('#plot-requests .s0[d]').getAttribute('d')";
    let points = || browser.eval(line).matches('L').count();
    let before = points();
    eventually("the line grows", || points() > before);
}

fn assert_ensembles(browser: &Browser) {
    let pair = regions::shared_pair();
    let all_serve = |text: &str| text.matches("1 of 1 serving").count() == 2;
    let shown = browser.await_text("#ensembles", all_serve);
    for server in [&pair.us.servers()[0], &pair.eu.servers()[0]] {
        assert!(shown.contains(&server.address().to_string()), "{shown}");
    }
    assert!(shown.contains("home · barrier sync"), "{shown}");
    assert!(shown.contains("standalone"), "{shown}");
}

/// Two sessions with two legs each, of which one is found by its remote session.
fn assert_sessions(browser: &Browser, leg: &str) {
    browser.await_text("#session-totals", |text| text == "2 connected, 0 parked");
    browser.await_text("#sessions", |text| text.contains(leg));
    let rows = "[...document.querySelectorAll('#sessions tbody')].map((one) => one.rows.length)";
    assert_eq!(browser.eval(&format!("{rows}.join()")), "3,3");
    browser.input("find", leg);
    browser.await_text("#sessions", |text| {
        text.contains(leg) && text.matches("connected").count() == 1
    });
    browser.input("find", "0xdeadbeef");
    browser.await_text("#sessions", |text| text.contains("No session matches."));
    browser.input("find", "");
    browser.await_text("#sessions", |text| text.matches("connected").count() == 2);
}

fn assert_routes(browser: &Browser) {
    for (path, says) in [
        ("/eu/orders", "to eu, by the rule /eu"),
        ("orders", "Paths begin with /."),
        ("/old/x", "to eu, as /app/x, by the rule /old"),
        ("/orders", "to us, by the rule /"),
    ] {
        browser.input("path", path);
        browser.await_text("#goes", |text| text == says);
    }
}

/// It can be read in both schemes and on a small screen.
fn assert_looks(browser: &Browser) {
    let ground = || browser.eval("getComputedStyle(document.body).backgroundColor");
    let light = ground();
    assert_readable(browser, "light");
    picture(browser, "light");
    browser.scheme("dark");
    assert_ne!(ground(), light);
    assert_readable(browser, "dark");
    picture(browser, "dark");
    browser.scheme("light");
    browser.size(360, 800);
    // It is drawn anew within a second.
    thread::sleep(Duration::from_millis(1_500));
    assert_readable(browser, "narrow");
    picture(browser, "narrow");
}

#[test]
fn the_page_shows_what_goes_on() {
    let pair = regions::shared_pair();
    let setup = Setup::home(&pair.us)
        .ensemble(&pair.eu)
        .route("/eu", "eu")
        .mount("/old", "eu", "/app")
        .admin();
    let sidecar = setup.start(ZOONET);
    let ((busy, _), (_idle, leg)) = (client(&sidecar), client(&sidecar));
    let browser = Browser::start();
    browser.size(1280, 900);
    browser.scheme("light");
    open(&browser, &sidecar);
    let on = AtomicBool::new(true);
    thread::scope(|scope| {
        scope.spawn(|| work(busy, &on));
        let _working = Until(&on);
        assert_live(&browser);
        assert_ensembles(&browser);
        assert_sessions(&browser, &leg);
        assert_routes(&browser);
        assert_looks(&browser);
    });
    let problems = browser.problems();
    assert_eq!(problems["errors"], serde_json::json!([]), "{problems}");
    assert_eq!(problems["foreign"], serde_json::json!([]), "{problems}");
    assert!(problems["requests"].as_u64().unwrap() > 10, "{problems}");
}

/// The control of the above: what would be wrong is seen.
#[test]
fn errors_strange_requests_and_pale_text_would_be_noticed() {
    let setup = Setup::home(&regions::shared_pair().us).admin();
    let sidecar = setup.start(ZOONET);
    let browser = Browser::start();
    open(&browser, &sidecar);
    assert_eq!(browser.problems()["errors"], serde_json::json!([]));
    browser.eval("void console.error('planted')");
    let errors = browser.problems()["errors"].to_string();
    assert!(errors.contains("planted"), "{errors}");

    // The page's own policy holds it back, and says so.
    let elsewhere = "fetch('http://127.0.0.2:9/').then(() => 'sent', () => 'held back')";
    assert_eq!(browser.eval(elsewhere), "held back");
    let errors = browser.problems()["errors"].to_string();
    assert!(errors.contains("Content Security Policy"), "{errors}");
    // Where there is no policy only the list of requests tells.
    browser.open(&format!("http://{}/nothing", sidecar.admin()));
    browser.eval("void (location.href = 'http://127.0.0.2:9/')");
    eventually("a request to elsewhere is noticed", || {
        let foreign = browser.problems()["foreign"].to_string();
        foreign.contains("127.0.0.2:9")
    });

    open(&browser, &sidecar);
    let pale = "Object.assign(document.querySelector('h2').style, { color: 'rgb(180, 180, 180)' })";
    browser.eval(&format!("void {pale}"));
    let contrast = include_str!("contrast.js").replace('\n', " ");
    assert!(browser.eval(&contrast).contains("H2 Traffic"));
    browser.eval("void (document.querySelector('h2').style.minWidth = '5000px')");
    assert_eq!(browser.eval(WIDER), "true");
}

#[test]
fn the_page_says_so_when_something_is_wrong() {
    let home = Plan::new("us").start();
    let nobody = ports::reserve();
    let setup = Setup::home(&home).servers("eu", &[nobody]).admin();
    let sidecar = setup.start(ZOONET);
    let browser = Browser::start();
    browser.open(&format!("http://{}/", sidecar.admin()));
    browser.await_text("#verdict", |text| text == "ready, eu out of reach");
    assert_eq!(browser.text("#banner"), "", "nothing is wrong at home");

    home.servers()[0].kill();
    browser.await_text("#verdict", |text| text == "not ready");
    let banner = browser.text("#banner");
    assert!(banner.contains("no server of us can be used"), "{banner}");
    browser.await_text("#ensembles", |text| text.contains("unreachable"));
    picture(&browser, "not-ready");
    home.servers()[0].restart();
    browser.await_text("#verdict", |text| text.starts_with("ready"));
    assert_eq!(browser.text("#banner"), "");

    sidecar.kill();
    browser.await_text("#verdict", |text| text == "no answer");
    let banner = browser.text("#banner");
    assert!(banner.contains("has not answered since"), "{banner}");
    picture(&browser, "no-answer");
    sidecar.restart();
    browser.await_text("#verdict", |text| text.starts_with("ready"));
}
