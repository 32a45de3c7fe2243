//! No space, no right to write.

use std::process::{Command, Stdio};

use rustix::process::{Resource, getrlimit, setrlimit};

use super::*;

/// A small file system of its own, gone with this value.
struct Mount(TempDir);

impl Mount {
    /// None, and says so, where this is not permitted.
    fn new() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=512k,mode=700", "tmpfs"])
            .arg(directory.path())
            .stderr(Stdio::null())
            .status();
        if status.is_ok_and(|status| status.success()) {
            return Some(Self(directory));
        }
        eprintln!("SKIPPED: no permission to mount a tmpfs");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn remount(&self, option: &str) {
        let status = Command::new("mount")
            .args(["-o", option])
            .arg(self.path())
            .status();
        assert!(status.unwrap().success());
    }

    /// Leaves not a byte.
    fn fill(&self) {
        let mut chunk = 1 << 16;
        let mut filler = fs::File::create(self.path().join("filler")).unwrap();
        while chunk > 0 {
            if std::io::Write::write_all(&mut filler, &vec![1; chunk]).is_err() {
                chunk /= 2;
            }
        }
    }

    fn free(&self) {
        fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a test that failed may have files open there.
        let status = Command::new("umount").arg("-l").arg(self.path()).status();
        status.unwrap();
    }
}

/// Remembers until it fails; returns how often that went well, and what was said then.
async fn remember_until_refused(store: &Store) -> (i64, String) {
    for client in 0..100_000 {
        let outcome = store.remember(SessionId::from(client), leg("eu", 1)).await;
        if let Err(refused) = outcome {
            return (client, refused.to_string());
        }
    }
    panic!("never refused");
}

fn assert_clear(refused: &str, directory: &Path, reason: &str) {
    for part in [
        "cannot remember the leg of session 0x",
        " to eu: ",
        directory.to_str().unwrap(),
        reason,
        "new remote legs are refused until this is mended, home work goes on",
    ] {
        assert!(refused.contains(part), "{refused}");
    }
}

#[tokio::test]
async fn a_full_disk_refuses_new_legs_until_there_is_space() {
    let Some(mount) = Mount::new() else { return };
    let store = open(mount.path());
    for client in -100..0 {
        let client = SessionId::from(client);
        store.remember(client, leg("eu", 1)).await.unwrap();
    }
    mount.fill();
    let (count, refused) = remember_until_refused(&store).await;
    println!("{count} remembered on a full disk, then: {refused}");
    assert_clear(&refused, mount.path(), "No space left on device");
    let refused = store
        .remember(SessionId::from(count), leg("eu", 1))
        .await
        .unwrap_err();
    assert_clear(
        &refused.to_string(),
        mount.path(),
        "No space left on device",
    );
    let known = store.load();
    assert_eq!(i64::try_from(known.len()).unwrap(), count + 100);

    // A restart on a full disk knows all legs, and has the same limits.
    drop(store);
    let store = open(mount.path());
    assert_eq!(store.load(), known);
    remember_until_refused(&store).await;

    // What is forgotten meanwhile is forgotten.
    let forgotten = store.forget(SessionId::from(-100), "eu").await;
    println!("forget on a full disk: {forgotten:?}");
    mount.free();
    store
        .remember(SessionId::from(count), leg("eu", 1))
        .await
        .unwrap();
    let expected = store.load();
    assert!(expected.len() > known.len() - 1);
    assert_eq!(expected[0].0, SessionId::from(-99));
    drop(store);
    assert_eq!(open(mount.path()).load(), expected);
    assert_eq!(files(mount.path()), ["legs.redb"]);
}

#[tokio::test]
async fn a_first_start_on_a_full_disk_goes_on() {
    let Some(mount) = Mount::new() else { return };
    mount.fill();
    let store = open(mount.path());
    let refused = store
        .remember(SessionId::from(1), leg("eu", 1))
        .await
        .unwrap_err();
    assert_clear(
        &refused.to_string(),
        mount.path(),
        "No space left on device",
    );
    mount.free();
    store
        .remember(SessionId::from(1), leg("eu", 1))
        .await
        .unwrap();
    drop(store);
    assert_eq!(open(mount.path()).load().len(), 1);
}

#[tokio::test]
async fn a_read_only_directory_refuses_new_legs_until_it_is_writable() {
    let Some(mount) = Mount::new() else { return };
    let client = SessionId::from(1);
    let store = open(mount.path());
    store.remember(client, leg("eu", 1)).await.unwrap();
    drop(store);
    mount.remount("remount,ro");
    let store = open(mount.path());
    assert_eq!(store.load(), [(client, vec![leg("eu", 1)])]);
    let refused = store.remember(client, leg("eu", 2)).await.unwrap_err();
    assert_clear(&refused.to_string(), mount.path(), "Read-only file system");
    assert_eq!(store.load(), [(client, vec![leg("eu", 1)])]);
    mount.remount("remount,rw");
    store.remember(client, leg("eu", 2)).await.unwrap();
    drop(store);
    assert_eq!(open(mount.path()).load(), [(client, vec![leg("eu", 2)])]);
}

#[tokio::test]
async fn damage_found_on_a_full_disk_is_kept() {
    let Some(mount) = Mount::new() else { return };
    fs::write(mount.path().join("legs.redb"), "nonsense").unwrap();
    mount.fill();
    let store = open(mount.path());
    let client = SessionId::from(1);
    store.remember(client, leg("eu", 1)).await.unwrap_err();
    mount.free();
    store.remember(client, leg("eu", 1)).await.unwrap();
    drop(store);
    assert_eq!(open(mount.path()).load().len(), 1);
    assert_eq!(files(mount.path()).len(), 2);
}

const DIRECTORY: &str = "ZOONET_TEST_LIMITED";

/// The same without any rights: a process that may not make files larger than 128 kB.
#[test]
fn a_limit_on_file_size_refuses_new_legs_until_it_is_raised() {
    let directory = tempfile::tempdir().unwrap();
    // Without the trap the signal would end the process.
    let script = r#"trap '' XFSZ; ulimit -S -f 256; exec "$0" "$@""#;
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "--test-threads=1"])
        .arg("state::tests::space::limited")
        .env(DIRECTORY, directory.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let output = String::from_utf8(output.stdout).unwrap();
    assert!(output.contains("recovered"), "{output}");
    let found = open(directory.path()).load().len();
    assert!(output.contains(&format!("recovered with {found} legs")));
}

/// Not a test: the process above.
#[tokio::test]
#[ignore = "run by a_limit_on_file_size_refuses_new_legs_until_it_is_raised"]
async fn limited() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let directory = Path::new(&directory);
    let store = open(directory);
    let (count, refused) = remember_until_refused(&store).await;
    println!("{count} remembered, then: {refused}");
    assert_clear(&refused, directory, "File too large");
    let mut limit = getrlimit(Resource::Fsize);
    limit.current = limit.maximum;
    setrlimit(Resource::Fsize, limit).unwrap();
    store
        .remember(SessionId::from(count), leg("eu", 1))
        .await
        .unwrap();
    let found = store.load().len();
    assert_eq!(i64::try_from(found).unwrap(), count + 1);
    println!("recovered with {found} legs");
}
