//! What stands behind the question mark of a request.

use thiserror::Error;

use crate::registry::Which;
use crate::wire::SessionId;

/// How many sessions one answer holds at most, and unless told otherwise.
pub(super) const MOST_SESSIONS: usize = 1000;

/// Longest text that is searched for.
const LONGEST_SEARCH: usize = 64;

/// A question that cannot be answered as it was put.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum Misput {
    #[error("`{found}` is not known here; allowed: {allowed}")]
    Unknown { found: String, allowed: String },
    #[error("`{0}` is given twice")]
    Twice(String),
    #[error("`{0}` has a % without two hexadecimal digits behind it")]
    Escape(String),
    #[error("`{0}` is no path: paths begin with `/`")]
    NoPath(String),
    #[error("`{found}` is no limit; allowed: 1 to {MOST_SESSIONS}")]
    Limit { found: String },
    #[error("`{found}` is no state to ask for; allowed: connected, parked")]
    State { found: String },
    #[error("`{found}` is no session id; expected one such as 0x1000024ab3f0001")]
    Session { found: String },
    #[error("nothing can be searched for with {found} characters; allowed: 1 to {LONGEST_SEARCH}")]
    Search { found: usize },
}

/// Names and values, in the order they are asked for; what is not given is `None`.
///
/// A `+` is a plus: paths have them, and nobody types a form here.
pub(super) fn values<const N: usize>(
    query: Option<&str>,
    allowed: [&str; N],
) -> Result<[Option<Vec<u8>>; N], Misput> {
    let mut found = [const { None }; N];
    for pair in query
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
    {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let slot = allowed
            .iter()
            .zip(&mut found)
            .find(|(known, _)| **known == name);
        let Some((_, slot)) = slot else {
            return Err(Misput::Unknown {
                found: name.to_owned(),
                allowed: if N == 0 {
                    "nothing".to_owned()
                } else {
                    allowed.join(", ")
                },
            });
        };
        if slot.replace(unescaped(value)?).is_some() {
            return Err(Misput::Twice(name.to_owned()));
        }
    }
    Ok(found)
}

/// The bytes that percent signs stand for.
fn unescaped(text: &str) -> Result<Vec<u8>, Misput> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = behind
            .get(..2)
            .filter(|two| two.iter().all(u8::is_ascii_hexdigit));
        let byte = digits
            .and_then(|two| std::str::from_utf8(two).ok())
            .and_then(|two| u8::from_str_radix(two, 16).ok());
        bytes.push(byte.ok_or_else(|| Misput::Escape(text.to_owned()))?);
        rest = behind.get(2..).unwrap_or_default();
    }
    Ok(bytes)
}

/// A path as clients see it.
pub(super) fn path(found: Vec<u8>) -> Result<Vec<u8>, Misput> {
    if found.starts_with(b"/") {
        return Ok(found);
    }
    Err(Misput::NoPath(readable(&found)))
}

/// Which sessions are wanted.
pub(super) fn state(found: &[u8]) -> Result<Which, Misput> {
    match found {
        b"connected" => Ok(Which::Connected),
        b"parked" => Ok(Which::Parked),
        _ => Err(Misput::State {
            found: readable(found),
        }),
    }
}

/// How many sessions are wanted.
pub(super) fn limit(found: &[u8]) -> Result<usize, Misput> {
    let number = std::str::from_utf8(found)
        .ok()
        .and_then(|text| text.parse().ok());
    number
        .filter(|number| (1..=MOST_SESSIONS).contains(number))
        .ok_or_else(|| Misput::Limit {
            found: readable(found),
        })
}

/// A session's id in hexadecimal.
pub(super) fn session(found: &[u8]) -> Result<SessionId, Misput> {
    let digits = std::str::from_utf8(found)
        .ok()
        .and_then(|text| text.strip_prefix("0x"));
    digits
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .map(|id| SessionId::from(id.cast_signed()))
        .ok_or_else(|| Misput::Session {
            found: readable(found),
        })
}

/// What is searched for, in lower case.
pub(super) fn search(found: &[u8]) -> Result<String, Misput> {
    let text = readable(found).to_ascii_lowercase();
    if (1..=LONGEST_SEARCH).contains(&text.len()) {
        return Ok(text);
    }
    Err(Misput::Search { found: text.len() })
}

fn readable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_name_and_unescaped() {
        let [path, limit] =
            values(Some("limit=7&path=%2feu%2F%ff+a%20b"), ["path", "limit"]).unwrap();
        assert_eq!(path.unwrap(), b"/eu/\xff+a b");
        assert_eq!(limit.unwrap(), b"7");
        assert_eq!(values(None, ["path"]).unwrap(), [None]);
        assert_eq!(values(Some("path"), ["path"]).unwrap(), [Some(Vec::new())]);
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        fn said(query: &str) -> String {
            let misput = values(Some(query), ["path", "limit"]).unwrap_err();
            misput.to_string()
        }
        assert_eq!(
            said("paht=/"),
            "`paht` is not known here; allowed: path, limit"
        );
        assert_eq!(said("limit=1&limit=2"), "`limit` is given twice");
        for escape in ["%", "%4", "%zz", "%+1"] {
            let query = format!("path={escape}");
            let said = said(&query);
            assert!(said.contains("two hexadecimal digits"), "{said}");
        }
        let said = values(Some("a=b"), []).unwrap_err().to_string();
        assert_eq!(said, "`a` is not known here; allowed: nothing");
    }

    #[test]
    fn each_value_has_its_bounds() {
        assert_eq!(path(b"/a".to_vec()).unwrap(), b"/a");
        assert!(path(b"a".to_vec()).is_err() && path(Vec::new()).is_err());
        assert_eq!((limit(b"1"), limit(b"1000")), (Ok(1), Ok(1000)));
        for wrong in ["0", "1001", "-1", "", "x"] {
            assert!(limit(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert_eq!(state(b"parked"), Ok(Which::Parked));
        assert!(state(b"silent").is_err());
        assert_eq!(session(b"0xffffffffffffffff"), Ok(SessionId::from(-1)));
        for wrong in ["1", "0x", "0x+1", "0x1ffffffffffffffff", "x"] {
            assert!(session(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert_eq!(search(b"0xAB").unwrap(), "0xab");
        assert!(search(b"").is_err() && search(&[b'a'; 65]).is_err());
    }
}
