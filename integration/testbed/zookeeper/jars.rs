//! Which ZooKeeper runs: Debian's, or any directory of jars.

use std::env;
use std::path::{Path, PathBuf};

/// Names a directory of jars to use instead of Debian's.
const VARIABLE: &str = "ZOONET_ZOOKEEPER_JARS";
const DEBIAN: &str = "/usr/share/java";

/// Where the classes of ZooKeeper and of what it needs are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Jars {
    /// The package `zookeeper` of Debian, whose main jar names the others.
    Debian,
    /// A directory that holds all jars needed and no others.
    Directory(PathBuf),
}

impl Jars {
    /// What `integration/test --zookeeper` chose; Debian's if nothing was chosen.
    pub(crate) fn from_environment() -> Self {
        env::var_os(VARIABLE)
            .filter(|value| !value.is_empty())
            .map_or(Self::Debian, |directory| Self::Directory(directory.into()))
    }

    /// Java's class path; panics if there is no ZooKeeper, and says what would bring it.
    pub(crate) fn class_path(&self) -> String {
        match self {
            Self::Debian => {
                let main = Path::new(DEBIAN).join("zookeeper.jar");
                assert!(
                    main.exists(),
                    "{} is missing: run integration/install",
                    main.display()
                );
                // Debian leaves the choice of a logger to us, and forgets what TLS needs of Netty.
                let jars = ["zookeeper", "slf4j-simple", "netty-codec", "netty-resolver"];
                let jars = jars.map(|name| format!("{DEBIAN}/{name}.jar"));
                jars.join(":")
            }
            Self::Directory(directory) => {
                assert!(
                    directory.is_dir(),
                    "{VARIABLE}: {} is no directory",
                    directory.display()
                );
                format!("{}/*", directory.display())
            }
        }
    }
}
