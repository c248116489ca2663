//! Tests of operators who change the same thing at the same moment: each change is judged by the state that the change before it
//! left.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{Answer, Gateway, admin, client, start_on};

/// Number of concurrent requests.
const AT_ONCE: usize = 10;

/// Number of rounds, because one pair of requests may miss each other.
const ROUNDS: usize = 5;

/// Sends a request with this key and returns the answer.
async fn ask(url: String, method: Method, key: String, body: Value) -> Answer {
    let request = client().request(method, url).bearer_auth(key);
    Answer::of(match body {
        Value::Null => request,
        body => request.body(body.to_string()),
    })
    .await
}

fn url(gateway: &Gateway, path: &str) -> String {
    format!("http://{}/admin/v1/{path}", gateway.admin)
}

fn first_key(gateway: &Gateway) -> String {
    let key = std::fs::read_to_string(gateway.data().join("admin.key")).unwrap();
    key.trim().to_owned()
}

/// Sends the same request many times concurrently and returns the answers by status.
async fn many(gateway: &Gateway, path: &str, body: &Value) -> BTreeMap<u16, Vec<Answer>> {
    let mut asking = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (url, key) = (url(gateway, path), first_key(gateway));
        asking.spawn(ask(url, Method::POST, key, body.clone()));
    }
    let mut answers: BTreeMap<u16, Vec<Answer>> = BTreeMap::new();
    for answer in asking.join_all().await {
        answers.entry(answer.status).or_default().push(answer);
    }
    answers
}

async fn opens(gateway: &Gateway, key: &str) -> bool {
    let answer = ask(
        url(gateway, "status"),
        Method::GET,
        key.to_owned(),
        Value::Null,
    );
    answer.await.status == 200
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_key_rotations_leave_exactly_one_valid_key() {
    let gateway = Gateway::start();
    let first = first_key(&gateway);
    for round in 0..ROUNDS {
        let name = format!("k{round}");
        let draft = json!({"name": name, "role": "operator"});
        let made = many(&gateway, "admin-keys", &draft).await;
        let statuses: Vec<_> = made.iter().map(|(s, all)| (*s, all.len())).collect();
        assert_eq!(statuses, [(201, 1), (409, AT_ONCE - 1)]);
        let path = format!("admin-keys/{name}/rotate");
        let rotated = many(&gateway, &path, &Value::Null).await;
        assert!(
            rotated.keys().all(|status| [200, 409].contains(status)),
            "{:?}",
            rotated.keys()
        );
        // Requests that came one after the other have each rotated the key.
        let keys = rotated[&200].iter();
        let keys = keys.map(|answer| answer.json()["key"].as_str().unwrap().to_owned());
        let mut open = Vec::new();
        for key in keys {
            if opens(&gateway, &key).await {
                open.push(key);
            }
        }
        assert_eq!(open.len(), 1);
        // A rotation concurrent with a deletion does not bring the key back.
        let mut both = JoinSet::new();
        let of_key = url(&gateway, &format!("admin-keys/{name}"));
        both.spawn(ask(of_key, Method::DELETE, first.clone(), Value::Null));
        let rotate = url(&gateway, &path);
        both.spawn(ask(rotate, Method::POST, first.clone(), Value::Null));
        let both = both.join_all().await;
        assert!(both.iter().any(|answer| answer.status == 204));
        for answer in both.iter().filter(|answer| answer.status == 200) {
            let key = answer.json()["key"].as_str().unwrap().to_owned();
            assert!(!opens(&gateway, &key).await, "a deleted key is back");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_deletions_cannot_remove_the_last_two_operator_keys() {
    for _ in 0..ROUNDS {
        let gateway = Gateway::start();
        let first = first_key(&gateway);
        let draft = json!({"name": "second", "role": "operator"});
        let made = admin(&gateway, Method::POST, "admin-keys", draft).await;
        let second = made.json()["key"].as_str().unwrap().to_owned();
        let mut leaving = JoinSet::new();
        let listed = admin(&gateway, Method::GET, "admin-keys", Value::Null).await;
        for key in listed.json()["admin_keys"].as_array().unwrap() {
            let name = key["name"].as_str().unwrap();
            let key = if name == "second" { &second } else { &first };
            let url = url(&gateway, &format!("admin-keys/{name}"));
            leaving.spawn(ask(url, Method::DELETE, key.clone(), Value::Null));
        }
        let left = leaving.join_all().await;
        let mut statuses: Vec<_> = left.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 409]);
        let open = [
            opens(&gateway, &first).await,
            opens(&gateway, &second).await,
        ];
        assert!(open[0] != open[1], "{open:?}");
    }
}

#[tokio::test]
async fn concurrent_commands_add_all_their_networks() {
    let gateway = Gateway::start();
    let count = async |list: &str| {
        let access = admin(&gateway, Method::GET, "accesses/demo", Value::Null).await;
        access.json()[list].as_array().unwrap().len()
    };
    for list in ["deny", "allow"] {
        let before = count(list).await;
        let network = |n: usize| format!("10.0.{n}.0/24");
        let commands =
            (0..AT_ONCE).map(|n| start_on(&gateway, &["access", list, "demo", &network(n)]));
        let commands: Vec<_> = commands.collect();
        for command in commands {
            let (code, lines) = command.ended();
            assert_eq!(code, Some(0), "{}", lines.join("\n"));
        }
        assert_eq!(count(list).await, before + AT_ONCE);
    }
}
