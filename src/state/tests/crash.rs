//! Killed at any point.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;

/// Tells the child where to work, and from which client on.
const DIRECTORY: &str = "ZOONET_TEST_STATE";
const FIRST: &str = "ZOONET_TEST_FIRST";

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let parent = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(3);
    let (mut acknowledged, mut fruitful) = (Vec::new(), 0);
    let mut directory = parent.path().join("0");
    for round in 0..60 {
        // Many a round begins without a file, so that its making is interrupted too.
        if random.u8(..) < 64 {
            directory = parent.path().join(round.to_string());
            acknowledged.clear();
        }
        let before = acknowledged.len();
        // On a busy machine a child may do nothing in any such time, so every other one is left to
        // do something first.
        let from = ["begins.", "has "][usize::from(random.bool())];
        let kill = (from, Duration::from_micros(random.u64(..40_000)));
        run_and_kill(&directory, round * 1_000_000, kill, &mut acknowledged);
        fruitful += usize::from(acknowledged.len() > before);
        let store = open(&directory);
        let found = store.load();
        for client in &acknowledged {
            assert!(
                found.contains(&(SessionId::from(*client), vec![leg("eu", 1)])),
                "client {client} was acknowledged and is lost in round {round}"
            );
        }
        drop(store);
        assert_eq!(files(&directory), ["legs.redb"], "round {round}");
    }
    assert!(fruitful > 10, "only {fruitful} rounds did anything");
}

/// Kills the child so long after its first line that starts so.
fn run_and_kill(
    directory: &Path,
    first: i64,
    (from, wait): (&str, Duration),
    acknowledged: &mut Vec<i64>,
) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "--test-threads=1"])
        .arg("state::tests::crash::child")
        .env(DIRECTORY, directory)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let lines = output.split(b'\n').map(Result::unwrap);
    let mut lines = lines.map(|line| String::from_utf8(line).unwrap());
    // How long a busy machine takes to start it is not part of the wait.
    let start = lines.find(|line| line.starts_with(from)).unwrap();
    std::thread::sleep(wait);
    child.kill().unwrap();
    child.wait().unwrap();
    for line in std::iter::once(start).chain(lines) {
        // The last line may be cut off: it is taken only with its end.
        if let Some(client) = line.strip_prefix("has ").and_then(|l| l.strip_suffix('.')) {
            acknowledged.push(client.parse().unwrap());
        }
    }
}

/// Not a test: what is killed above.
#[test]
#[ignore = "run by what_was_acknowledged_survives_kill_9"]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let first: i64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    writeln!(std::io::stdout(), "\nbegins.").unwrap();
    let store = open(Path::new(&directory));
    runtime.block_on(async {
        for client in first.. {
            let session = SessionId::from(client);
            store.remember(session, leg("eu", 1)).await.unwrap();
            store.remember(session, leg("gone", 1)).await.unwrap();
            store.forget(session, "gone").await.unwrap();
            writeln!(std::io::stdout(), "\nhas {client}.").unwrap();
            store
                .remember(SessionId::from(-1), leg("eu", 1))
                .await
                .unwrap();
            store.forget_all(SessionId::from(-1)).await.unwrap();
        }
    });
}
