use std::path::{Path, PathBuf};

use super::*;

/// Where the examples are.
fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config")
        .join(name)
}

fn load(name: &str) -> Config {
    Config::load(&folder(name)).unwrap_or_else(|error| panic!("{error}"))
}

fn parse(lines: &str) -> Result<Config, ConfigError> {
    let rest = "home: us\nensembles: { us: { servers: [a:1] } }\nroutes: { /: us }\n";
    Config::parse("test", &format!("{lines}\n{rest}"))
}

fn tcp(address: &str) -> Place {
    Place::Tcp(address.parse().unwrap())
}

fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    files.sort();
    files
}

/// Each file in `config/rejected` is refused in the words of the `.err` beside it.
/// `ZOONET_BLESS=1 cargo test --lib rejected` writes them anew; read the difference.
#[test]
fn rejected_files_are_refused_in_these_words() {
    let bless = std::env::var_os("ZOONET_BLESS").is_some();
    let files = yaml_files(&folder("rejected"));
    assert!(files.len() >= 20);
    let mut different = Vec::new();
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        let Err(error) = Config::parse(name, &text) else {
            panic!("{name} is accepted");
        };
        let found = format!("{error}\n");
        let golden = file.with_extension("err");
        if bless {
            std::fs::write(&golden, found).unwrap();
        } else if std::fs::read_to_string(&golden).unwrap_or_default() != found {
            different.push(format!("{name} says now:\n{found}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn the_line_shown_is_the_one_meant_however_lines_end() {
    for end in ["\n", "\r\n", "\r"] {
        let text = ["# 1", "", "# 3", "listen: nowhere", "# 5"].join(end);
        let shown = Config::parse("test", &text).unwrap_err().to_string();
        assert!(shown.contains("\ntest:4:9: "), "{shown}");
        assert!(shown.contains("\n  4 | listen: nowhere\n"), "{shown}");
    }
}

#[test]
fn the_files_of_the_containers_belong_together() {
    let [us, eu] = ["../docker/us.yaml", "../docker/eu.yaml"].map(load);
    assert_eq!(us.fingerprint(), eu.fingerprint());
    assert_ne!(us.home(), eu.home());
}

#[test]
fn examples_are_accepted() {
    for file in yaml_files(&folder("")) {
        Config::load(&file).unwrap_or_else(|error| panic!("{error}"));
    }
    assert!(load("minimal.yaml").routes.is_single());
}

#[test]
fn the_reference_shows_the_defaults() {
    let mut reference = load("reference.yaml");
    let minimal = load("minimal.yaml");
    reference.ensembles = minimal.ensembles.clone();
    reference.routes = minimal.routes.clone();
    assert_eq!(reference, minimal);
}

/// The keys there are.
fn keys() -> Vec<String> {
    let error = Config::parse("test", "unknown: key").unwrap_err();
    let ConfigError::Rejected { mistakes, .. } = error else {
        panic!("{error}");
    };
    for mistake in mistakes {
        if let Complaint::UnknownKey { allowed, .. } = mistake.complaint {
            return allowed;
        }
    }
    panic!("it is unknown");
}

#[test]
fn the_reference_has_every_key() {
    let text = std::fs::read_to_string(folder("reference.yaml")).unwrap();
    for key in keys() {
        let given = text.lines().any(|line| {
            let line = line.strip_prefix("# ").unwrap_or(line);
            line.starts_with(&format!("{key}:"))
        });
        assert!(given, "{key} is not in reference.yaml");
    }
}

#[test]
fn regions_agree() {
    let us = load("us/zoonet.yaml");
    let mut eu = load("eu/zoonet.yaml");
    assert_eq!(us.fingerprint(), eu.fingerprint());
    assert_ne!(us.home(), eu.home());

    // Nothing else differs.
    eu.listen.clone_from(&us.listen);
    eu.admin = us.admin;
    eu.state.clone_from(&us.state);
    eu.routes = us.routes.clone();
    for (one, other) in eu.ensembles.iter_mut().zip(&us.ensembles) {
        one.prefer.clone_from(&other.prefer);
    }
    assert_eq!(us, eu);
}

#[test]
fn values_mean_what_they_say() {
    let config = parse(
        "listen: '[::1]:0'\nadmin: 127.0.0.1:0\nstate: /var/x\nframe_limit: 4MiB\n\
         look_ahead: 65536\noutstanding: 7\nconnect_timeout: 500ms\nhandshake_timeout: 2m\n\
         request_timeout: 3s\nexpose_config: true\nlog: warn,zoonet=debug\nlog_format: json",
    );
    let config = config.unwrap();
    assert_eq!(config.listen, [tcp("[::1]:0")]);
    assert_eq!(config.admin, Some("127.0.0.1:0".parse().unwrap()));
    assert_eq!(config.state.as_deref(), Some(Path::new("/var/x")));
    assert_eq!(config.limits.frame_limit, 4 << 20);
    assert_eq!(config.limits.look_ahead, 65_536);
    assert_eq!(config.limits.outstanding, 7);
    assert_eq!(config.connect_timeout, Duration::from_millis(500));
    assert_eq!(config.handshake_timeout, Duration::from_secs(120));
    assert_eq!(config.request_timeout, Some(Duration::from_secs(3)));
    assert!(config.expose_config);
    assert_eq!(config.log, "warn,zoonet=debug");
    assert_eq!(config.log_format, LogFormat::Json);
}

#[test]
fn space_around_the_parts_of_a_filter_means_nothing() {
    let log = |written: &str| parse(&format!("log: \"{written}\"")).map(|config| config.log);
    assert_eq!(log(" warn, zoonet=debug ").unwrap(), "warn,zoonet=debug");
    // In front of this one it is no ASCII character.
    assert!(log("\u{85}-=-").is_err());
    assert_eq!(
        log("warn,\u{2003}zoonet=debug").unwrap(),
        "warn,zoonet=debug"
    );
}

#[test]
fn words_are_listed_or_all() {
    let words = |line: &str| {
        let config = parse(line).unwrap();
        let words: Vec<String> = config.words.iter().map(ToString::to_string).collect();
        words.join(" ")
    };
    assert_eq!(words(""), "envi isro mntr ruok srvr");
    assert_eq!(words("words: []"), "");
    assert_eq!(words("words: [wchs, ruok, wchs]"), "ruok wchs");
    let all = "conf cons dirs dump envi gtmk hash isro mntr ruok srvr stat wchc wchp wchs";
    assert_eq!(words("words: [ruok, '*']"), all);
}

#[test]
fn remote_listeners_have_to_be_meant() {
    assert!(parse("listen: 0.0.0.0:2181").is_err());
    assert!(parse("listen: '[::ffff:10.0.0.1]:2181'").is_err());
    assert!(parse("listen: '[::ffff:127.0.0.1]:2181'").is_ok());
    assert!(parse("listen: 127.9.9.9:2181").is_ok());
    let config = parse("listen: 0.0.0.0:2181\nallow_remote: true").unwrap();
    assert_eq!(config.listen, [tcp("0.0.0.0:2181")]);
}

#[test]
fn clients_connect_at_one_place_or_several() {
    assert_eq!(parse("").unwrap().listen, [tcp("127.0.0.1:2181")]);
    let socket = Place::Unix("/run/zk.sock".into());
    let config = parse("listen: unix:/run/zk.sock\nsocket_mode: 0660").unwrap();
    assert_eq!(
        (config.listen, config.socket_mode),
        (vec![socket.clone()], 0o660)
    );
    let config = parse("listen: [127.0.0.1:2181, 'unix:/run/zk.sock', 127.0.0.1:0, 127.0.0.1:0]");
    let any = tcp("127.0.0.1:0");
    assert_eq!(
        config.unwrap().listen,
        [tcp("127.0.0.1:2181"), socket, any.clone(), any]
    );
    let taken = parse("listen: ['unix:/run/zk.sock', 127.0.0.1:2181]\nadmin: 127.0.0.1:2181");
    let error = taken.unwrap_err().to_string();
    assert!(
        error.contains("`admin` has the address of `listen`"),
        "{error}"
    );
}

#[test]
fn files_are_beside_the_configuration() {
    let text = "home: us\nensembles:\n  us:\n    servers: [a:1]\n    credentials: us.auth\n    \
                tls: { ca: /etc/ca.pem, certificate: ../c.pem, key: k.pem, server_name: '::1' }\n\
                routes: { /: us }\nclient_tls: { certificate: s.pem, key: s.key, client_ca: c.pem }\n";
    let config = Config::parse("/etc/zoonet/zoonet.yaml", text).unwrap();
    let us = &config.ensembles[0];
    let path = |path: &str| PathBuf::from(path);
    assert_eq!(us.credentials, Some(path("/etc/zoonet/us.auth")));
    let tls = us.tls.as_ref().unwrap();
    assert_eq!(tls.ca, path("/etc/ca.pem"));
    assert_eq!(tls.server_name, Some("::1".try_into().unwrap()));
    let pair = KeyPair {
        certificate: path("/etc/zoonet/../c.pem"),
        key: path("/etc/zoonet/k.pem"),
    };
    assert_eq!(tls.identity, Some(pair));
    let clients = config.client_tls.as_ref().unwrap();
    assert_eq!(clients.client_ca, Some(path("/etc/zoonet/c.pem")));
    let files = crate::secrets::Secrets::files(&config);
    assert_eq!(files.len(), 7, "{files:?}");
}

#[test]
fn servers_are_hosts_and_ports() {
    for (written, host, port, shown) in [
        ("zk1.us:2181", "zk1.us", 2181, "zk1.us:2181"),
        ("ZK_1:1", "zk_1", 1, "zk_1:1"),
        ("10.0.0.1:65535", "10.0.0.1", 65535, "10.0.0.1:65535"),
        ("[::1]:2181", "::1", 2181, "[::1]:2181"),
        (
            "[2001:DB8::0:1]:2181",
            "2001:db8::1",
            2181,
            "[2001:db8::1]:2181",
        ),
    ] {
        let server = scalar::server(written).unwrap();
        assert_eq!((server.host.as_str(), server.port), (host, port));
        assert_eq!(server.to_string(), shown);
    }
    for written in [
        "", ":", ":1", "a:", "a:+1", "[::1:1", "[a]:1", "1.2.3:1", "a b:1",
    ] {
        assert!(scalar::server(written).is_err(), "{written}");
    }
}

#[test]
fn ensembles_are_sorted_by_name() {
    let text = "home: b\nensembles:\n  c: { servers: [c:1] }\n  1: { servers: [a:1] }\n  \
                b: { servers: [b:1], barrier: quorum }\nroutes: { /: 1, /x: b }\n";
    let config = Config::parse("test", text).unwrap();
    let names: Vec<&str> = config.ensembles.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names, ["1", "b", "c"]);
    assert_eq!(
        config.ensemble(config.home()).policy.barrier,
        crate::route::BarrierKind::Quorum
    );
    assert_eq!(config.routes.route(b"/").ensemble(), EnsembleId::new(0));
    assert_eq!(config.routes.route(b"/x").ensemble(), config.home());
}

#[test]
fn there_can_be_a_thousand_ensembles() {
    for (count, accepted) in [(1000, true), (1001, false)] {
        let ensembles: String = (0..count)
            .map(|n| format!("  e{n}: {{ servers: [h{n}:1] }}\n"))
            .collect();
        let text = format!("home: e0\nensembles:\n{ensembles}routes: {{ /: e0 }}\n");
        assert_eq!(Config::parse("test", &text).is_ok(), accepted);
    }
}

#[test]
fn unreadable_files_are_named() {
    let error = Config::load(&folder("none.yaml")).unwrap_err().to_string();
    assert!(
        error.contains("none.yaml: cannot be read: No such file"),
        "{error}"
    );
}

#[test]
fn what_is_in_effect_is_a_file_that_says_the_same() {
    let mut files = yaml_files(&folder(""));
    files.extend(["us/zoonet.yaml", "eu/zoonet.yaml"].map(folder));
    let mut configs: Vec<Config> = files
        .iter()
        .map(|file| Config::load(file).unwrap())
        .collect();
    configs.push(
        parse(
            "listen: 0.0.0.0:0\nallow_remote: true\nadmin: 127.0.0.1:0\nadmin_names: [Zoonet.us]\n\
             state: /var/x\nframe_limit: 4MiB\nlook_ahead: 65536\noutstanding: 7\n\
             reply_limit: 5MiB\nmax_connections: 70\nmax_connections_per_client: 6\n\
             slow_reader_timeout: 1m\n\
             connect_timeout: 1500ms\nhandshake_timeout: 2m\nrequest_timeout: 3s\n\
             idle_leg_timeout: 7m\ngrace_period: 1ms\nexpose_config: true\n\
             log: warn,zoonet=debug\nlog_format: json",
        )
        .unwrap(),
    );
    for config in configs {
        let said = serde_json::to_string_pretty(&config.effective()).unwrap();
        let again = Config::parse("effective", &said).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(again, config, "{said}");
    }
}

#[test]
fn every_key_is_in_effect() {
    let all = parse(
        "admin: 127.0.0.1:1\nstate: /var/x\nrequest_timeout: 3s\nslow_reader_timeout: 3s\n\
         client_tls: { certificate: a.pem, key: a.key }",
    )
    .unwrap();
    let said = serde_json::to_value(all.effective()).unwrap();
    for key in keys() {
        assert!(said.get(&key).is_some(), "/config does not show `{key}`");
    }
}
