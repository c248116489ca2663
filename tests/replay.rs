//! Tests of proposed networks that are judged by the journal's calls.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Gateway, admin, made, run_on};
use crate::journal::read;

#[tokio::test]
async fn a_replay_predicts_the_effect_of_a_network_change() {
    let gateway = Gateway::start();
    let secret = made(
        &gateway,
        json!({"name": "a", "allow": ["127.0.0.2", "127.0.0.3"]}),
    )
    .await;
    let user = ("a", secret.as_str());
    let sources = [[127, 0, 0, 2], [127, 0, 0, 3], [127, 0, 0, 4]];
    let mut before = Vec::new();
    for (n, from) in sources.into_iter().enumerate() {
        before.push(
            read(&gateway, user, from, &format!("before-{n}"))
                .await
                .status,
        );
    }
    read(&gateway, user, sources[1], "again").await;
    assert_eq!(before, [200, 200, 403]);

    let proposal = ["--allow", "127.0.0.0/29", "--deny", "127.0.0.3"];
    let mut arguments = vec!["replay", "--json", "--access", "a", "--since", "1h"];
    arguments.extend(proposal);
    let replayed = run_on(&gateway, &arguments).json();
    let counts = ["judged", "refused", "newly_refused", "newly_admitted"]
        .map(|name| replayed[name].as_u64().unwrap());
    assert_eq!(counts, [4, 2, 2, 1]);
    let refused: Vec<_> = replayed["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["caller_request_id"])
        .collect();
    assert_eq!(refused, ["again", "before-1"]);
    let address = &replayed["addresses"][0];
    assert_eq!(
        (&address["address"], &address["refused"]),
        (&json!("127.0.0.3"), &json!(2))
    );

    let change = json!({"allow": ["127.0.0.0/29"], "deny": ["127.0.0.3"]});
    assert_eq!(
        admin(&gateway, Method::PATCH, "accesses/a", change)
            .await
            .status,
        200
    );
    for (n, from) in sources.into_iter().enumerate() {
        let answer = read(&gateway, user, from, &format!("after-{n}")).await;
        let id = json!(format!("before-{n}"));
        assert_eq!(answer.status == 403, refused.contains(&&id), "{from:?}");
    }
}

#[tokio::test]
async fn a_replay_lists_addresses_and_explains_wrong_arguments() {
    let gateway = Gateway::start();
    let secret = made(&gateway, json!({"name": "a", "allow": ["127.0.0.2"]})).await;
    for (from, id) in [([127, 0, 0, 2], "served"), ([127, 0, 0, 4], "refused")] {
        read(&gateway, ("a", &secret), from, id).await;
    }
    let mut arguments = vec!["replay", "--access", "a", "--since", "1h"];
    arguments.extend(["--allow", "any", "--deny", "127.0.0.2"]);
    let table = run_on(&gateway, &arguments).output;
    assert!(
        table.starts_with("1 of 2 calls would have been refused, 1 of them newly; 1 refused"),
        "{table}"
    );
    assert!(
        table.contains("127.0.0.2  1        1      denied by 127.0.0.2/32"),
        "{table}"
    );
    for (wrong, said) in [
        (&["--access", "b", "--since", "1h"][..], "no such access"),
        (
            &["--access", "a", "--since", "1h", "--allow", "127.0.0.1/8"],
            "host bits",
        ),
        (&["--access", "a", "--since", "soon"], "not a time"),
    ] {
        let ran = run_on(&gateway, &[&["replay"], wrong].concat());
        assert!(
            ran.code == Some(1) && ran.error.contains(said),
            "{}",
            ran.error
        );
    }
}
