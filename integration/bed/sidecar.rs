//! How the bed treats a sidecar: configured, awaited, restarted and ended as by an operator.

use std::path::Path;
use std::time::Duration;

use zoonet::config::Config;

use crate::ZOONET;
use crate::testbed::python::Python;
use crate::testbed::regions;
use crate::testbed::sidecar::Setup;
use crate::testbed::zookeeper::Ensemble;

const PATIENCE: Duration = Duration::from_secs(30);

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
    let expected = r#"listen: ["127.0.0.1:5"]
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
    let sidecar = Setup::home(&regions::shared_pair().us).start(ZOONET);
    let (address, pid) = (sidecar.address(), sidecar.pid());
    sidecar.restart();
    assert_eq!(sidecar.address(), address);
    assert_ne!(sidecar.pid(), pid);
    assert_eq!(sidecar.wait(Duration::ZERO), None);
    sidecar.terminate();
    assert!(sidecar.wait(PATIENCE).unwrap().success());
    let log = sidecar.log();
    assert_eq!(log.matches("listening on").count(), 2, "{log}");
}

#[test]
fn a_client_reaches_two_ensembles_and_can_be_killed() {
    let pair = regions::shared_pair();
    let sidecar = Setup::home(&pair.us)
        .ensemble(&pair.eu)
        .route("/bed-eu", "eu")
        .start(ZOONET);
    let client = Python::file("bed/both_sides.py")
        .arg(sidecar.address())
        .arg("/bed-us")
        .arg("/bed-eu")
        .start();
    client.expect("written", PATIENCE);
    assert!(holds(&pair.us, "/bed-us") && !holds(&pair.us, "/bed-eu"));
    assert!(holds(&pair.eu, "/bed-eu") && !holds(&pair.eu, "/bed-us"));
    client.process().kill();
}

/// Whether some session has an ephemeral at that path, as the server says.
fn holds(ensemble: &Ensemble, path: &str) -> bool {
    let dump = ensemble.servers()[0].ask("dump").unwrap();
    dump.lines().any(|line| line.trim() == path)
}
