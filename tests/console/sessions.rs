//! Tests of sessions: how they begin and end, and what another site's page cannot do with them. Idle timeout and maximum life are
//! tested next to the code, where time is a parameter.

use std::collections::HashSet;

use reqwest::Method;
use serde_json::{Value, json};

use super::{Visitor, first_key, sign_in, viewer_key};
use crate::harness::{Answer, Fleet, Gateway, PATIENCE, admin, client};

/// Number of wrong keys in a row.
const GUESSES: usize = 100;

/// Returns the forms that change something, with fields that make the change.
fn changing() -> Vec<(&'static str, Vec<(&'static str, &'static str)>)> {
    let rules = vec![("allow", "any"), ("ways", "http"), ("methods", "getchats")];
    let named = [vec![("name", "other")], rules.clone()].concat();
    // Each version is the one that the forms before have produced.
    vec![
        ("/console/accesses", named),
        ("/console/accesses/demo", rules),
        ("/console/accesses/demo/state", vec![("state", "suspended")]),
        (
            "/console/accesses/demo/rotate",
            vec![("drop_old", "1"), ("version", "4")],
        ),
        ("/console/status/reload", vec![]),
        ("/console/status/rotate", vec![]),
        ("/console/accesses/demo/delete", vec![("version", "5")]),
    ]
}

/// Returns everything that the forms change.
async fn all(gateway: &Gateway) -> [Value; 3] {
    let ask = async |path| admin(gateway, Method::GET, path, &Value::Null).await.json();
    let status = ask("status").await;
    [
        ask("accesses").await,
        ask("keys").await,
        status["last_reload"].clone(),
    ]
}

#[tokio::test]
async fn without_a_session_every_page_redirects_to_sign_in() {
    let gateway = Gateway::start();
    let ask = |path: &str| Answer::of(client().get(format!("http://{}{path}", gateway.admin)));
    for path in ["/", "/console"] {
        let answer = ask(path).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, "/console/")
        );
    }
    for path in [
        "/console/",
        "/console/accesses/demo",
        "/console/journal.csv",
        "/console/journal/events",
        "/console/events",
        "/console/nothing",
    ] {
        let answer = ask(path).await;
        assert_eq!(answer.status, 303, "{path}");
        assert!(
            answer.header("location").starts_with("/console/sign-in"),
            "{path}"
        );
        assert_eq!(answer.body, "", "{path}");
    }
    // Keys are for programs and sessions are for people: the console accepts no key, and the admin API accepts no session.
    let key = first_key(&gateway);
    let by_key = client()
        .get(format!("http://{}/console/status", gateway.admin))
        .bearer_auth(&key);
    assert_eq!(Answer::of(by_key).await.status, 303);
    let visitor = Visitor::first(&gateway).await;
    assert_eq!(visitor.page("/admin/v1/status").await.status, 401);
}

#[tokio::test]
async fn a_form_sent_after_the_session_ended_reports_that_nothing_changed() {
    let gateway = Gateway::start();
    let visitor = Visitor::first(&gateway).await;
    let token = visitor.token().await;
    visitor.send("/console/sign-out-everywhere", &[]).await;
    let before = all(&gateway).await;
    let from = format!("http://{}/console/accesses/demo?way=jwt", gateway.admin);
    let back = "/console/accesses/demo?way=jwt";
    let asks_to_sign_in = async |address: &str, said: usize, next: &str| {
        let page = visitor.page(address).await;
        let text = "Your session has ended. Nothing was changed.";
        assert_eq!(page.body.matches(text).count(), said, "{}", page.body);
        let next = format!("name=\"next\" value=\"{next}\"");
        assert!(page.body.contains(&next), "{}", page.body);
    };
    for (path, mut fields) in changing() {
        fields.push(("token", &token));
        let form = || visitor.form(path, &fields).header("referer", &from);
        let answer = Answer::of(form()).await;
        assert_eq!(answer.status, 303, "{path}");
        asks_to_sign_in(answer.header("location"), 1, back).await;
        // htmx would put the answer into the open page; this header makes it open another page instead.
        let answer = Answer::of(form().header("hx-request", "true")).await;
        assert_eq!((answer.status, &*answer.body), (200, ""), "{path}");
        asks_to_sign_in(answer.header("hx-redirect"), 1, back).await;
    }
    let piece = visitor.get("/console/accesses?q=de");
    let piece = piece.header("hx-request", "true");
    let answer = Answer::of(piece.header("hx-current-url", &from)).await;
    asks_to_sign_in(answer.header("hx-redirect"), 1, back).await;
    for elsewhere in ["https://example.com/there", "nowhere"] {
        let form = visitor.form("/console/status/reload", &[("token", &token)]);
        let answer = Answer::of(form.header("referer", elsewhere)).await;
        asks_to_sign_in(answer.header("location"), 1, "/console/").await;
    }
    // A request that only opens a page changes nothing anyway, so the text is left out.
    let answer = visitor.page("/console/journal?since=1d").await;
    asks_to_sign_in(answer.header("location"), 0, "/console/journal?since=1d").await;
    assert_eq!(all(&gateway).await, before);
}

