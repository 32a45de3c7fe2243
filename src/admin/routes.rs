//! `/routes`: where paths go.

use serde::Serialize;

use super::query::{self, Misput};
use crate::config::Config;

/// The answer.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Routes<'a> {
    /// All rules.
    All {
        fingerprint: String,
        home: &'a str,
        rules: Vec<Rule<'a>>,
    },
    /// One path.
    Of {
        path: String,
        ensemble: &'a str,
        /// What it is called there.
        real: String,
        /// The prefix of the rule that won.
        rule: String,
    },
}

/// A rule: a prefix and what it leads to.
#[derive(Serialize)]
pub(super) struct Rule<'a> {
    prefix: String,
    ensemble: &'a str,
    /// What the prefix is called there.
    root: String,
}

impl<'a> Routes<'a> {
    /// # Errors
    /// If the question makes no sense.
    pub(super) fn answer(config: &'a Config, query: Option<&str>) -> Result<Self, Misput> {
        let [path] = query::values(query, ["path"])?;
        let Some(path) = path else {
            return Ok(Self::all(config));
        };
        let path = query::path(path)?;
        let rule = config.routes.route(&path);
        Ok(Self::Of {
            ensemble: &config.ensemble(rule.ensemble()).name,
            real: readable(&rule.to_real(&path)),
            rule: readable(rule.prefix()),
            path: readable(&path),
        })
    }

    fn all(config: &'a Config) -> Self {
        // What no configuration can change is a rule for whoever wonders where a path goes.
        let rules = config.routes.rules().iter().chain([config.routes.system()]);
        Self::All {
            fingerprint: config.fingerprint().to_string(),
            home: &config.ensemble(config.home()).name,
            rules: rules
                .map(|rule| Rule {
                    prefix: readable(rule.prefix()),
                    ensemble: &config.ensemble(rule.ensemble()).name,
                    root: readable(rule.root().unwrap_or_else(|| rule.prefix())),
                })
                .collect(),
        }
    }
}

/// Paths are bytes; those that are no text lose what is none.
fn readable(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn answer(query: Option<&str>) -> Result<Value, Misput> {
        let text = "home: us\nensembles: { eu: { servers: [a:1] }, us: { servers: [b:1] } }\n\
                    routes: { /: us, /old: { ensemble: eu, root: /app } }\n";
        let config = Config::parse("test", text).unwrap();
        Routes::answer(&config, query).map(|found| serde_json::to_value(found).unwrap())
    }

    #[test]
    fn a_path_is_followed() {
        let expected =
            json!({ "path": "/old/x", "ensemble": "eu", "real": "/app/x", "rule": "/old" });
        assert_eq!(answer(Some("path=/old/x")), Ok(expected.clone()));
        assert_eq!(answer(Some("path=%2Fold%2Fx")), Ok(expected));
        assert_eq!(answer(Some("path=/older")).unwrap()["ensemble"], "us");
        assert_eq!(
            answer(Some("path=/zookeeper/quota")).unwrap()["rule"],
            "/zookeeper"
        );
        assert!(answer(Some("path=old")).is_err());
        assert!(answer(Some("limit=1")).is_err());
    }

    #[test]
    fn all_rules_are_listed_with_the_one_nobody_writes() {
        let found = answer(None).unwrap();
        let rule = |prefix, ensemble, root| json!({ "prefix": prefix, "ensemble": ensemble, "root": root });
        let expected = json!([
            rule("/", "us", "/"),
            rule("/old", "eu", "/app"),
            rule("/zookeeper", "us", "/zookeeper")
        ]);
        assert_eq!((&found["rules"], &found["home"]), (&expected, &json!("us")));
        assert_eq!(found["fingerprint"].as_str().unwrap().len(), 16);
    }
}
