//! Containers and Kubernetes, as far as files can tell: there is neither on a test machine.
//! Schemas and a linter judge each file, `packaging/check.py` what they say of each other.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::ZOONET;
use crate::testbed::python::{self, Python};
use crate::testbed::regions;
use crate::testbed::scratch::Scratch;
use crate::testbed::sidecar::Setup;

const PATIENCE: Duration = Duration::from_secs(60);

/// What the checker has to find when a file says the second instead of the first.
const SLIPS: [(&str, &str, &str, &str); 17] = [
    (
        "docker/Dockerfile",
        "COPY src src",
        "COPY source src",
        "copies source, which is not there",
    ),
    (
        "docker/Dockerfile",
        "COPY README.md ./",
        "",
        "lets ['Cargo.lock', 'Cargo.toml', 'README.md', 'src'] in",
    ),
    (
        "docker/Dockerfile",
        "USER 10001:10001",
        "USER zoonet",
        "user zoonet is not one",
    ),
    (
        "docker/Dockerfile",
        "FROM rust:1.",
        "FROM rust:0.",
        "is older than",
    ),
    (
        "docker/compose.yaml",
        "server.2=us-2:",
        "server.2=us-9:",
        "knows us-9, which is not there",
    ),
    (
        "docker/compose.yaml",
        "*us, ZOO_MY_ID: \"2\"",
        "*us, ZOO_MY_ID: \"3\"",
        "us-2 is number 3 and 2",
    ),
    (
        "docker/compose.yaml",
        "srvr,ruok",
        "ruok",
        "does not answer srvr",
    ),
    (
        "docker/compose.yaml",
        "./us.yaml:",
        "./usa.yaml:",
        "usa.yaml, which is not there",
    ),
    (
        "docker/compose.yaml",
        "9182:9181",
        "9181:9181",
        "is published twice",
    ),
    (
        "docker/compose.yaml",
        "service:zoonet-us",
        "service:zoonet",
        "needs zoonet, which is not there",
    ),
    (
        "docker/us.yaml",
        "[\"eu-observer:2181\"]",
        "[\"eu-1:2181\"]",
        "eu-1:2181 under prefer is",
    ),
    (
        "docker/us.yaml",
        "admin: 0.0.0.0:9181",
        "admin: 0.0.0.0:9182",
        "the health check asks 9181",
    ),
    (
        "docker/eu.yaml",
        "/var/lib/zoonet/legs",
        "/var/lib/zoonets",
        "nothing is mounted for",
    ),
    (
        "docker/kubernetes.yaml",
        "path: /healthz",
        "path: /readyz",
        "livenessProbe asks /readyz, not /healthz",
    ),
    (
        "docker/kubernetes.yaml",
        "grace_period: 5s",
        "grace_period: 2m",
        "not below terminationGracePeriodSeconds",
    ),
    (
        "docker/kubernetes.yaml",
        "runAsUser: 10001",
        "runAsUser: 1000",
        "not the one of the image",
    ),
    (
        "docker/kubernetes.yaml",
        "value: \"127.0.0.1:2181\"",
        "value: \"127.0.0.1:2182\"",
        "does not connect to",
    ),
];

fn tree() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What the checker finds wrong with a tree.
fn problems(tree: &Path, out: &Path) -> String {
    Python::file("operator/packaging/check.py")
        .arg(tree.display())
        .arg(out.display())
        .run(PATIENCE)
}

/// A checker of others, as the tests' installation has it.
fn judged_by(program: &str, arguments: &[&str], file: &Path) -> Output {
    let mut command = Command::new(python::program(program));
    command.args(arguments).arg(file).output().unwrap()
}

/// The file, and one in which the first text is replaced by the other, which is a mistake.
fn with_slip(name: &str, from: &str, to: &str, scratch: &Scratch) -> [PathBuf; 2] {
    let good = tree().join(name);
    let text = fs::read_to_string(&good).unwrap();
    assert!(text.contains(from), "{from} is not in {name}");
    let base = name.rsplit('/').next().unwrap();
    let bad = scratch.write(base, &text.replace(from, to));
    [good, bad]
}

#[test]
fn the_files_of_containers_agree_with_each_other() {
    let out = Scratch::new("packaging");
    assert_eq!(problems(tree(), out.path()), "");
    for file in [
        out.path().join("kubernetes.yaml"),
        tree().join("docker/us.yaml"),
        tree().join("docker/eu.yaml"),
    ] {
        let checked = Command::new(ZOONET).arg("check").arg(&file).output();
        let checked = checked.unwrap();
        assert!(checked.status.success(), "{file:?}: {checked:?}");
    }
}

