//! Tests that a reader that loses a right gets no event that occurs a second later.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::reading::{SALES, Stream, UNLIMITED, now, warm, write};
use crate::harness::{Answer, Gateway, admin, client, has_line, load, until};

/// How often each right is withdrawn, every day and for a release.
const TIMES: (usize, usize) = (1, 20);

/// Time after the change for which a stream may still deliver events.
const HEARD_FOR: Duration = Duration::from_secs(1);

/// The way in which a right is withdrawn.
#[derive(Clone, Copy, Debug)]
enum Loss {
    Suspended,
    Deleted,
    Expired,
    Secret,
    Network,
    Channel,
    Method,
    Way,
    TokensEnded,
    KeyRetired,
}

const LOSSES: [Loss; 10] = [
    Loss::Suspended,
    Loss::Deleted,
    Loss::Expired,
    Loss::Secret,
    Loss::Network,
    Loss::Channel,
    Loss::Method,
    Loss::Way,
    Loss::TokensEnded,
    Loss::KeyRetired,
];

struct Reader {
    name: String,
    stream: Stream,
}

/// Makes an access and returns its Authorization header.
async fn authorization(gateway: &Gateway, name: &str, by_token: bool) -> String {
    let draft = json!({"name": name, "allow": ["127.0.0.0/8"]});
    let made = admin(gateway, Method::POST, "accesses", draft).await.json();
    let text = |field: &str| made[field].as_str().unwrap().to_owned();
    if by_token {
        let form = [("grant_type", "client_credentials"), ("scope", "getevents")];
        let asked = client().post(gateway.url("/oauth/token")).form(&form);
        let token = Answer::of(asked.basic_auth(text("client_id"), Some(text("client_secret"))))
            .await
            .json();
        format!("Bearer {}", token["access_token"].as_str().unwrap())
    } else {
        format!(
            "Basic {}",
            BASE64_STANDARD.encode(format!("{name}:{}", text("password")))
        )
    }
}

async fn reader(gateway: &Gateway, name: &str, by_token: bool) -> Reader {
    let authorization = authorization(gateway, name, by_token).await;
    let request = client()
        .get(gateway.url("/api/events?cursor=now"))
        .header("Authorization", authorization);
    let mut stream = Stream::open(request).await;
    stream.next().await.unwrap();
    Reader {
        name: name.to_owned(),
        stream,
    }
}

/// Withdraws the right and returns the time of the acknowledgement.
async fn lose(gateway: &Gateway, name: &str, loss: Loss) -> Instant {
    let path = format!("accesses/{name}");
    let patch = |fields: Value| admin(gateway, Method::PATCH, &path, fields);
    let post =
        async |path: String, fields: Value| admin(gateway, Method::POST, &path, fields).await;
    let answer = match loss {
        Loss::Suspended => patch(json!({"state": "suspended"})).await,
        Loss::Deleted => admin(gateway, Method::DELETE, &path, Value::Null).await,
        Loss::Expired => patch(json!({"expires": "2s"})).await,
        Loss::Secret => post(format!("{path}/rotate"), json!({"drop_old": true})).await,
        Loss::Network => patch(json!({"allow": ["192.0.2.0/24"]})).await,
        Loss::Channel => {
            patch(json!({"channels": [{"platform": "telegram", "platformid": "200"}]})).await
        }
        Loss::Method => patch(json!({"methods": ["sendmessage"]})).await,
        Loss::Way => patch(json!({"ways": ["http"]})).await,
        Loss::TokensEnded => post(format!("{path}/revoke-tokens"), Value::Null).await,
        Loss::KeyRetired => post("keys/rotate".to_owned(), json!({"revoke": true})).await,
    };
    assert!(
        (200..300).contains(&answer.status),
        "{loss:?}: {}",
        answer.body
    );
    match loss {
        // The right ends when the access expires.
        Loss::Expired => Instant::now() + Duration::from_secs(2),
        _ => Instant::now(),
    }
}

/// Reads on while a message is written twice a second. Returns the time of the last event after the change, if there was one, and
/// whether the stream ended.
async fn last_event_after(
    gateway: &Gateway,
    reader: &mut Reader,
    lost: Instant,
) -> (Option<Duration>, bool) {
    let mut last = None;
    let mut number = 0;
    while lost.elapsed() < 5 * HEARD_FOR {
        number += 1;
        write(gateway, SALES, &format!("34800{number:06}"), &reader.name).await;
        let until = Instant::now() + Duration::from_millis(500);
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            let frame = tokio::time::timeout(left, reader.stream.next()).await;
            match frame {
                Ok(Some(frame)) if frame.message().is_some() => last = Some(lost.elapsed()),
                Ok(Some(_)) | Err(_) => {}
                Ok(None) => return (last, true),
            }
        }
    }
    (last, false)
}

