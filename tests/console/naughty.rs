//! Strangers' texts as message, user name, user agent and file URL: every page shows them as text, and no table contains them as a
//! formula.

use reqwest::Method;
use serde_json::{Value, json};

use super::strings::strings;
use super::{Visitor, browse, first_key};
use crate::harness::{Answer, Gateway, admin, admin_request, client, load};

/// Least number of distinct strings.
const STRINGS_MIN: usize = 515;

/// The daily run tries one string in this many, because neighboring strings are mostly variants of each other.
const SAMPLED_OF: usize = 5;

/// The test makes many calls, which must not reach a rate limit.
const UNLIMITED: &str = "[limits]\nper_address_per_minute = 1000000\n";

/// Makes a call by Basic, with `agent` as the user agent if a header can carry it.
async fn call(
    gateway: &Gateway,
    client: &reqwest::Client,
    fields: &[(&str, &str)],
    agent: &str,
) -> Answer {
    let demo = gateway.demo();
    let mut request = client
        .post(gateway.url("/api/basic/"))
        .basic_auth(demo.user, Some(demo.password))
        .form(
            &[
                &[
                    ("class", "chat"),
                    ("platform", "whatsapp"),
                    ("platformid", "100"),
                    ("destination", "34600000000"),
                ],
                fields,
            ]
            .concat(),
        );
    if let Ok(agent) = reqwest::header::HeaderValue::from_bytes(agent.as_bytes()) {
        request = request.header("user-agent", agent);
    }
    Answer::of(request).await
}

/// The number of accepted strings, by place.
#[derive(Default, Debug)]
struct Taken {
    messages: usize,
    files: usize,
    agents: usize,
    users: usize,
    filters: usize,
}

async fn send_all(gateway: &Gateway, strings: &[String]) -> Taken {
    let http = client();
    let mut taken = Taken::default();
    for (index, text) in strings.iter().enumerate() {
        let sent = call(
            gateway,
            &http,
            &[("method", "sendmessage"), ("message", text)],
            text,
        )
        .await;
        taken.messages += usize::from(sent.json()["status"] == "SUCCESS");
        taken.agents +=
            usize::from(reqwest::header::HeaderValue::from_bytes(text.as_bytes()).is_ok());
        let url = format!("https://files.example/{text}");
        let file = [
            ("method", "sendfile"),
            ("type", "image"),
            ("fileurl", &*url),
            ("message", "x"),
        ];
        taken.files +=
            usize::from(call(gateway, &http, &file, "plain").await.json()["status"] == "SUCCESS");
        let draft = json!({"name": format!("n{index}"), "user": text, "owner": text, "note": text, "allow": ["192.0.2.1"]});
        let request = admin_request(&http, gateway, Method::POST, "accesses", &draft);
        taken.users += usize::from(Answer::of(request).await.status == 201);
    }
    // An answer returns the messages, and the journal stores that answer completely.
    call(gateway, &http, &[("method", "getmessages")], "plain").await;
    call(gateway, &http, &[("method", "getunreadmessages")], "plain").await;
    taken
}

/// Returns the cells of a table (RFC 4180).
fn cells(text: &str) -> Vec<Vec<String>> {
    let mut rows = vec![vec![String::new()]];
    let (mut is_quoted, mut chars) = (false, text.chars().peekable());
    while let Some(c) = chars.next() {
        let row = rows.last_mut().unwrap();
        match c {
            '"' if is_quoted && chars.peek() == Some(&'"') => {
                chars.next();
                row.last_mut().unwrap().push('"');
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => row.push(String::new()),
            '\r' if !is_quoted => {}
            '\n' if !is_quoted => rows.push(vec![String::new()]),
            c => row.last_mut().unwrap().push(c),
        }
    }
    rows.pop();
    rows
}

async fn check_table(visitor: &Visitor<'_>, rows_min: usize) -> usize {
    let table = visitor.page("/console/journal.csv").await;
    assert_eq!(
        table.header("content-disposition"),
        "attachment; filename=\"journal.csv\""
    );
    let rows = cells(&table.body);
    assert!(rows.len() > rows_min, "{}", rows.len());
    let agent = rows[0]
        .iter()
        .position(|name| name == "user_agent")
        .unwrap();
    let mut neutralised = 0;
    for row in &rows {
        assert_eq!(row.len(), rows[0].len(), "{row:?}");
        for cell in row {
            let seen = cell.trim_start_matches(|c: char| {
                c.is_whitespace()
                    || c.is_control()
                    || ('\u{200b}'..='\u{200f}').contains(&c)
                    || ('\u{202a}'..='\u{202e}').contains(&c)
                    || c == '\u{feff}'
            });
            assert!(
                !seen.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠', '|', '%']),
                "{cell:?}"
            );
        }
        neutralised += usize::from(row[agent].starts_with('\''));
    }
    neutralised
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_shows_strangers_text_and_never_executes_it() {
    let strings = strings();
    let mut apart = strings.clone();
    apart.sort();
    apart.dedup();
    assert!(apart.len() >= STRINGS_MIN, "{}", apart.len());
    let apart: Vec<_> = apart.into_iter().step_by(load(SAMPLED_OF, 1)).collect();
    let gateway = Gateway::configured(UNLIMITED, &[]);
    let full = json!({"journal": "full"});
    admin(&gateway, Method::PATCH, "accesses/demo", &full).await;
    let mut taken = send_all(&gateway, &apart).await;
    let visitor = Visitor::first(&gateway).await;
    // Input fields of the pages show the entered text again.
    for text in &apart {
        let value: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        for page in [
            "accesses?q",
            "journal?access",
            "journal?ip",
            "explain?access=demo&peer",
            "explain?peer=127.0.0.1&headers",
        ] {
            let answer = visitor.page(&format!("/console/{page}={value}")).await;
            assert!(
                matches!(answer.status, 200 | 400),
                "{page} {text:?}: {}",
                answer.status
            );
            // The journal's chart of the last hours is our own SVG, and the only one on these pages.
            let body = answer.body.replace("<svg viewBox=\"0 0 720 160\" ", "");
            for piece in [
                "<script>alert",
                "<img src=x",
                "<svg",
                "onload=alert(1)>",
                "<iframe",
            ] {
                assert!(!body.contains(piece), "{page} {text:?} {piece}");
            }
            taken.filters += 1;
        }
    }
    let neutralised = check_table(&visitor, 2 * apart.len()).await;
    assert!(neutralised >= load(4, 20), "{neutralised}");
    let rows = admin(&gateway, Method::GET, "journal?limit=1", &Value::Null).await;
    assert_eq!(rows.status, 200);
    println!(
        "naughty strings: {} of {} forms, {taken:?}, {neutralised} user agents no formula",
        apart.len(),
        strings.len()
    );
    let environment = [
        ("CONSOLE_URL", format!("http://{}", gateway.admin)),
        ("CONSOLE_KEY", first_key(&gateway)),
        ("CONSOLE_STRINGS", json!(apart).to_string()),
    ];
    browse("console_naughty.js", &environment);
}
