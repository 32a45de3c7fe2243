//! Who may read and write the files of a sidecar. Keys and credentials are in `secrets::tests` and
//! `secure::`.

use std::process::Command;

use super::*;
use crate::ZOONET;

fn set_mode(path: &std::path::Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// What `zoonet check` says of the permissions of a sidecar's file.
fn checked(sidecar: &Sidecar) -> Option<String> {
    let mut check = Command::new(ZOONET);
    let output = check.arg("check").arg(sidecar.config()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let mut lines = said.lines().map(str::to_owned);
    lines.find(|line| line.starts_with("file  "))
}

#[test]
fn who_lets_others_write_the_file_or_the_state_is_warned() {
    const FILE: &str = "everybody can write this file";
    const STATE: &str = "others can write the state directory";
    let sidecar = on_the_pair().start(ZOONET);
    set_mode(sidecar.config(), 0o664);
    set_mode(&sidecar.state(), 0o755);
    sidecar.restart();
    for words in [FILE, STATE] {
        assert!(!sidecar.log().contains(words), "{}", sidecar.log());
    }
    assert_eq!(checked(&sidecar), None);

    set_mode(sidecar.config(), 0o666);
    set_mode(&sidecar.state(), 0o775);
    sidecar.restart();
    logs(&sidecar, &["WARN", FILE, "mode=0666"]);
    logs(&sidecar, &["WARN", STATE, "mode=0775"]);
    let said = checked(&sidecar).unwrap();
    assert!(
        said.contains("EVERYBODY CAN WRITE IT (mode 0666)"),
        "{said}"
    );
    assert_served(&sidecar);

    // A reload says so too.
    let text = fs::read_to_string(sidecar.config()).unwrap();
    fs::write(sidecar.config(), format!("outstanding: 999\n{text}")).unwrap();
    eventually("it says so again", || {
        sidecar.log().matches(FILE).count() == 2
    });
}
