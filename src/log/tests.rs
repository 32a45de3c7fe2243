use tokio::time::advance;
use tracing::subscriber::{DefaultGuard, set_default};

use super::repetition::{INTERVAL, WRITTEN};
use super::*;
use crate::config::Server;
use crate::telemetry::scope;
use crate::wire::opcode::OpCode;
use crate::wire::{SessionId, Xid};

/// What would have been written, and what writes it on this thread.
struct Written {
    text: Arc<Mutex<String>>,
    lines: Lines,
    _guard: DefaultGuard,
}

impl Written {
    fn by(shape: Shape, filter: &str) -> Self {
        let text: Arc<Mutex<String>> = Arc::default();
        let into = Arc::clone(&text);
        let lines = Lines::new(shape, move |line| into.lock().unwrap().push_str(line));
        let filter = read(filter).unwrap();
        lines.sum_up_unless_detailed(&filter);
        let subscriber = Registry::default().with(filter).with(lines.clone());
        Self {
            text,
            lines,
            _guard: set_default(subscriber),
        }
    }

    /// The lines since the last call, without their time.
    fn take(&self) -> Vec<String> {
        let text = std::mem::take(&mut *self.text.lock().unwrap());
        text.lines()
            .map(|line| {
                let (_, behind) = line.split_once("Z").unwrap_or_else(|| panic!("{line:?}"));
                behind.trim_start().to_owned()
            })
            .collect()
    }
}

fn request() -> tracing::Span {
    let session = scope::session(SessionId(0x10a), Some("127.0.0.1:5".parse().unwrap()));
    let server = Server {
        host: "zk1.eu".to_owned(),
        port: 2181,
    };
    let leg = scope::leg(&session, "eu", Some(&server));
    scope::request(&leg, OpCode::GetData, Xid(7))
}

fn turn_away(outcome: &str, peer: u16) {
    let peer = ([127, 0, 0, 1], peer).into();
    tracing::warn!(parent: &scope::client(Some(peer)), outcome, "turned away");
}

#[test]
fn what_spans_say_stands_beside_what_the_event_says() {
    let say = || tracing::info!(parent: &request(), err = -4, text = "a b", ok = true, "failed");
    let human = Written::by(Shape::Human, "info");
    say();
    assert_eq!(
        human.take(),
        [
            "INFO zoonet::log::tests: failed session=0x10a peer=127.0.0.1:5 ensemble=\"eu\" \
          server=zk1.eu:2181 op=\"getData\" xid=7 err=-4 text=\"a b\" ok=true"
        ]
    );
    drop(human);
    let json = Written::by(Shape::Json, "info");
    say();
    assert_eq!(
        json.take(),
        [
            "\",\"level\":\"INFO\",\"target\":\"zoonet::log::tests\",\"message\":\"failed\",\
          \"session\":\"0x10a\",\"peer\":\"127.0.0.1:5\",\"ensemble\":\"eu\",\
          \"server\":\"zk1.eu:2181\",\"op\":\"getData\",\"xid\":7,\"err\":-4,\
          \"text\":\"a b\",\"ok\":true}"
        ]
    );
}

#[test]
fn the_innermost_knows_best_and_no_name_stands_twice() {
    let human = Written::by(Shape::Human, "info");
    let outer = scope::leg(&scope::client(None), "us", None);
    tracing::info!(parent: &scope::leg(&outer, "eu", None), "first");
    tracing::info!(parent: &outer, ensemble = "asia", "second");
    let of = |words: &str| format!("INFO zoonet::log::tests: {words}");
    let expected = [of("first ensemble=\"eu\""), of("second ensemble=\"asia\"")];
    assert_eq!(human.take(), expected);
}

#[test]
fn entered_spans_count_as_well() {
    let human = Written::by(Shape::Human, "info");
    scope::client(Some("127.0.0.1:5".parse().unwrap())).in_scope(|| tracing::info!("asked"));
    assert_eq!(
        human.take(),
        ["INFO zoonet::log::tests: asked peer=127.0.0.1:5"]
    );
}