#[tokio::test]
async fn signing_in_never_adopts_a_session_id_from_the_browser() {
    let gateway = Gateway::start();
    let key = first_key(&gateway);
    let chosen = "chatgate_session=cgs_chosen-by-somebody-else";
    let answer = sign_in(&gateway, &key, Some(chosen)).await;
    let line = answer.header("set-cookie").to_owned();
    assert!(!line.contains("chosen"), "{line}");
    for wanted in ["HttpOnly", "SameSite=Strict", "Path=/console"] {
        assert!(line.contains(wanted), "{wanted}: {line}");
    }
    let fixed = Visitor {
        gateway: &gateway,
        cookie: chosen.to_owned(),
    };
    assert_eq!(fixed.page("/console/").await.status, 303);
    // Signing in again ends the earlier session of this browser, and every session has its own id.
    let first = Visitor {
        gateway: &gateway,
        cookie: line.split(';').next().unwrap().to_owned(),
    };
    assert_eq!(first.page("/console/").await.status, 200);
    let again = sign_in(&gateway, &key, Some(&first.cookie)).await;
    assert_ne!(again.header("set-cookie"), line);
    assert_eq!(first.page("/console/").await.status, 303);
    // With two cookies of this name neither is accepted, because a neighboring host may have set one of them.
    let second = again.header("set-cookie").split(';').next().unwrap();
    let both = Visitor {
        gateway: &gateway,
        cookie: format!("{chosen}; {second}"),
    };
    assert_eq!(both.page("/console/").await.status, 303);
}

