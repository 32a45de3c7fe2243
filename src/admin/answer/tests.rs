use hyper::header::HOST;

use super::*;

fn asked(method: Method, uri: &str) -> Result<Question, Refused> {
    let request = Request::builder()
        .method(method)
        .uri(uri)
        .header(HOST, "127.0.0.1:9181");
    question(&request.body(()).unwrap(), &[])
}

fn refusal(method: Method, uri: &str) -> Answer {
    asked(method, uri).expect_err("it is refused").answer()
}

#[test]
fn each_endpoint_is_found_under_its_name_and_no_other() {
    for path in INDEX
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next())
    {
        assert!(asked(Method::GET, path).is_ok(), "{path}");
        assert!(asked(Method::HEAD, path).is_ok(), "{path}");
        let longer = format!("{path}x");
        assert_eq!(
            refusal(Method::GET, &longer).status(),
            StatusCode::NOT_FOUND
        );
    }
    let found = asked(Method::GET, "/routes?path=/a").unwrap();
    assert_eq!(
        (found.endpoint, found.query.as_deref()),
        (Endpoint::Routes, Some("path=/a"))
    );
}

#[test]
fn nothing_can_be_changed() {
    for method in [
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::PATCH,
        Method::OPTIONS,
    ] {
        let refused = refusal(method, "/sessions");
        assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(refused.headers()[ALLOW], "GET, HEAD");
    }
}

#[test]
fn a_strangers_name_is_answered_nothing() {
    let request = Request::get("/sessions")
        .header(HOST, "evil.example")
        .body(())
        .unwrap();
    let refused = question(&request, &[]).expect_err("it is refused").answer();
    assert_eq!(refused.status(), StatusCode::MISDIRECTED_REQUEST);
    assert!(question(&request, &["evil.example".to_owned()]).is_ok());
}

#[test]
fn what_needs_no_look_is_there_at_once() {
    for endpoint in [
        Endpoint::Page,
        Endpoint::Style,
        Endpoint::Script,
        Endpoint::Icon,
        Endpoint::Healthz,
    ] {
        assert_eq!(at_once(endpoint).unwrap().status(), StatusCode::OK);
    }
    assert!(at_once(Endpoint::Readyz).is_none());
}

#[test]
fn the_page_refers_to_nothing_but_itself() {
    let page = include_str!("../page/status.html");
    let style = include_str!("../page/status.css");
    let script = include_str!("../page/status.js");
    for (name, text) in [("html", page), ("css", style), ("js", script)] {
        let outside = ["http://", "https://", "//cdn", "@import", "url("];
        for word in outside {
            // The names of SVG and the like are no addresses anybody goes to.
            let text = text.replace("http://www.w3.org/", "");
            assert!(!text.contains(word), "{word} in {name}");
        }
    }
    // The policy forbids both, silently.
    assert!(!page.contains("style=") && !page.contains("<script>"));
    assert!(!page.contains("onclick=") && !script.contains("innerHTML"));
}