#[test]
fn files_of_containers_that_disagree_are_found() {
    let out = Scratch::new("packaging");
    for (file, from, to, expected) in SLIPS {
        let copy = Scratch::new("tree");
        for folder in ["docker", "src"] {
            fs::create_dir(copy.path().join(folder)).unwrap();
        }
        for name in [
            "Cargo.toml",
            "Cargo.lock",
            "README.md",
            "docker/kubernetes.yaml",
            "docker/Dockerfile",
            "docker/Dockerfile.dockerignore",
            "docker/compose.yaml",
            "docker/us.yaml",
            "docker/eu.yaml",
        ] {
            fs::copy(tree().join(name), copy.path().join(name)).unwrap();
        }
        let text = fs::read_to_string(copy.path().join(file)).unwrap();
        assert!(text.contains(from), "{from} is not in {file}");
        copy.write(file, &text.replace(from, to));
        let found = problems(copy.path(), out.path());
        assert!(found.contains(expected), "{expected} is not in:\n{found}");
    }
}

#[test]
fn a_linter_finds_nothing_in_the_dockerfile() {
    let scratch = Scratch::new("packaging");
    let from = "FROM debian:bookworm-slim";
    let [good, bad] = with_slip("docker/Dockerfile", from, "FROM debian", &scratch);
    let output = judged_by("hadolint", &[], &good);
    assert!(output.status.success(), "{output:?}");
    let output = judged_by("hadolint", &[], &bad);
    assert!(!output.status.success(), "a base without a tag: {output:?}");
}

#[test]
fn the_compose_file_is_what_its_specification_says() {
    let scratch = Scratch::new("packaging");
    let [good, bad] = with_slip("docker/compose.yaml", "healthcheck:", "health:", &scratch);
    let arguments = ["--builtin-schema", "vendor.compose-spec"];
    let output = judged_by("check-jsonschema", &arguments, &good);
    assert!(output.status.success(), "{output:?}");
    let output = judged_by("check-jsonschema", &arguments, &bad);
    assert!(!output.status.success(), "no such key: {output:?}");
}

/// 1.29 is the first version that starts such sidecars without being told to.
#[test]
fn the_kubernetes_objects_are_what_their_schemas_say() {
    let scratch = Scratch::new("packaging");
    let from = "allowPrivilegeEscalation:";
    let to = "allowPrivileges:";
    let [good, bad] = with_slip("docker/kubernetes.yaml", from, to, &scratch);
    for version in ["1.29", "1.37"] {
        let arguments = ["--strict", "--kubernetes-version", version];
        let output = judged_by("kubernetes-validate", &arguments, &good);
        assert!(output.status.success(), "{output:?}");
        let output = judged_by("kubernetes-validate", &arguments, &bad);
        assert!(!output.status.success(), "no such key: {output:?}");
    }
}

/// The kubelet mounts `FILE -> ..data/FILE` and `..data -> ..VERSION`, and swaps the latter.
#[test]
fn a_config_map_that_was_swapped_is_taken_over() {
    let pair = regions::shared_pair();
    let setup = Setup::home(&pair.us).ensemble(&pair.eu);
    let sidecar = setup.start(ZOONET);
    let file = sidecar.config();
    let mount = file.parent().unwrap();
    let text = fs::read_to_string(file).unwrap();
    let version = |name: &str, text: &str| {
        fs::create_dir(mount.join(name)).unwrap();
        fs::write(mount.join(name).join("zoonet.yaml"), text).unwrap();
        symlink(name, mount.join("..data_new")).unwrap();
        fs::rename(mount.join("..data_new"), mount.join("..data")).unwrap();
    };
    version("..1", &text);
    symlink("..data/zoonet.yaml", mount.join("link")).unwrap();
    fs::rename(mount.join("link"), file).unwrap();

    version("..2", &format!("{text}  /moved: eu\n"));
    let deadline = Instant::now() + PATIENCE;
    while !sidecar.log().contains(r#"moved=["/moved"]"#) {
        assert!(Instant::now() < deadline, "not reloaded: {}", sidecar.log());
        std::thread::sleep(Duration::from_millis(100));
    }
}
