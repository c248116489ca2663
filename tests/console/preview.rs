//! Compares a preview of limits with calls that were really made.

use reqwest::Method;
use serde_json::{Value, json};

use super::Visitor;
use crate::harness::{Answer, Gateway, Sandbox, UPSTREAM_ENVIRONMENT, admin, client};

/// Returns the lines of a preview, name and count.
fn lines(page: &str) -> Vec<(String, String)> {
    let preview = page.split("id=\"preview\"").nth(1).expect("a preview");
    let list = preview.split("</dl>").next().unwrap();
    let lines = list.split("<dt>").skip(1).map(|line| {
        let (name, rest) = line.split_once("</dt><dd>").unwrap();
        let count = rest.split('<').next().unwrap();
        (name.to_owned(), count.to_owned())
    });
    lines.collect()
}

async fn previewed(visitor: &Visitor<'_>, limits: &[(&str, &str)]) -> (Vec<u64>, String) {
    let rules = [
        ("allow", "any"),
        ("ways", "basic"),
        ("methods", "sendmessage"),
        ("platforms", "all"),
    ];
    let fields = [&rules, limits].concat();
    let answer = visitor
        .send("/console/accesses/demo/preview", &fields)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let beyond = lines(&answer.body).into_iter();
    let beyond = beyond.filter(|(name, _)| name.starts_with("Over the limit"));
    let counts = beyond.map(|(_, count)| count.parse().unwrap()).collect();
    (counts, answer.body)
}

async fn send(gateway: &Gateway, destination: &str) -> Answer {
    let demo = gateway.demo();
    let form = [
        ("class", "chat"),
        ("method", "sendmessage"),
        ("platform", "whatsapp"),
        ("platformid", "100"),
        ("destination", destination),
        ("message", "a"),
    ];
    let request = client().post(gateway.url("/api/basic/"));
    let request = request.basic_auth(&demo.user, Some(&demo.password));
    Answer::of(request.form(&form)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_counts_the_real_calls_that_each_limit_would_reject() {
    let sandbox = Sandbox::start();
    sandbox
        .faults(json!([{"fault": "latency", "ms": 500}]))
        .await;
    let gateway = Gateway::configured(&sandbox.as_upstream(), &[UPSTREAM_ENVIRONMENT]);
    let send = |destination| send(&gateway, destination);
    // Three calls at the same time, of which two go to one destination. Then one more call to that destination, alone.
    let three = tokio::join!(
        send("34600000001"),
        send("34600000001"),
        send("34600000002")
    );
    let four = [three.0, three.1, three.2, send("34600000001").await];
    for answer in &four {
        assert_eq!(answer.json()["status"], "SUCCESS", "{}", answer.body);
    }
    let visitor = Visitor::first(&gateway).await;
    for (limits, beyond) in [
        (&[] as &[_], vec![]),
        (&[("rate", "3")], vec![1]),
        (&[("per_destination", "1")], vec![2]),
        (&[("per_destination", "2")], vec![1]),
        (&[("concurrent", "3")], vec![0]),
        (&[("concurrent", "2")], vec![1]),
        (&[("concurrent", "1")], vec![2]),
        (&[("per_day", "1")], vec![3]),
        // Limits are checked in sequence: a call that one limit refuses is not counted by the next limit.
        (
            &[
                ("rate", "3"),
                ("per_destination", "2"),
                ("concurrent", "2"),
                ("per_day", "2"),
            ],
            vec![1, 0, 1, 0],
        ),
    ] {
        let (counts, page) = previewed(&visitor, limits).await;
        assert_eq!(counts, beyond, "{limits:?}: {page}");
        let refuses = page.contains("The change would reject accepted calls.");
        assert_eq!(refuses, beyond.iter().any(|n| *n > 0), "{limits:?}");
    }
    let (counts, page) = previewed(&visitor, &[("concurrent", "1"), ("report", "limits")]).await;
    assert_eq!(counts, [0; 0], "limits that only report refuse nobody");
    assert!(page.contains("The change would not reject any accepted call."));
    // Erasing removes the text of the messages and their destinations.
    let erased = json!({"destination": "34600000001"});
    let answer = admin(&gateway, Method::POST, "journal/erase", &erased).await;
    assert!(answer.status < 300, "{}", answer.body);
    let (counts, page) = previewed(&visitor, &[("per_destination", "1")]).await;
    assert_eq!(counts, [0]);
    assert!(
        page.contains("The destinations of 3 sends are no longer stored"),
        "{page}"
    );
    let calls = admin(&gateway, Method::GET, "journal?access=demo", &Value::Null).await;
    assert_eq!(
        calls.json()["rows"].as_array().unwrap().len(),
        5,
        "nothing was made or changed"
    );
}
