//! Tests of one name that is guessed by two ways in: the guess by the first way must not reveal by the second whether the name
//! exists.

use std::fmt::Write as _;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::guessing::seen;
use crate::harness::{Answer, Gateway, admin, client, envelope};

const SECRET: &str = "cgs_across-across-across-across-across-across-a";
const WRONG: &str = "cgs_wrong-wrong-wrong-wrong-wrong-wrong-wrong-w";

/// Every way to present a name and a secret.
const WAYS: [&str; 8] = [
    "parameters in a form",
    "parameters in a query",
    "Basic",
    "SOAP elements",
    "SOAP with Basic",
    "UsernameToken",
    "token endpoint, body",
    "token endpoint, header",
];

fn ask(gateway: &Gateway, way: &str, name: &str) -> reqwest::RequestBuilder {
    let post = |path: &str| {
        client()
            .post(gateway.url(path))
            .header("X-Request-ID", "same")
    };
    let call = [("class", "chat"), ("method", "getchatchannels")];
    let credentials = [("user", name), ("password", WRONG)];
    let grant = ("grant_type", "client_credentials");
    let pair = BASE64_STANDARD.encode(format!("{name}:{WRONG}"));
    let basic = format!("Basic {pair}");
    let soap = |body: String| {
        post("/api/soap/")
            .header("Content-Type", "text/xml")
            .body(body)
    };
    match way {
        "parameters in a form" => post("/api/http/").form(&[call, credentials].concat()),
        "parameters in a query" => post(&format!(
            "/api/http/?class=chat&method=getchatchannels&user={name}&password={WRONG}"
        )),
        "Basic" => post("/api/basic/")
            .header("Authorization", basic)
            .form(&call),
        "SOAP elements" => soap(envelope("getchatchannels", &credentials)),
        "SOAP with Basic" => soap(envelope("getchatchannels", &[])).header("Authorization", basic),
        "UsernameToken" => {
            let token = format!(
                "<s:Header><w:Security xmlns:w=\"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd\">\
                 <w:UsernameToken><w:Username>{name}</w:Username><w:Password>{WRONG}</w:Password></w:UsernameToken>\
                 </w:Security></s:Header><s:Body>"
            );
            soap(envelope("getchatchannels", &[]).replace("<s:Body>", &token))
        }
        "token endpoint, body" => {
            post("/oauth/token").form(&[grant, ("client_id", name), ("client_secret", WRONG)])
        }
        _ => post("/oauth/token")
            .header("Authorization", basic)
            .form(&[grant]),
    }
}

/// Makes two guesses and returns both answers.
async fn guessed(gateway: &Gateway, ways: (&str, &str), name: &str) -> [String; 2] {
    let first = Answer::of(ask(gateway, ways.0, name)).await;
    let second = Answer::of(ask(gateway, ways.1, name)).await;
    for answer in [&first, &second] {
        let is_refusal = [
            "INCORRECT_USER_PASSWORD",
            "TOO_MANY_FAILURES",
            "invalid_client",
            "temporarily_unavailable",
        ];
        assert!(
            is_refusal.iter().any(|word| answer.body.contains(word)),
            "{}",
            answer.body
        );
    }
    [seen(&first), seen(&second)]
}

#[tokio::test]
async fn no_pair_of_ways_in_reveals_whether_a_name_exists() {
    let pairs: Vec<_> = WAYS
        .iter()
        .flat_map(|a| WAYS.iter().map(move |b| (*a, *b)))
        .collect();
    let mut toml = "[limits]\nper_address_per_minute = 1000000\nguesses_per_name = 2\nguesses_per_address = 100000\n".to_owned();
    // Each pair has its own name, as user name and as client id, because a budget can be spent only once.
    for n in 0..2 * pairs.len() {
        write!(
            toml,
            "[[accesses]]\nname = \"real-{n:03}\"\nuser = \"real-{n:03}\"\npassword = \"env:SECRET\"\nallow = [\"any\"]\n"
        )
        .unwrap();
    }
    let gateway = Gateway::configured(&toml, &[("SECRET", SECRET)]);
    let all = admin(&gateway, Method::GET, "accesses", Value::Null)
        .await
        .json();
    let all = all["accesses"].as_array().unwrap();
    assert_eq!(all.len(), 2 * pairs.len());
    let mut distinct = Vec::new();
    for (n, ways) in pairs.iter().enumerate() {
        let user = format!("real-{n:03}");
        let client_id = all[pairs.len() + n]["client_id"].as_str().unwrap();
        let unknown_id = format!("cga_unknown-{n:08}");
        assert_eq!(unknown_id.len(), client_id.len());
        for (real, unknown) in [
            (user.as_str(), format!("none-{n:03}")),
            (client_id, unknown_id),
        ] {
            let known = guessed(&gateway, *ways, real).await;
            if known != guessed(&gateway, *ways, &unknown).await {
                distinct.push(json!([ways.0, ways.1, real]));
            }
        }
    }
    assert!(distinct.is_empty(), "{distinct:#?}");
    println!(
        "{} pairs of ways, two kinds of names: none told apart",
        pairs.len()
    );
}
