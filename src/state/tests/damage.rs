//! Files that are not what they were.

use redb::TableDefinition;

use super::*;

/// Opens a file that was damaged: it is moved aside as it is, and work goes on.
async fn survives(damage: &str, spoil: impl FnOnce(&mut Vec<u8>)) {
    let (directory, path) = place();
    let client = SessionId::from(1);
    let store = open(directory.path());
    for number in 0..50 {
        let client = SessionId::from(number);
        store.remember(client, leg("eu", 1)).await.unwrap();
    }
    drop(store);
    let mut bytes = fs::read(&path).unwrap();
    spoil(&mut bytes);
    fs::write(&path, &bytes).unwrap();
    let store = open(directory.path());
    assert_eq!(store.load(), [], "{damage}");
    store.remember(client, leg("eu", 2)).await.unwrap();
    drop(store);
    let names = files(directory.path());
    let [name, aside] = names.as_slice() else {
        panic!("{damage}: {names:?}");
    };
    assert_eq!(name, "legs.redb");
    assert!(aside.starts_with("legs.redb.damaged-"), "{aside}");
    let aside = directory.path().join(aside);
    assert_eq!(fs::read(&aside).unwrap(), bytes, "{damage}");
    assert_eq!(mode(&aside), 0o600);
    assert_eq!(
        open(directory.path()).load(),
        [(client, vec![leg("eu", 2)])]
    );
}

#[tokio::test]
async fn damage_is_moved_aside() {
    survives("emptied", Vec::clear).await;
    survives("one byte", |bytes| bytes.truncate(1)).await;
    survives("half a header", |bytes| bytes.truncate(200)).await;
    survives("a page", |bytes| bytes.truncate(4096)).await;
    survives("half", |bytes| bytes.truncate(bytes.len() / 2)).await;
    survives("zeroed header", |bytes| bytes[..4096].fill(0)).await;
    survives("zeroed magic", |bytes| bytes[..9].fill(0)).await;
    survives("all zeroes", |bytes| bytes.fill(0)).await;
    survives("zeroed pages", |bytes| bytes[4096..].fill(0)).await;
    survives("text", |bytes| *bytes = b"state: nothing\n".repeat(999)).await;
    survives("random bytes", |bytes| {
        let mut random = fastrand::Rng::with_seed(1);
        bytes.fill_with(|| random.u8(..));
    })
    .await;
    survives("random pages", |bytes| {
        let mut random = fastrand::Rng::with_seed(2);
        bytes[4096..].fill_with(|| random.u8(..));
    })
    .await;
    // The version stands at the head of both commit slots, at 64 and 192.
    survives("version too new", |bytes| {
        bytes[64] = 99;
        bytes[192] = 99;
    })
    .await;
}

#[tokio::test]
async fn a_table_of_another_shape_is_moved_aside() {
    let (directory, path) = place();
    let shape: TableDefinition<'_, u64, u64> = TableDefinition::new("legs");
    let database = Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(shape).unwrap().insert(1, 1).unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert_eq!(open(directory.path()).load(), []);
    assert_eq!(files(directory.path()).len(), 2);
}

#[tokio::test]
async fn nothing_moved_aside_is_overwritten() {
    let (directory, path) = place();
    for round in 0..5 {
        fs::write(&path, [round]).unwrap();
        drop(open(directory.path()));
    }
    let names = files(directory.path());
    assert_eq!(names.len(), 6, "{names:?}");
    let kept: std::collections::BTreeSet<_> = names[1..]
        .iter()
        .map(|name| fs::read(directory.path().join(name)).unwrap())
        .collect();
    assert_eq!(kept.len(), 5);
}

/// Whatever bytes are changed: either all is as it was, or the file is moved aside.
#[tokio::test]
async fn random_damage_is_noticed_or_harmless() {
    let (directory, path) = place();
    let store = open(directory.path());
    for number in 0..50 {
        let client = SessionId::from(number);
        store.remember(client, leg("eu", 1)).await.unwrap();
    }
    let expected = store.load();
    drop(store);
    let sound = fs::read(&path).unwrap();
    let (mut noticed, mut harmless) = (0, 0);
    for seed in 0..60 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bytes = sound.clone();
        let header = random.bool();
        for _ in 0..random.usize(1..20) {
            let end = if header { 320 } else { bytes.len() };
            bytes[random.usize(..end)] = random.u8(..);
        }
        if random.u8(..) < 64 {
            bytes.truncate(random.usize(..sound.len()));
        }
        fs::write(&path, &bytes).unwrap();
        let store = open(directory.path());
        if store.load().is_empty() {
            noticed += 1;
        } else {
            assert_eq!(store.load(), expected, "seed {seed}");
            harmless += 1;
        }
        let client = SessionId::from(1000);
        store.remember(client, leg("eu", 2)).await.unwrap();
        drop(store);
        let found = open(directory.path()).load();
        assert!(found.contains(&(client, vec![leg("eu", 2)])), "seed {seed}");
    }
    assert!(noticed > 3 && harmless > 3, "{noticed} {harmless}");
}

#[tokio::test]
async fn a_file_that_was_taken_away_is_made_anew() {
    let (directory, path) = place();
    let store = open(directory.path());
    let clients = [1, 2, 3].map(SessionId::from);
    store.remember(clients[0], leg("eu", 1)).await.unwrap();
    fs::remove_file(&path).unwrap();
    store.remember(clients[1], leg("eu", 1)).await.unwrap();
    fs::rename(&path, directory.path().join("other")).unwrap();
    fs::write(&path, "nonsense").unwrap();
    store.remember(clients[2], leg("eu", 1)).await.unwrap();
    let expected = clients.map(|client| (client, vec![leg("eu", 1)]));
    assert_eq!(store.load(), expected);
    drop(store);
    assert_eq!(open(directory.path()).load(), expected);
}

/// What opening the table says in the log.
fn said(directory: &Path, home: &str) -> String {
    let log = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&log);
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        // A time may hold any digits, those of the password too.
        .without_time()
        .with_ansi(false)
        .with_writer(move || Sink(Arc::clone(&sink)))
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        Store::open(directory, home).unwrap();
    });
    String::from_utf8(lock(&log).clone()).unwrap()
}

struct Sink(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        lock(&self.0).extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_says_what_happened() {
    let (directory, path) = place();
    assert_eq!(said(directory.path(), HOME), "");
    assert_eq!(said(directory.path(), HOME), "");
    put_raw(&path, 1, "eu", &[9, 222]);
    let log = said(directory.path(), HOME);
    assert!(
        log.contains("ERROR") && log.contains("record version 9"),
        "{log}"
    );
    let record = Record::encode("other", &leg("eu", 222).credentials);
    put_raw(&path, 1, "eu", &record);
    let log = said(directory.path(), HOME);
    assert!(
        log.contains("WARN") && log.contains("another home"),
        "{log}"
    );
    assert!(!log.contains("222"), "{log}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let log = said(directory.path(), HOME);
    assert!(log.contains("WARN") && log.contains("mode=640"), "{log}");
    fs::write(&path, "nonsense").unwrap();
    let log = said(directory.path(), HOME);
    let aside = format!("moved_to={}.damaged-", path.display());
    assert!(log.contains("ERROR") && log.contains(&aside), "{log}");
    assert!(log.contains(&format!("path={} ", path.display())), "{log}");
    assert!(
        log.contains("remote ephemerals of running sessions will expire"),
        "{log}"
    );
}
