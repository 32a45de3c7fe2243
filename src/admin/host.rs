//! Whether a request was meant for us.
//!
//! A browser lets any web page send requests to the name the page came from, and the owner of that
//! name can let it lead to a loopback address (DNS rebinding). The page would then read what only
//! the operator should. But such a request names the stranger's host in its `Host` header, so only
//! names that are ours are answered. An address is nobody's name.

use std::net::{IpAddr, Ipv6Addr};

use hyper::Request;
use hyper::header::HOST;

/// Whether the host a request asks for is this one: an address, `localhost`, or one of `names`,
/// which are in lower case. Without a name there is nothing to be misled by.
pub(super) fn is_ours<B>(request: &Request<B>, names: &[String]) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let written = match (request.uri().authority(), hosts.next()) {
        // Where the request line says it, that is what counts (RFC 9112, 3.2.2).
        (Some(authority), _) => authority.as_str(),
        (None, Some(host)) => match host.to_str() {
            Ok(host) => host,
            Err(_) => return false,
        },
        (None, None) => return true,
    };
    hosts.next().is_none() && host(written).is_some_and(|host| is_named(host, names))
}

/// The host without its port.
fn host(written: &str) -> Option<&str> {
    let (host, port) = if let Some(rest) = written.strip_prefix('[') {
        let (inner, after) = rest.split_once(']')?;
        inner.parse::<Ipv6Addr>().ok()?;
        (inner, after)
    } else {
        let end = written.find(':').unwrap_or(written.len());
        written.split_at(end)
    };
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let fine = port.is_empty() || port.strip_prefix(':').is_some_and(digits);
    fine.then_some(host)
}

fn is_named(host: &str, names: &[String]) -> bool {
    host.parse::<IpAddr>().is_ok()
        || host.eq_ignore_ascii_case("localhost")
        || names.iter().any(|name| host.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(host: &str) -> bool {
        let request = Request::get("/").header(HOST, host).body(()).unwrap();
        is_ours(&request, &["zoonet.us".to_owned()])
    }

    #[test]
    fn addresses_and_our_names_are_ours() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:9181",
            "10.1.2.3:9181",
            "[::1]",
            "[::1]:9181",
            "localhost",
            "LocalHost:9181",
            "zoonet.us",
            "Zoonet.US:9181",
        ] {
            assert!(asked(host), "{host}");
        }
    }

    #[test]
    fn names_of_others_are_not() {
        for host in [
            "",
            "evil.example",
            "evil.example:9181",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "zoonet.us.evil.example",
            "127.0.0.1@evil.example",
            "[::1].evil.example",
            "[evil.example]",
            "localhost:x",
            "::1",
        ] {
            assert!(!asked(host), "{host}");
        }
    }

    #[test]
    fn the_request_line_overrides_and_two_hosts_are_none() {
        let line = Request::get("http://evil.example/").header(HOST, "localhost");
        assert!(!is_ours(&line.body(()).unwrap(), &[]));
        let two = Request::get("/")
            .header(HOST, "localhost")
            .header(HOST, "localhost");
        assert!(!is_ours(&two.body(()).unwrap(), &[]));
        assert!(
            is_ours(&Request::get("/").body(()).unwrap(), &[]),
            "HTTP/1.0"
        );
    }
}
