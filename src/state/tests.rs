mod crash;
mod damage;
mod space;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use redb::Database;
use tempfile::TempDir;

use super::record::Record;
use super::*;

const HOME: &str = "us";

/// A directory, and the path of the table's file in it.
fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("legs.redb");
    (directory, path)
}

fn open(directory: &Path) -> Store {
    Store::open(directory, HOME).unwrap()
}

fn leg(ensemble: &str, number: u8) -> LegRecord {
    LegRecord {
        ensemble: ensemble.to_owned(),
        credentials: Credentials {
            session: SessionId::from(i64::from(number) << 40),
            password: [number; 16],
            timeout: 10_000,
        },
    }
}

fn synced(store: &Store) -> u64 {
    match &store.shared.medium {
        Medium::File(file) => lock(file).synced,
        Medium::Memory => panic!("not on disk"),
    }
}

fn files(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// What stands in a closed file, whatever it means.
fn put_raw(path: &Path, client: i64, ensemble: &str, record: &[u8]) {
    let database = Database::open(path).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut legs = transaction.open_table(file::LEGS).unwrap();
        legs.insert((client, ensemble), record).unwrap();
    }
    transaction.commit().unwrap();
}

fn raw_records(path: &Path) -> usize {
    match judge::examine(path).unwrap() {
        judge::Found::Contents(contents) => contents.len(),
        judge::Found::Nothing | judge::Found::Damage(_) => panic!("no table"),
    }
}

#[tokio::test]
async fn what_is_remembered_is_there_after_a_restart() {
    let (directory, _) = place();
    let (one, two) = (SessionId::from(-5), SessionId::from(i64::MAX));
    let store = open(directory.path());
    assert_eq!(store.load(), []);
    store.remember(one, leg("eu", 1)).await.unwrap();
    store.remember(one, leg("asia", 2)).await.unwrap();
    store.remember(two, leg("eu", 3)).await.unwrap();
    store.remember(one, leg("eu", 4)).await.unwrap();
    let expected = vec![
        (one, vec![leg("asia", 2), leg("eu", 4)]),
        (two, vec![leg("eu", 3)]),
    ];
    assert_eq!(store.load(), expected);
    drop(store);
    assert_eq!(open(directory.path()).load(), expected);
}

#[tokio::test]
async fn what_is_forgotten_is_gone_after_a_restart() {
    let (directory, _) = place();
    let (one, two) = (SessionId::from(1), SessionId::from(i64::MAX));
    let store = open(directory.path());
    for client in [one, two] {
        store.remember(client, leg("asia", 1)).await.unwrap();
        store.remember(client, leg("eu", 2)).await.unwrap();
    }
    let before = synced(&store);
    store.forget(one, "eu").await.unwrap();
    store.forget(one, "nowhere").await.unwrap();
    assert_eq!(synced(&store), before + 2);
    store.forget_all(two).await.unwrap();
    assert_eq!(synced(&store), before + 2, "that is not worth an fsync");
    let expected = vec![(one, vec![leg("asia", 1)])];
    assert_eq!(store.load(), expected);
    drop(store);
    assert_eq!(open(directory.path()).load(), expected);
}

