use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

/// A folder with a certificate, its key, another key and what a test adds, and a configuration.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        folder.write("c.pem", &cert.pem(), 0o644);
        folder.write("c.key", &signing_key.serialize_pem(), 0o600);
        let other = rcgen::KeyPair::generate().unwrap();
        folder.write("other.key", &other.serialize_pem(), 0o600);
        folder.write("us.auth", "digest app:secret\n", 0o600);
        folder
    }

    fn write(&self, name: &str, content: &str, mode: u32) {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A configuration with these keys for its one ensemble, and these for all.
    fn load(&self, ensemble: &str, top: &str) -> Result<Secrets, String> {
        let name = self.0.path().join("zoonet.yaml");
        let text = format!(
            "home: us\nensembles: {{ us: {{ servers: [a:1], {ensemble} }} }}\nroutes: {{ /: us }}\n{top}\n"
        );
        let config = Config::parse(name.to_str().unwrap(), &text).unwrap();
        let folder = format!("{}/", self.0.path().display());
        Secrets::load(&config).map_err(|error| error.to_string().replace(&folder, ""))
    }
}

#[test]
fn good_files_are_taken() {
    let folder = Folder::new();
    let secrets = folder.load(
        "tls: { ca: c.pem, certificate: c.pem, key: c.key }, credentials: us.auth",
        "client_tls: { certificate: c.pem, key: c.key, client_ca: c.pem }",
    );
    let secrets = secrets.unwrap();
    assert!(secrets.acceptor().is_some());
    assert!(secrets.connector(EnsembleId::new(0)).is_some());
    assert!(secrets.connector(EnsembleId::new(1)).is_none());
    assert_eq!(
        secrets.identities(),
        [[Identity::new("digest", b"app:secret")]]
    );
    let keys: Vec<&str> = secrets
        .certificates()
        .iter()
        .map(|c| c.key.as_str())
        .collect();
    assert_eq!(
        keys,
        ["client_tls.certificate", "ensembles.us.tls.certificate"]
    );
    let nothing = folder.load("prefer: []", "").unwrap();
    assert!(nothing.acceptor().is_none() && nothing.certificates().is_empty());
}

