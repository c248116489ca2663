//! Tests of the room for receipts: an access that has used up its room is refused in every dialect, but only for sends with a new
//! key, and no other access is affected.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::harness::{Answer, Gateway, admin, client, envelope};

const CALL: [(&str, &str); 5] = [
    ("method", "sendmessage"),
    ("platform", "whatsapp"),
    ("platformid", "100"),
    ("destination", "34600000000"),
    ("message", "m"),
];

/// The least room that may be configured: a hundred receipts, and one for a send that is under way.
const ROOM: &str =
    "[receipts]\nbytes_per_access = \"128KiB\"\n[limits]\nper_address_per_minute = 1000000\n";

/// Number of keyed sends that exceed the room, because every receipt counts with at least 512 bytes.
const SENDS: usize = 128 * 1024 / 512;

/// Returns the same send by every way in, sorted by the ways' names.
fn by_every_way(gateway: &Gateway, token: &str) -> [RequestBuilder; 4] {
    let demo = gateway.demo();
    let credentials = [("user", &*demo.user), ("password", &*demo.password)];
    let form = [&CALL[..], &[("class", "chat")]].concat();
    let post = |path: &str| client().post(gateway.url(path));
    [
        post("/api/basic/")
            .basic_auth(&demo.user, Some(&demo.password))
            .form(&form),
        post("/api/http/").form(&[&form[..], &credentials].concat()),
        post("/api/jwt/").bearer_auth(token).form(&form),
        post("/api/soap/")
            .header("Content-Type", "text/xml")
            .body(envelope(
                "sendmessage",
                &[&CALL[1..], &credentials].concat(),
            )),
    ]
}

async fn token(gateway: &Gateway) -> String {
    let demo = gateway.demo();
    let ask = client().post(gateway.url("/oauth/token"));
    let ask = ask.basic_auth(&demo.client_id, Some(&demo.client_secret));
    let reported = Answer::of(ask.form(&[("grant_type", "client_credentials")])).await;
    reported.json()["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn without_receipt_room_only_sends_with_a_new_key_are_rejected() {
    let gateway = Gateway::configured(ROOM, &[]);
    let token = token(&gateway).await;
    let basic = || {
        let [basic, ..] = by_every_way(&gateway, &token);
        basic
    };
    let mut sent = 0;
    let refused = loop {
        let answer = Answer::of(basic().header("Idempotency-Key", format!("k-{sent}"))).await;
        if answer.status != 200 {
            break answer;
        }
        sent += 1;
        assert!(sent < SENDS, "there is no bound");
    };
    let reported = refused.json();
    assert_eq!(
        (refused.status, &reported["error"], &reported["delivery"]),
        (429, &json!("RATE_LIMITED"), &json!("not_sent"))
    );
    for (n, request) in by_every_way(&gateway, &token).into_iter().enumerate() {
        let refused = Answer::of(request.header("Idempotency-Key", "new")).await;
        // SOAP 1.1 has one status for all faults.
        assert_eq!(
            refused.status,
            if n == 3 { 500 } else { 429 },
            "{n}: {}",
            refused.body
        );
        for word in ["RATE_LIMITED", "not_sent", "retry_after"] {
            assert!(refused.body.contains(word), "{n}: {}", refused.body);
        }
        // The time until the oldest receipt expires, which was made within the last minutes.
        let retry: i64 = refused.header("retry-after").parse().unwrap();
        assert!((86_000..=86_401).contains(&retry), "{n}: {retry}");
    }
    // Sends without a key, with a known key, and by another access still succeed.
    for request in by_every_way(&gateway, &token) {
        assert_eq!(Answer::of(request).await.status, 200);
    }
    let known = Answer::of(basic().header("Idempotency-Key", "k-0")).await;
    assert_eq!(
        (known.status, known.header("idempotent-replayed")),
        (200, "true")
    );
    let draft = json!({"name": "second", "allow": ["127.0.0.1"]});
    let made = admin(&gateway, Method::POST, "accesses", &draft).await;
    let second = client()
        .post(gateway.url("/api/basic/"))
        .basic_auth("second", made.json()["password"].as_str())
        .form(&[&CALL[..], &[("class", "chat")]].concat());
    let second = Answer::of(second.header("Idempotency-Key", "new")).await;
    assert_eq!(second.status, 200);
    let newest = "journal?status=RATE_LIMITED&limit=1";
    let row = admin(&gateway, Method::GET, newest, &Value::Null).await;
    let cause = row.json()["rows"][0]["cause"].clone();
    assert_eq!(cause, "receipts use all of receipts.bytes_per_access");
}