/// Whatever a stranger may have put into a name or into what an error says.
#[test]
fn no_value_begins_a_line_or_moves_a_terminal() {
    let evil = "a\nZ ERROR b\r\x1b[2J\x07\x08\0\x7f\u{9b}31m\u{202e}\u{2028}\u{2066}c";
    let error = io::Error::other(evil);
    let cause: &(dyn std::error::Error + 'static) = &error;
    for shape in [Shape::Human, Shape::Json] {
        let written = Written::by(shape, "info");
        let span = tracing::error_span!(target: scope::TARGET, "span", of_span = evil);
        tracing::info!(parent: &span, text = evil, display = %evil, debug = ?evil, %error,
            cause, "{evil}");
        let text = std::mem::take(&mut *written.text.lock().unwrap());
        assert_eq!(text.matches('\n').count(), 1, "{text:?}");
        assert!(text.ends_with('\n'));
        let line = text.trim_end();
        let unseemly = |c: char| c.is_control() || ('\u{2028}'..='\u{2069}').contains(&c);
        assert!(!line.contains(unseemly), "{line:?}");
        if shape == Shape::Json {
            // Nothing is lost.
            let object: serde_json::Value = serde_json::from_str(line).unwrap();
            for name in ["message", "of_span", "text", "display", "error", "cause"] {
                assert_eq!(object[name], evil, "{name}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_of_a_kind_are_written_and_the_rest_is_summed_up() {
    let log = Written::by(Shape::Human, "info");
    for peer in 0..25 {
        turn_away("slow", peer);
        advance(Duration::from_millis(100)).await;
    }
    let written = log.take();
    assert_eq!(written.len(), 10, "{written:?}");
    assert!(written[9].ends_with("turned away peer=127.0.0.1:9 outcome=\"slow\""));
    log.lines.sum_up(Instant::now());
    assert_eq!(log.take(), [""; 0], "not before the interval is over");
    advance(INTERVAL).await;
    log.lines.sum_up(Instant::now());
    let sum = "WARN zoonet::log::tests: turned away: 15 more in the last 32s outcome=\"slow\"";
    assert_eq!(log.take(), [sum], "without one client's address");
    log.lines.sum_up(Instant::now());
    log.lines.finish(Instant::now());
    assert_eq!(log.take(), [""; 0], "only once");
    // A new interval.
    turn_away("slow", 1);
    assert_eq!(log.take().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn as_json_a_sum_is_a_number() {
    let log = Written::by(Shape::Json, "info");
    (0..12).for_each(|peer| turn_away("slow", peer));
    log.lines.finish(Instant::now());
    let text = log.text.lock().unwrap().clone();
    let sum: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(sum["message"], "turned away");
    assert_eq!((&sum["more"], &sum["seconds"]), (&2.into(), &1.into()));
    assert_eq!(sum["outcome"], "slow");
}

#[tokio::test(start_paused = true)]
async fn kinds_do_not_hide_one_another() {
    let log = Written::by(Shape::Human, "info");
    (0..100).for_each(|peer| turn_away("slow", peer));
    turn_away("malformed", 1);
    for ensemble in ["us", "eu"] {
        let leg = scope::leg(&scope::client(None), ensemble, None);
        (0..11).for_each(|_| tracing::warn!(parent: &leg, "lost"));
    }
    tracing::warn!(parent: &scope::client(None), outcome = "slow", "elsewhere in the program");
    assert_eq!(log.take().len(), 10 + 1 + 2 * 10 + 1);
    log.lines.finish(Instant::now());
    let mut sums = log.take();
    sums.sort();
    let of = |words: &str| format!("WARN zoonet::log::tests: {words}");
    let expected = [
        of("lost: 1 more in the last 1s ensemble=\"eu\""),
        of("lost: 1 more in the last 1s ensemble=\"us\""),
        of("turned away: 90 more in the last 1s outcome=\"slow\""),
    ];
    assert_eq!(sums, expected);
}

/// Also where nobody looks when an interval ends, and across many of them.
#[tokio::test(start_paused = true)]
async fn no_line_goes_uncounted() {
    let log = Written::by(Shape::Json, "info");
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..5_000 {
        turn_away(
            ["slow", "malformed", "tls"][random.usize(..3)],
            random.u16(..),
        );
        advance(Duration::from_millis(random.u64(..200))).await;
        if random.u8(..) < 4 {
            log.lines.sum_up(Instant::now());
        }
    }
    log.lines.finish(Instant::now());
    let text = log.text.lock().unwrap().clone();
    let objects = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let lines = |object: serde_json::Value| object["more"].as_u64().unwrap_or(1);
    assert_eq!(objects.map(lines).sum::<u64>(), 5_000);
    // 500 seconds, so 17 intervals; three kinds.
    let most = 17 * 3 * usize::try_from(WRITTEN + 1).unwrap();
    assert!((100..=most).contains(&text.lines().count()));
}

#[tokio::test(start_paused = true)]
async fn what_is_about_the_sidecar_itself_is_always_written() {
    let log = Written::by(Shape::Human, "info");
    (0..100).for_each(|_| tracing::error!("the leg table"));
    assert_eq!(log.take().len(), 100);
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_detail_gets_all_of_it() {
    for filter in ["debug", "warn,zoonet::dial=debug"] {
        let log = Written::by(Shape::Human, filter);
        (0..100).for_each(|peer| turn_away("slow", peer));
        assert_eq!(log.take().len(), 100, "{filter}");
    }
}

#[test]
fn a_panic_is_a_line_and_never_held_back() {
    let log = Written::by(Shape::Human, "info");
    let before = panic::take_hook();
    panic::set_hook(Box::new(tell_of_panic));
    let outcome = request().in_scope(|| {
        let repetition = log.lines.repetition();
        panic::catch_unwind(move || {
            let _held = repetition;
            panic!("over\nand out")
        })
    });
    panic::set_hook(before);
    assert!(outcome.is_err());
    let lines = log.take();
    let said = "ERROR zoonet::log: panicked: over\\nand out at=src/log/tests.rs:";
    assert!(lines.len() == 1 && lines[0].starts_with(said), "{lines:?}");
}

#[test]
fn a_line_that_passes_has_its_spans_whatever_the_filter() {
    for filter in ["zoonet::log=info", "off,zoonet::log::tests=info", "info"] {
        let log = Written::by(Shape::Human, filter);
        tracing::info!(parent: &request(), "said");
        assert!(log.take()[0].contains(" session=0x10a "), "{filter}");
        tracing::error!(target: "elsewhere", "said");
        assert_eq!(log.take().len(), usize::from(filter == "info"), "{filter}");
    }
}
