//! A configuration file of any text.

use zoonet::check;
use zoonet::config::{Config, ConfigError, Mistake};
use zoonet::route::Rule;
use zoonet::secrets::{Moment, Secrets};

use crate::memory::{alone, measured};

/// Stands in a comment in front of the file: a line nobody has to see who is told about another.
const SECRET: &str = "b7c1e9";

/// Heap that reading a file may take per byte of it, and besides. A file of flow maps is a few bytes
/// per value, each of which becomes a value with two places.
const PER_BYTE: usize = 600;
const BESIDES: usize = 256 << 10;

/// What is wrong is said with a place and without the rest of the file. What is accepted can be
/// shown, means the same when it is read again, and leads every path somewhere and back.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _alone = alone();
    let text = format!("# {SECRET}\n{text}");
    let (parsed, used) = measured(|| Config::parse("fuzzed", &text));
    assert!(
        used.most <= PER_BYTE * text.len() + BESIDES,
        "{} bytes for {}",
        used.most,
        text.len()
    );
    match parsed {
        Ok(config) => accepted(&config, &text),
        Err(ConfigError::Rejected { mistakes, .. }) if mistakes.is_empty() => {
            unreachable!("refused without a reason")
        }
        Err(error) => rejected(&error, &text),
    }
}

fn rejected(error: &ConfigError, text: &str) {
    let ConfigError::Rejected { mistakes, .. } = error else {
        unreachable!("a text that was given cannot be unreadable");
    };
    // YAML's lines end in a carriage return as well.
    let lines = text.replace("\r\n", "\n").split(['\r', '\n']).count();
    let lines = u64::try_from(lines).unwrap_or(u64::MAX);
    for Mistake { line, column, .. } in mistakes {
        assert!(*line <= lines, "line {line} of {lines}");
        assert!(
            (*line == 0) == (*column == 0),
            "half a place: {line}:{column}"
        );
    }
    let shown = error.to_string();
    let first = mistakes.first().map_or(0, |mistake| mistake.line);
    let place = if first == 0 {
        "fuzzed: ".to_owned()
    } else {
        format!("fuzzed:{first}:")
    };
    assert!(shown.starts_with(&place), "{shown}");
    let is_mistaken = mistakes.iter().any(|mistake| mistake.line == 1);
    assert!(is_mistaken || !shown.contains(SECRET), "{shown}");
    let unprintable = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    assert!(!shown.contains(unprintable), "{shown:?}");
}

fn accepted(config: &Config, text: &str) {
    let mut shown = Vec::new();
    // The files that it names are not there; without them no moment matters.
    let (secrets, now) = (Secrets::default(), Moment::now());
    check::summary(config, &secrets, now, &mut shown).expect("a vector takes what is written");
    let fingerprint = config.fingerprint();
    let shown = String::from_utf8(shown).expect("a summary is text");
    assert!(shown.ends_with(&format!("fingerprint  {fingerprint}\n")));
    let again = Config::parse("fuzzed", text).expect("it was accepted before");
    assert_eq!(again, *config);
    assert_eq!(again.clone().aligned_with(config), again, "its own places");
    assert_eq!(again.fingerprint(), fingerprint);
    for path in paths(config) {
        leads_there_and_back(config, &path);
    }
}

/// Paths at, below and beside every prefix and root.
fn paths(config: &Config) -> Vec<Vec<u8>> {
    let rules = config.routes.rules();
    let ends = rules
        .iter()
        .flat_map(|rule| [Some(rule.prefix()), rule.root()])
        .flatten();
    let tails: [&[u8]; 6] = [b"", b"/", b"/x", b"x", b"//", b"/0000000001"];
    ends.chain([&b"/zookeeper"[..], b"relative"])
        .flat_map(|end| tails.map(|tail| [end, tail].concat()))
        .collect()
}

fn leads_there_and_back(config: &Config, path: &[u8]) {
    let rule = config.routes.route(path);
    assert!(!config.ensemble(rule.ensemble()).servers.is_empty());
    let real = rule.to_real(path);
    let back = config.routes.to_client(rule.ensemble(), &real);
    comes_back(rule, path, back.as_deref());
    let mut line = Vec::new();
    check::routes(config, [path], &mut line).expect("a vector takes what is written");
    assert!(line.starts_with(path) && line.ends_with(b"\n"));
}

fn comes_back(rule: &Rule, path: &[u8], back: Option<&[u8]>) {
    // A mount of a whole ensemble reaches what that keeps for itself, which has no name here.
    let is_system = rule.root() == Some(b"/") && rule.to_real(path).starts_with(b"/zookeeper");
    assert!(
        is_system || back == Some(path),
        "{} comes back as {back:?}",
        path.escape_ascii(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "home: a\nensembles: { a: { servers: [h:1] }, b: { servers: [i:1] } }\n\
                        routes: { /: a, /m: { ensemble: b, root: /n } }\n";

    #[test]
    fn a_good_file_and_a_bad_one_pass() {
        check(GOOD.as_bytes());
        check(b"home: [");
        check(b"listen: nowhere\nunknown: key");
    }

    #[test]
    #[should_panic(expected = "/m/x comes back as None")]
    fn a_path_that_does_not_come_back_is_reported() {
        let config = Config::parse("good", GOOD).unwrap();
        comes_back(config.routes.route(b"/m/x"), b"/m/x", None);
    }

    #[test]
    #[should_panic(expected = "half a place")]
    fn a_mistake_without_a_column_is_reported() {
        let mut error = Config::parse("fuzzed", "listen: x").unwrap_err();
        if let ConfigError::Rejected { mistakes, .. } = &mut error {
            mistakes[0].line = 1;
            mistakes[0].column = 0;
        }
        rejected(&error, "listen: x");
    }

    #[test]
    #[should_panic(expected = "b7c1e9")]
    fn a_line_that_is_shown_without_need_is_reported() {
        let text = format!("# {SECRET}\nlisten: {SECRET}");
        let error = Config::parse("fuzzed", &text).unwrap_err();
        rejected(&error, &text);
    }
}