#[tokio::test]
async fn those_who_wait_share_a_transaction() {
    let (directory, _) = place();
    let store = open(directory.path());
    let tasks: Vec<_> = (0..1000)
        .map(|client| {
            let store = store.clone();
            tokio::spawn(async move {
                let client = SessionId::from(client);
                store.remember(client, leg("eu", 1)).await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert!(synced(&store) < 100, "{}", synced(&store));
    drop(store);
    assert_eq!(open(directory.path()).load().len(), 1000);
}

#[test]
fn a_runtime_that_ends_strands_nobody() {
    let (directory, _) = place();
    let store = open(directory.path());
    let runtime = || tokio::runtime::Runtime::new().unwrap();
    let client = SessionId::from(1);
    // Polled once, so that it is queued; then neither it nor its runtime is there any more.
    let first = runtime();
    first.block_on(async {
        let remember = std::pin::pin!(store.remember(client, leg("eu", 1)));
        tokio::select! { biased; _ = remember => {}, () = std::future::ready(()) => {} }
    });
    first.shutdown_background();
    runtime()
        .block_on(store.remember(client, leg("asia", 1)))
        .unwrap();
}

#[tokio::test]
async fn only_the_owner_can_read_it() {
    let (parent, _) = place();
    let directory = parent.path().join("state");
    let path = directory.join("legs.redb");
    let store = open(&directory);
    assert_eq!((mode(&directory), mode(&path)), (0o700, 0o600));
    store
        .remember(SessionId::from(1), leg("eu", 1))
        .await
        .unwrap();
    drop(store);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(open(&directory).load().len(), 1);
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn unusable_places_are_refused() {
    let (directory, path) = place();
    let message = |directory: &Path| Store::open(directory, HOME).unwrap_err().to_string();
    let deep = directory.path().join("missing/state");
    assert!(message(&deep).contains("missing/state"));
    fs::create_dir(&path).unwrap();
    assert!(message(directory.path()).contains("not a regular file"));
    fs::remove_dir(&path).unwrap();
    symlink("/dev/null", &path).unwrap();
    assert!(message(directory.path()).contains("not a regular file"));
    fs::remove_file(&path).unwrap();
    fs::write(&path, "").unwrap();
    assert!(message(&path).contains("state directory"));
}

#[test]
fn a_second_sidecar_is_refused() {
    let (directory, path) = place();
    let first = open(directory.path());
    let refused = Store::open(directory.path(), HOME).unwrap_err().to_string();
    assert!(refused.contains("another zoonet has"), "{refused}");
    assert!(refused.contains(path.to_str().unwrap()), "{refused}");
    drop(first);
    open(directory.path());
}

#[test]
fn a_file_that_only_redb_has_locked_is_refused() {
    let (directory, path) = place();
    drop(open(directory.path()));
    let _other = Database::open(&path).unwrap();
    let refused = Store::open(directory.path(), HOME).unwrap_err();
    assert!(matches!(refused, StateError::InUse { .. }), "{refused}");
}

#[tokio::test]
async fn records_of_another_home_are_ignored_and_removed() {
    let (directory, path) = place();
    let client = SessionId::from(1);
    let other = Store::open(directory.path(), "old").unwrap();
    other.remember(client, leg("eu", 1)).await.unwrap();
    other.remember(client, leg("asia", 1)).await.unwrap();
    drop(other);
    let ours = Record::encode(HOME, &leg("eu", 9).credentials);
    put_raw(&path, 1, "eu", &ours);
    assert_eq!(
        open(directory.path()).load(),
        [(client, vec![leg("eu", 9)])]
    );
    assert_eq!(raw_records(&path), 1);
}

#[tokio::test]
async fn records_that_cannot_be_read_are_skipped_and_kept() {
    let (directory, path) = place();
    let client = SessionId::from(1);
    let store = open(directory.path());
    store.remember(client, leg("eu", 1)).await.unwrap();
    drop(store);
    let mut newer = Record::encode(HOME, &leg("eu", 1).credentials);
    newer[0] = 9;
    put_raw(&path, 1, "newer", &newer);
    put_raw(&path, 1, "short", &newer[..0]);
    put_raw(
        &path,
        1,
        "cut",
        &Record::encode("", &leg("eu", 1).credentials)[..20],
    );
    put_raw(
        &path,
        1,
        "name",
        &[&Record::encode("", &leg("eu", 1).credentials)[..], &[0xff]].concat(),
    );
    let store = open(directory.path());
    assert_eq!(store.load(), [(client, vec![leg("eu", 1)])]);
    drop(store);
    assert_eq!(raw_records(&path), 5);
}

#[test]
fn passwords_stay_out_of_debug_output() {
    let shown = format!(
        "{:?} {:?}",
        leg("eu", 222),
        Change::Remember(
            (SessionId::from(1), "eu".to_owned()),
            leg("eu", 222).credentials
        )
    );
    assert!(!shown.contains("222"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn a_table_in_memory_is_kept_for_whoever_has_it_next() {
    let store = Store::in_memory();
    let (one, other) = (SessionId::from(1), SessionId::from(2));
    for client in [one, other] {
        store.remember(client, leg("eu", 7)).await.unwrap();
        store.remember(client, leg("asia", 8)).await.unwrap();
    }
    store.forget(one, "eu").await.unwrap();
    store.forget_all(other).await.unwrap();
    assert_eq!(store.clone().load(), [(one, vec![leg("asia", 8)])]);
}

/// Not a test: figures for `cargo test --release -- --ignored --nocapture state::tests::figures`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn figures() {
    let directory = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let store = open(directory.path());
    let mut alone: Vec<_> = Vec::new();
    for number in 0..1000 {
        let client = SessionId::from(number);
        let start = std::time::Instant::now();
        store.remember(client, leg("eu", 1)).await.unwrap();
        alone.push(start.elapsed());
    }
    alone.sort();
    let raw = fs::File::create(directory.path().join("raw")).unwrap();
    let mut bare: Vec<_> = Vec::new();
    for number in 0..1000 {
        let start = std::time::Instant::now();
        std::os::unix::fs::FileExt::write_all_at(&raw, &[1; 4096], number * 4096).unwrap();
        raw.sync_data().unwrap();
        bare.push(start.elapsed());
    }
    bare.sort();
    println!("one page and fdatasync: median {:?}", bare[500]);
    println!("alone: median {:?}, 99% {:?}", alone[500], alone[990]);
    let (before, start) = (synced(&store), std::time::Instant::now());
    let tasks: Vec<_> = (0..100)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                for number in 0..100 {
                    let client = SessionId::from(10_000 + task * 100 + number);
                    store.remember(client, leg("eu", 1)).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let (took, transactions) = (start.elapsed(), synced(&store) - before);
    let rate = 10_000.0 / took.as_secs_f64();
    println!("100 at once: {rate:.0}/s, {transactions} transactions for 10000 records");
    let start = std::time::Instant::now();
    drop(store);
    println!("closed in {:?}", start.elapsed());
    let start = std::time::Instant::now();
    let legs = open(directory.path()).load().len();
    println!("opened in {:?} with {legs} legs", start.elapsed());
    let length = fs::metadata(directory.path().join("legs.redb"))
        .unwrap()
        .len();
    println!("{length} bytes");
}