#[tokio::test]
async fn a_reader_that_loses_a_permission_gets_no_event_a_second_later() {
    let gateway = Gateway::configured(UNLIMITED, &[]);
    let mut stream = Stream::of(&gateway, "").await;
    warm(&gateway, &mut stream).await;
    let mut longest = Duration::ZERO;
    for number in 0..load(TIMES.0, TIMES.1) {
        for loss in LOSSES {
            let name = format!("{loss:?}-{number}").to_lowercase();
            let by_token = matches!(loss, Loss::TokensEnded | Loss::KeyRetired)
                || number % 2 == 1 && !matches!(loss, Loss::Way);
            let mut reader = reader(&gateway, &name, by_token).await;
            write(&gateway, SALES, "34700000001", &name).await;
            // Events of earlier messages may still arrive first.
            while reader.stream.message().await["data"]["message"] != *name {}
            let lost = lose(&gateway, &name, loss).await;
            let (heard, ended) = last_event_after(&gateway, &mut reader, lost).await;
            longest = longest.max(heard.unwrap_or_default());
            assert!(
                heard.is_none_or(|heard| heard <= HEARD_FOR),
                "{loss:?}: {heard:?}"
            );
            // The loss of one channel does not end the stream, because there may be other channels.
            assert_eq!(ended, !matches!(loss, Loss::Channel), "{loss:?}");
        }
    }
    println!(
        "{} kinds of loss, {} times each: the last event {longest:?} after the change",
        LOSSES.len(),
        load(TIMES.0, TIMES.1)
    );
}

/// Requests events after a cursor, with a wait for one.
fn waits(gateway: &Gateway, authorization: &str, cursor: &str) -> JoinHandle<Answer> {
    let is_token = authorization.starts_with("Bearer ");
    let way = if is_token { "jwt" } else { "basic" };
    let form = [
        ("class", "chat"),
        ("method", "getevents"),
        ("cursor", cursor),
        ("wait", "25"),
    ];
    let request = client().post(gateway.url(&format!("/api/{way}/")));
    let request = request.header("Authorization", authorization).form(&form);
    tokio::spawn(Answer::of(request))
}

#[tokio::test]
async fn a_waiting_getevents_call_returns_no_event_after_a_permission_is_revoked() {
    let gateway = Gateway::configured(UNLIMITED, &[]);
    let mut stream = Stream::of(&gateway, "").await;
    warm(&gateway, &mut stream).await;
    let (key, others) = LOSSES.split_last().unwrap();
    // The retired key is the key of all tokens, so this loss has its own round.
    for losses in [others, std::slice::from_ref(key)] {
        write(&gateway, SALES, "34700000002", "Before").await;
        while stream.message().await["data"]["message"] != "Before" {}
        let cursor = now(&gateway).await;
        let mut waiting = Vec::new();
        for loss in losses {
            let name = format!("waiting-{loss:?}").to_lowercase();
            let by_token = matches!(loss, Loss::TokensEnded | Loss::KeyRetired);
            let authorization = authorization(&gateway, &name, by_token).await;
            waiting.push((*loss, name, waits(&gateway, &authorization, &cursor)));
        }
        // In addition to the stream of this test itself.
        let all = format!("chatgate_event_streams {}", waiting.len() + 1);
        until("all wait", async || {
            has_line(&gateway.metrics().await, &all)
        })
        .await;
        let mut lost = Instant::now();
        for (loss, name, _) in &waiting {
            lost = lost.max(lose(&gateway, name, *loss).await);
        }
        until("all is lost", async || lost.elapsed() >= HEARD_FOR).await;
        write(&gateway, SALES, "34700000002", "Lost").await;
        while stream.message().await["data"]["message"] != "Lost" {}
        for (loss, _, answer) in waiting {
            // A reader that has lost one of two channels waits for events of the other.
            until("the answer", async || {
                write(&gateway, ("telegram", "200"), "34700000003", "Kept").await;
                answer.is_finished()
            })
            .await;
            let answer = answer.await.unwrap();
            assert!(!answer.body.contains("Lost"), "{loss:?}: {}", answer.body);
            let is_served = answer.json()["status"] == "SUCCESS";
            let keeps_some = matches!(loss, Loss::Channel);
            assert_eq!(is_served, keeps_some, "{loss:?}: {}", answer.body);
            assert_eq!(answer.body.contains("Kept"), keeps_some, "{}", answer.body);
        }
    }
}
