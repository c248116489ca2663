//! Tests of the erasure of a destination by an operator.

use reqwest::Method;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::harness::{
    Answer, Gateway, PATIENCE, Sandbox, UPSTREAM_ENVIRONMENT, accepted, admin, callers_id, client,
    rows, run_on, until, upstream,
};
use crate::sends::{read_request, send_form};

#[tokio::test]
async fn only_operators_erase_a_destinations_data_and_the_journal_records_it() {
    let sandbox = Sandbox::start();
    let gateway = Gateway::configured(&sandbox.as_upstream(), &[UPSTREAM_ENVIRONMENT]);
    let demo = gateway.demo();
    for destination in ["34600000000", "34999999999"] {
        let form = send_form(&demo, "hello").replace("34600000000", destination);
        let send = client()
            .post(gateway.url("/api/http/"))
            .header("X-Request-ID", destination);
        Answer::of(send.body(form)).await;
    }
    let viewer = json!({"name": "vera", "role": "viewer"});
    let key = admin(&gateway, Method::POST, "admin-keys", viewer)
        .await
        .json();
    let url = format!("http://{}/admin/v1/journal", gateway.admin);
    let by_viewer = |request: reqwest::RequestBuilder| {
        Answer::of(request.bearer_auth(key["key"].as_str().unwrap()))
    };
    assert_eq!(by_viewer(client().get(&url)).await.status, 200);
    let erase = client()
        .post(format!("{url}/erase"))
        .body(r#"{"destination":"34600000000"}"#);
    assert_eq!(by_viewer(erase).await.status, 403);

    let ran = run_on(&gateway, &["journal", "erase", "34600000000"]);
    assert_eq!(
        (ran.code, ran.output.as_str()),
        // The row's parameters and its id, which the caller chose, are erased.
        (Some(0), "The content of 2 rows was erased.\n")
    );
    let rows = rows(&gateway, "").await;
    let parameters = |id: &str| {
        let row = rows.iter().find(|row| callers_id(row) == Some(id)).unwrap();
        row["parameters"].as_str()
    };
    assert_eq!(parameters("(erased)"), None);
    assert!(parameters("34999999999").is_some_and(|shown| shown.contains("…9999")));
    let reported = rows.last().unwrap();
    assert_eq!(
        (&reported["kind"], &reported["actor"]),
        (&json!("erasure"), &json!("first"))
    );
}

#[tokio::test]
async fn one_erasure_runs_at_a_time_and_continues_after_its_operator_disconnects() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = Gateway::configured(
        &upstream(listener.local_addr().unwrap()),
        &[UPSTREAM_ENVIRONMENT],
    );
    let send = client().post(gateway.url("/api/http/"));
    let sending = tokio::spawn(Answer::of(send.body(send_form(&gateway.demo(), "hello"))));
    let mut upstream = accepted(&listener).await;
    read_request(&mut upstream).await;
    // An erasure waits for the send in progress.
    let erase = async || {
        let destination = json!({"destination": "34600000000"});
        admin(&gateway, Method::POST, "journal/erase", destination).await
    };
    let refused = async {
        tokio::select! {
            answer = erase() => answer,
            answer = erase() => answer,
        }
    };
    let refused = timeout(PATIENCE, refused).await.unwrap();
    assert_eq!(refused.status, 409, "{}", refused.body);
    // The operator of the other erasure has disconnected.
    let refused = timeout(PATIENCE, erase()).await.unwrap();
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert!(refused.body.contains("An erasure is in progress"));
    let sent = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"status\":\"SUCCESS\"}";
    upstream.write_all(sent).await.unwrap();
    assert_eq!(sending.await.unwrap().status, 200);
    until("the erasure ends", async || erase().await.status == 200).await;
    let erasures = rows(&gateway, "order=oldest").await;
    let erasures = erasures.iter().filter(|row| row["kind"] == "erasure");
    assert_eq!(erasures.count(), 2);
}
