//! How the bed treats a sidecar, shown on a stand-in that only says where it listens.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use zoonet::config::Config;

use crate::testbed::sidecar::Setup;

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn the_configuration_has_the_shape_of_the_manual() {
    let setup = Setup::new("us")
        .servers("us", &["127.0.0.1:1".parse().unwrap()])
        .servers(
            "eu",
            &[
                "127.0.0.1:2".parse().unwrap(),
                "127.0.0.1:3".parse().unwrap(),
            ],
        )
        .prefer("eu", &["127.0.0.1:4".parse().unwrap()])
        .barrier("eu", "quorum")
        .route("/", "us")
        .mount("/legacy", "eu", "/old/app")
        .log("warn")
        .key("connect_timeout: 3s");
    let expected = r#"listen: 127.0.0.1:5
home: us
state: /state
log: warn
connect_timeout: 3s
ensembles:
  us:
    servers: ["127.0.0.1:1"]
  eu:
    servers: ["127.0.0.1:2", "127.0.0.1:3"]
    prefer: ["127.0.0.1:4"]
    barrier: quorum
routes:
  /: us
  /legacy: { ensemble: eu, root: /old/app }
"#;
    let yaml = setup.yaml("127.0.0.1:5".parse().unwrap(), Path::new("/state"));
    assert_eq!(yaml, expected);
    Config::parse("zoonet.yaml", &yaml).unwrap();
}

#[test]
fn a_sidecar_is_awaited_restarted_and_asked_to_end() {
    let stand_in = concat!(env!("CARGO_MANIFEST_DIR"), "/integration/bed/stand_in.sh");
    let sidecar = Setup::new("us").start(stand_in);
    let (address, pid) = (sidecar.address(), sidecar.pid());
    sidecar.restart();
    assert_eq!(sidecar.address(), address);
    assert_ne!(sidecar.pid(), pid);
    assert_eq!(sidecar.wait(Duration::ZERO), None);
    sidecar.terminate();
    let status = sidecar.wait(PATIENCE).unwrap();
    assert_eq!(status.signal(), Some(Signal::TERM.as_raw()));
    let starts = sidecar.log().matches("starting run --config").count();
    assert_eq!(starts, 2, "{}", sidecar.log());
}
