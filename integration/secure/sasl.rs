//! SASL is between a client and home.

use std::time::Duration;

use super::logged;
use crate::ZOONET;
use crate::testbed::python::Python;
use crate::testbed::regions;
use crate::testbed::scratch::Scratch;
use crate::testbed::sidecar::Setup;
use crate::testbed::zookeeper::Plan;

/// Whom home knows.
const LOGIN: &str = r#"Server {
    org.apache.zookeeper.server.auth.DigestLoginModule required
    user_bob="bobs-secret";
};
"#;

#[test]
fn a_client_proves_to_home_who_it_is_and_remote_ensembles_do_not_hear_of_it() {
    let scratch = Scratch::new("sasl");
    let login = scratch.write("login.conf", LOGIN);
    let home = Plan::new("home")
        .java(format!(
            "-Djava.security.auth.login.config={}",
            login.display()
        ))
        .line("authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider")
        .start();
    let sidecar = Setup::home(&home)
        .ensemble(&regions::shared_pair().eu)
        .route("/eu", "eu")
        .log("zoonet=trace,info")
        .start(ZOONET);
    Python::file("clients/sasl.py")
        .args(["--connect", &sidecar.address().to_string()])
        .args(["--local", "/sasl", "--remote", "/eu/sasl"])
        .args(["--direct-local", &home.connect_string()])
        .run(Duration::from_secs(120));
    assert_eq!(logged(&sidecar, &["bobs-secret"]), 0);
    assert_eq!(logged(&sidecar, &["ERROR"]), 0, "{}", sidecar.log());
}