#[tokio::test]
async fn signing_out_everywhere_ends_every_session_of_the_key_and_no_other() {
    let gateway = Gateway::start();
    let viewer = viewer_key(&gateway).await;
    let (one, two) = (
        Visitor::first(&gateway).await,
        Visitor::first(&gateway).await,
    );
    let three = Visitor::first(&gateway).await;
    let other = Visitor::of(&gateway, &viewer).await;
    let left = one.send("/console/sign-out", &[]).await;
    assert!(left.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(one.page("/console/").await.status, 303);
    assert_eq!(two.page("/console/").await.status, 200);
    assert_eq!(
        two.send("/console/sign-out-everywhere", &[]).await.status,
        303
    );
    for (visitor, status) in [(&two, 303), (&three, 303), (&other, 200)] {
        assert_eq!(visitor.page("/console/").await.status, status);
    }
}

#[tokio::test]
async fn rotating_or_deleting_an_admin_key_ends_its_sessions() {
    let gateway = Gateway::start();
    let visitor = Visitor::of(&gateway, &viewer_key(&gateway).await).await;
    assert_eq!(visitor.page("/console/").await.status, 200);
    let rotated = admin(
        &gateway,
        Method::POST,
        "admin-keys/looker/rotate",
        &json!({}),
    )
    .await
    .json();
    assert_eq!(visitor.page("/console/").await.status, 303);
    let visitor = Visitor::of(&gateway, rotated["key"].as_str().unwrap()).await;
    assert_eq!(visitor.page("/console/").await.status, 200);
    admin(&gateway, Method::DELETE, "admin-keys/looker", &Value::Null).await;
    assert_eq!(visitor.page("/console/").await.status, 303);
}

#[tokio::test]
async fn a_form_without_its_token_or_from_another_site_changes_nothing() {
    let gateway = Gateway::start();
    let visitor = Visitor::first(&gateway).await;
    let other = Visitor::first(&gateway).await.token().await;
    let token = visitor.token().await;
    let before = all(&gateway).await;
    let mut forms = changing();
    forms.extend([
        ("/console/sign-out", vec![]),
        ("/console/sign-out-everywhere", vec![]),
        ("/console/accesses/demo/preview", vec![]),
    ]);
    for (path, fields) in forms {
        for wrong in ["", "wrong", &other] {
            let fields: Vec<_> = fields.iter().copied().chain([("token", wrong)]).collect();
            assert_eq!(
                Answer::of(visitor.form(path, &fields)).await.status,
                403,
                "{path} {wrong}"
            );
        }
        assert_eq!(
            Answer::of(visitor.form(path, &fields)).await.status,
            403,
            "{path}"
        );
        let fields: Vec<_> = fields.iter().copied().chain([("token", &*token)]).collect();
        for (name, value) in [
            ("origin", "https://elsewhere.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            let form = visitor.form(path, &fields).header(name, value);
            assert_eq!(Answer::of(form).await.status, 403, "{path} {name}: {value}");
        }
    }
    let form = client().post(format!("http://{}/console/sign-in", gateway.admin));
    let form = form
        .form(&[("key", first_key(&gateway))])
        .header("origin", "https://elsewhere.example");
    assert_eq!(
        Answer::of(form).await.status,
        403,
        "nobody is signed in by somebody else"
    );
    assert_eq!(all(&gateway).await, before);
    assert_eq!(
        visitor.page("/console/").await.status,
        200,
        "and nobody is signed out"
    );
}

#[tokio::test]
async fn a_viewer_cannot_change_anything_with_any_form() {
    let gateway = Gateway::start();
    let viewer = Visitor::of(&gateway, &viewer_key(&gateway).await).await;
    let before = all(&gateway).await;
    for (path, fields) in changing() {
        let answer = viewer.send(path, &fields).await;
        assert_eq!(answer.status, 403, "{path}");
        assert!(answer.body.contains("may read but not change"), "{path}");
    }
    assert_eq!(all(&gateway).await, before);
    // The same forms succeed for an operator, so the viewer was refused because of the role.
    let operator = Visitor::first(&gateway).await;
    for (path, fields) in changing() {
        let answer = operator.send(path, &fields).await;
        assert!(
            matches!(answer.status, 200 | 201 | 303),
            "{path}: {}",
            answer.status
        );
    }
    for (now, before) in all(&gateway).await.iter().zip(&before) {
        assert_ne!(now, before);
    }
}

#[tokio::test]
async fn every_console_answer_forbids_framing_and_foreign_content() {
    let gateway = Gateway::start();
    let visitor = Visitor::first(&gateway).await;
    for path in [
        "/",
        "/console/",
        "/console/sign-in",
        "/console/nothing",
        "/console/assets/console.css",
        "/console/journal.csv",
        "/console/accesses/missing",
        "/console/accesses/demo/delete",
    ] {
        let answer = visitor.page(path).await;
        let policy = answer.header("content-security-policy");
        for wanted in [
            "default-src 'none'",
            "frame-ancestors 'none'",
            "script-src 'self'",
            "base-uri 'none'",
            "form-action 'self'",
        ] {
            assert!(policy.contains(wanted), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        if !path.contains("assets") {
            assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        }
    }
}

#[tokio::test]
async fn console_error_pages_are_html_with_navigation() {
    let gateway = Gateway::start();
    let visitor = Visitor::of(&gateway, &viewer_key(&gateway).await).await;
    for (path, status) in [
        ("/console/nothing", 404),
        ("/console/accesses/missing", 404),
        ("/console/journal/rows/0", 404),
        ("/console/accesses/demo/rotate", 405),
        ("/console/sign-out", 405),
        ("/console/accesses/new", 403),
    ] {
        let answer = visitor.page(path).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(
            answer.header("content-type").starts_with("text/html"),
            "{path}"
        );
        assert!(answer.body.contains("href=\"/console/journal\""), "{path}");
        assert_eq!(answer.header("allow") == "POST", status == 405, "{path}");
    }
}

#[tokio::test]
async fn a_hundred_wrong_keys_get_uniform_answers_and_are_rate_limited() {
    let gateway = Gateway::start();
    let key = first_key(&gateway);
    let mut answers = HashSet::new();
    let mut refused = 0;
    for n in 0..GUESSES {
        // Near misses too: no answer may show how much of a key is right.
        let wrong = match n % 4 {
            0 => format!("cgk_{n}"),
            1 => format!("{}{n}", &key[..key.len() - 3]),
            2 => String::new(),
            _ => "first".to_owned(),
        };
        let answer = sign_in(&gateway, &wrong, None).await;
        assert_eq!(answer.header("set-cookie"), "");
        assert!(matches!(answer.status, 401 | 429), "{}", answer.status);
        if answer.status == 429 {
            refused += 1;
            assert_ne!(answer.header("retry-after"), "");
        }
        answers.insert((answer.status, answer.body));
    }
    // A new minute may begin in between, and with it a new count.
    assert!(refused >= GUESSES - 2 * 30, "{refused}");
    assert_eq!(
        answers.len(),
        2,
        "one answer for a wrong key, one for too many"
    );
    println!("wrong keys: {GUESSES} tried, {refused} of them not even looked at");
    // Requests of programs are not delayed by it.
    let status = admin(&gateway, Method::GET, "status", &Value::Null).await;
    assert_eq!(status.status, 200);
}

#[tokio::test]
async fn a_session_in_a_database_ends_after_idle_timeout_and_maximum_life() {
    const IDLE_S: u32 = 30 * 60;
    const LIFE_S: u32 = 12 * 3600;
    let Some(fleet) = Fleet::of(1, "") else {
        return;
    };
    let gateway = &fleet.gateways[0];
    // Moves a time of the sessions back, as if this many seconds had passed.
    let earlier = |column: &str, seconds: u32| {
        fleet.sql(&format!(
            "UPDATE chatgate.sessions SET {column} = {column} - {seconds}"
        ));
    };
    let status = async |visitor: &Visitor<'_>| visitor.page("/console/status").await.status;
    let visitor = Visitor::first(gateway).await;
    for _ in 0..2 {
        earlier("used", IDLE_S - 120);
        assert_eq!(status(&visitor).await, 200, "use keeps it from idling");
    }
    // Each keep-alive but the first comes after a check that the session exists. The check does not count as use, and neither does
    // a browser that reopens the events of a page.
    earlier("used", IDLE_S - 120);
    let events = visitor.get("/console/journal/events");
    let events = events.header("accept", "text/event-stream");
    let mut tail = events.send().await.unwrap();
    for _ in 0..3 {
        let chunk = tokio::time::timeout(PATIENCE, tail.chunk()).await;
        chunk.expect("keep-alives").unwrap().expect("it goes on");
    }
    earlier("used", 120);
    assert_eq!(status(&visitor).await, 303);
    let ended = tokio::time::timeout(PATIENCE, tail.text()).await;
    let last = ended.expect("the end of the open page").unwrap();
    assert!(last.contains("event: bye"), "{last}");

    let visitor = Visitor::first(gateway).await;
    earlier("began", LIFE_S - 120);
    assert_eq!(status(&visitor).await, 200);
    earlier("began", 120);
    assert_eq!(status(&visitor).await, 303, "use does not prolong its life");
}