#[test]
fn each_file_that_cannot_be_used_is_named_with_its_key() {
    let folder = Folder::new();
    folder.write("empty", "", 0o600);
    folder.write("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n", 0o600);
    folder.write(
        "hollow.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        0o600,
    );
    let locked =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    folder.write("locked.key", locked, 0o600);
    for (ensemble, expected) in [
        (
            "tls: { ca: none.pem }",
            "ensembles.us.tls.ca: none.pem: cannot be read: No such file",
        ),
        (
            "tls: { ca: empty }",
            "ensembles.us.tls.ca: empty: no certificate in it; expected PEM",
        ),
        (
            "tls: { ca: broken.pem }",
            "ensembles.us.tls.ca: broken.pem: not in PEM format: ",
        ),
        (
            "tls: { ca: hollow.pem }",
            "ensembles.us.tls.ca: hollow.pem: cannot be used: ",
        ),
        (
            "tls: { ca: c.pem, certificate: c.pem, key: c.pem }",
            "ensembles.us.tls.key: c.pem: others can read it (mode 0644)",
        ),
        (
            "tls: { ca: c.pem, certificate: c.pem, key: us.auth }",
            "ensembles.us.tls.key: us.auth: no private key in it",
        ),
        (
            "tls: { ca: c.pem, certificate: c.pem, key: locked.key }",
            "ensembles.us.tls.key: locked.key: no private key in it",
        ),
        (
            "tls: { ca: c.pem, certificate: c.pem, key: other.key }",
            "ensembles.us.tls.certificate: c.pem: this certificate is not that of the private key",
        ),
        (
            "credentials: empty",
            "ensembles.us.credentials: empty: no credentials in it",
        ),
        (
            "credentials: c.key",
            "ensembles.us.credentials: c.key: line 1: not a credential",
        ),
    ] {
        let error = folder.load(ensemble, "").unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let folder = Folder::new();
    let error = folder.load(
        "tls: { ca: none.pem, certificate: none.pem, key: none.key }, credentials: none.auth",
        "client_tls: { certificate: none.pem, key: none.key, client_ca: none.pem }",
    );
    let keys: Vec<String> = error
        .unwrap_err()
        .lines()
        .map(|line| line.split(": ").next().unwrap().to_owned())
        .collect();
    let expected = [
        "client_tls.certificate",
        "client_tls.key",
        "client_tls.client_ca",
        "ensembles.us.tls.ca",
        "ensembles.us.tls.certificate",
        "ensembles.us.tls.key",
        "ensembles.us.credentials",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn others_may_not_read_what_is_secret() {
    let folder = Folder::new();
    // The group may where root is the owner, which tests may well be.
    let by_root = fs::metadata(folder.0.path().join("us.auth")).unwrap();
    let by_root = std::os::unix::fs::MetadataExt::uid(&by_root) == 0;
    for (mode, accepted) in [
        (0o600, true),
        (0o400, true),
        (0o640, by_root),
        (0o660, false),
        (0o604, false),
        (0o644, false),
    ] {
        folder.write("us.auth", "digest app:secret\n", mode);
        let loaded = folder.load("credentials: us.auth", "");
        assert_eq!(loaded.is_ok(), accepted, "{mode:o}");
    }
}

#[test]
fn credentials_are_lines_of_a_scheme_and_all_behind_it() {
    let folder = Folder::new();
    let text = "# who we are\n\ndigest app:pass word \r\n  \nkey\t=x=\ndigest app:pass word \n";
    folder.write("us.auth", text, 0o600);
    let read = folder
        .load("credentials: us.auth", "")
        .unwrap()
        .identities();
    let expected = [
        Identity::new("digest", b"app:pass word "),
        Identity::new("key", b"=x="),
    ];
    assert_eq!(read, [expected]);
    for (text, line) in [
        ("digest", 1),
        ("digest  ", 1),
        ("\ndigest app", 2),
        ("digest :secret", 1),
        (" digest app:secret", 1),
        ("# fine\nwörld x", 2),
    ] {
        folder.write("us.auth", text, 0o600);
        let error = folder.load("credentials: us.auth", "").unwrap_err();
        let expected = format!("us.auth: line {line}: not a credential");
        assert!(error.contains(&expected), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn what_is_shown_of_secrets_is_not_secret() {
    let folder = Folder::new();
    let secrets = folder.load(
        "tls: { ca: c.pem, certificate: c.pem, key: c.key }, credentials: us.auth",
        "client_tls: { certificate: c.pem, key: c.key }",
    );
    let shown = format!("{:?}", secrets.unwrap());
    assert!(shown.contains("digest"), "{shown}");
    assert!(!shown.contains("secret"), "{shown}");
    assert!(!shown.to_lowercase().contains("key {"), "{shown}");
}

#[test]
fn the_end_of_a_certificate_is_past_soon_or_far() {
    let at = |expires| Certificate {
        key: String::new(),
        file: PathBuf::new(),
        expires,
    };
    let now = Moment::from_unix(1_000_000_000);
    let end = |days: i64| Moment::from_unix(1_000_000_000_u64.saturating_add_signed(days * 86_400));
    for (days, expected) in [
        (-1, Expiry::Past(end(-1))),
        (0, Expiry::Past(end(0))),
        (1, Expiry::Soon(end(1), 1)),
        (29, Expiry::Soon(end(29), 29)),
        (30, Expiry::Far(end(30), 30)),
    ] {
        assert_eq!(at(Some(end(days))).expiry(now), expected);
    }
    assert_eq!(at(None).expiry(now), Expiry::Unknown);
}
