//! Tests of invisible characters, and of characters that reverse the text around them, on their way to an operator's terminal: they
//! are shown as escapes, wherever a caller or a file has put them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Gateway, admin, client, run, run_on};

/// Characters that reverse the following text, have no width, or begin a control sequence of a terminal.
const UNSEEN: [char; 4] = ['\u{202e}', '\u{200b}', '\u{2066}', '\u{9b}'];

/// Returns a caller's text with all of them.
fn sly() -> String {
    format!("sly{}end", UNSEEN.iter().collect::<String>())
}

#[track_caller]
fn check(what: &str, said: &str, escaped: &str) {
    assert!(!said.contains(UNSEEN), "{what}: {said:?}");
    assert!(said.contains(escaped), "{what}: {said:?}");
}

#[tokio::test]
async fn commands_escape_invisible_and_direction_changing_characters() {
    let gateway = Gateway::start();
    let draft = json!({"name": "shop", "user": "shop\u{202e}", "note": "a\u{202e}b", "allow": ["127.0.0.0/8"]});
    // A user name in a path or header cannot contain it, but the admin API accepts it.
    let made = admin(&gateway, Method::POST, "accesses", &draft).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let text = r"\u{202e}";
    check(
        "show",
        &run_on(&gateway, &["access", "show", "shop"]).output,
        text,
    );
    check("list", &run_on(&gateway, &["access", "list"]).output, text);
    let json_escape = r"\u202e";
    let shown = run_on(&gateway, &["access", "show", "shop", "--json"]);
    check("show --json", &shown.output, json_escape);
    let read: Value = serde_json::from_str(&shown.output).unwrap();
    assert_eq!(read["note"], "a\u{202e}b");

    let explain = [
        "explain",
        "--peer",
        "127.0.0.1",
        "--access",
        "sly\u{202e}",
        "--method",
        "getchats",
        "--header",
        "X-Forwarded-For: a\u{202e}",
    ];
    let explained = run_on(&gateway, &explain);
    check("explain", &(explained.output + &explained.error), "");
    let wrong = run(&["check", "--listen", "a\u{202e}\u{9b}b"]);
    assert_eq!(wrong.code, Some(64));
    check("check", &wrong.error, r"a\u{202e}\u{9b}b");
    let missing = run_on(&gateway, &["log", "--since", "a\u{202e}"]);
    assert_eq!(missing.code, Some(1));
    check("log --since", &missing.error, text);
}

#[tokio::test]
async fn the_log_and_the_journal_escape_invisible_characters() {
    for (format, escaped) in [
        ("json", r"sly\u202e\u200b\u2066"),
        ("logfmt", r"sly\u202e\u200b\u2066"),
        ("text", r"sly\u202e\u200b\u2066"),
    ] {
        let gateway = Gateway::configured(&format!("[log]\nformat = \"{format}\"\n"), &[]);
        let demo = gateway.demo();
        let call = client().post(gateway.url("/api/basic/"));
        let call = call.basic_auth(&demo.user, Some(&demo.password));
        let call = call.header("User-Agent", sly().as_bytes());
        let answer = Answer::of(
            call.header("X-Request-ID", "sly")
                .body("class=chat&method=getchatchannels"),
        )
        .await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let line = gateway
            .process
            .wait_for("the line", |line| line.contains("sly"));
        check(format, &line, escaped);
        // Colors are for terminals only.
        assert!(!line.contains('\u{1b}'), "{line:?}");
        let rows = run_on(&gateway, &["log", "--request-id", "sly", "--json"]).output;
        check("log --json", &rows, r"sly\u202e\u200b\u2066");
        let row: Value = serde_json::from_str(&rows).unwrap();
        assert_eq!(row["user_agent"], sly().replace('\u{9b}', "\u{fffd}"));
    }
}
