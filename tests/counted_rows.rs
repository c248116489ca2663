//! Tests of rows that stand for many calls: calls of unauthenticated callers, and refusals after the first one of a minute.

use serde_json::{Value, json};

use crate::harness::{Answer, Gateway, callers_id, client, client_from, made, rows, run_on};
use crate::journal::read;

#[tokio::test]
async fn refusals_of_an_authenticated_access_are_listed_and_then_counted() {
    let gateway = Gateway::start();
    let secret = made(&gateway, json!({"name": "a", "allow": ["127.0.0.2"]})).await;
    for n in 0..100 {
        let answer = read(&gateway, ("a", &secret), [127, 0, 0, 3], &format!("n-{n}")).await;
        assert_eq!(answer.status, 403);
    }
    read(&gateway, ("a", &secret), [127, 0, 0, 2], "served").await;
    let rows = rows(&gateway, "access=a&status=IP_NOT_ALLOWED").await;
    let counts: Vec<_> = rows
        .iter()
        .map(|row| row["count"].as_u64().unwrap())
        .collect();
    // A new minute may have begun in between.
    assert_eq!(counts.iter().sum::<u64>(), 100);
    assert!((61..=100).contains(&counts.len()), "{counts:?}");
    let replayed = [
        "replay",
        "--json",
        "--access",
        "a",
        "--since",
        "1h",
        "--allow",
        "127.0.0.3",
    ];
    let replayed = run_on(&gateway, &replayed).json();
    assert_eq!(
        (&replayed["judged"], &replayed["newly_admitted"]),
        (&json!(101), &json!(100))
    );
}

#[tokio::test]
async fn requests_of_an_unauthenticated_address_share_one_counted_row() {
    let gateway = Gateway::start();
    let caller = client_from([127, 0, 0, 9].into());
    for n in 0..20 {
        let request = caller.get(gateway.url("/nowhere"));
        Answer::of(request.header("X-Request-ID", format!("n-{n}"))).await;
    }
    Answer::of(client().get(gateway.url("/nowhere"))).await;
    let found = rows(&gateway, "ip=127.0.0.9").await;
    let count = |row: &Value| row["count"].as_u64().unwrap();
    assert_eq!(found.iter().map(count).sum::<u64>(), 20);
    // A new minute may have begun in between.
    assert!(found.len() <= 2, "{found:?}");
    assert_eq!(callers_id(&found[0]), Some("n-0"));
    let table = run_on(&gateway, &["log", "--ip", "127.0.0.9"]).output;
    let times = format!("×{} NOT_FOUND", count(&found[0]));
    assert!(table.contains(&times) || count(&found[0]) == 1, "{table}");
    gateway.process.signal("TERM");
    let (_, lines) = gateway.process.ended();
    let parsed = lines
        .iter()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let counted: Vec<_> = parsed
        .filter(|line| line["target"] == "chatgate::counted" && line["network"] == "127.0.0.9")
        .collect();
    let reported: u64 = counted.iter().map(count).sum();
    assert!(reported == 20 || found.len() == 2, "{counted:?}");
    let listed = lines
        .iter()
        .filter(|line| line.contains("\"caller_request_id\":\"n-"));
    assert_eq!(listed.count(), found.len());
}

#[tokio::test]
async fn a_callers_request_id_is_stored_apart_from_the_gateways_id() {
    let gateway = Gateway::start();
    let demo = gateway.demo();
    let user = (demo.user.as_str(), demo.password.as_str());
    let first = read(&gateway, user, [127, 0, 0, 1], "one").await;
    assert_eq!(first.header("x-request-id"), "one");
    let row = &rows(&gateway, "request_id=one").await[0];
    let own = row["request_id"].as_str().unwrap().to_owned();
    assert_eq!(
        (row["caller_request_id"].as_str(), own.len()),
        (Some("one"), 36)
    );
    assert_eq!(gateway.logged("one")["request_id"], own);
    // Another caller uses the id of that row as its own.
    read(&gateway, ("demo", "wrong"), [127, 0, 0, 1], &own).await;
    let found = rows(&gateway, &format!("request_id={own}")).await;
    let ids: Vec<_> = found.iter().map(|row| row["request_id"] == own).collect();
    assert_eq!(ids, [true, false]);
    assert_eq!(found[1]["caller_request_id"], own);
    let table = run_on(&gateway, &["log", "--request-id", &own]).output;
    let lines: Vec<_> = table.lines().skip(1).collect();
    assert!(lines[0].ends_with(&format!("{own} caller: one")), "{table}");
    assert!(lines[1].ends_with(&format!(" caller: {own}")), "{table}");
    // A caller that chose no id gets the gateway's id.
    let unnamed = client().get(gateway.url("/nowhere"));
    let reported = Answer::of(unnamed).await;
    let id = reported.header("x-request-id");
    let row = &rows(&gateway, &format!("request_id={id}")).await[0];
    assert_eq!(
        (row["request_id"].as_str(), &row["caller_request_id"]),
        (Some(id), &Value::Null)
    );
}
