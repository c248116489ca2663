//! Forged and policy-breaking tokens over HTTP: all are refused with the same answer, and none makes the gateway call another
//! server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::net::TcpListener;

use super::forge::{By, Mint};
use super::forgeries;
use crate::harness::{Answer, Gateway, UPSTREAM_ENVIRONMENT, client, envelope, upstream};

/// Limits high enough for all calls, because other tests cover the counts of calls and guesses.
const LIMITS: &str = "[limits]\nper_address_per_minute = 1000000\nguesses_per_address = 1000000\n";

/// A method that does not exist. A caller that gets this error has been authenticated.
const CALL: &str = "class=chat&method=nothing";

/// A port that counts connections and answers none of them.
struct Bait {
    address: std::net::SocketAddr,
    connections: Arc<AtomicUsize>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Bait {
    async fn lay() -> Bait {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counting = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                counting.fetch_add(1, Ordering::SeqCst);
            }
        });
        Bait {
            address,
            connections,
            accepting,
        }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Bait {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The way in by which a token comes.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Jwt,
    Soap,
}

async fn call(gateway: &Gateway, client: &reqwest::Client, way: Way, token: &str) -> Answer {
    let request = match way {
        Way::Jwt => client.get(gateway.url(&format!("/api/jwt/?{CALL}"))),
        Way::Soap => client
            .post(gateway.url("/api/soap/"))
            .header("Content-Type", "text/xml")
            .body(envelope("getchats", &[])),
    };
    // As bytes, so that non-ASCII characters can be sent as well.
    let value = reqwest::header::HeaderValue::from_bytes(format!("Bearer {token}").as_bytes());
    Answer::of(request.header("Authorization", value.unwrap())).await
}

/// Returns everything by which a caller can tell two answers apart: all but the request's own id, the time and the number of calls
/// that the address has left.
fn reported(answer: &Answer) -> (u16, String, BTreeMap<String, Vec<String>>) {
    let id = answer.header("x-request-id");
    let mut headers = BTreeMap::<String, Vec<String>>::new();
    for (name, value) in &answer.headers {
        // The connection ends after a fixed number of refusals, whatever their reason.
        if name == "connection" {
            continue;
        }
        let own = matches!(name.as_str(), "x-request-id" | "date" | "ratelimit");
        let value = if own {
            String::new()
        } else {
            value.to_str().unwrap().to_owned()
        };
        headers.entry(name.to_string()).or_default().push(value);
    }
    (answer.status, answer.body.replace(id, "ID"), headers)
}

async fn own_token(gateway: &Gateway) -> String {
    let demo = gateway.demo();
    let form = [("grant_type", "client_credentials")];
    let request = client().post(gateway.url("/oauth/token")).form(&form);
    let answer = Answer::of(request.basic_auth(&demo.client_id, Some(&demo.client_secret))).await;
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_forged_token_is_rejected_with_the_same_answer() {
    let (mint, bait) = (Mint::new(), Bait::lay().await);
    let toml = format!(
        "{LIMITS}{}{}",
        upstream(bait.address),
        mint.as_configuration()
    );
    let toml = format!("{toml}[log]\nlevel = \"debug\"\n");
    let gateway = Gateway::configured(&toml, &[UPSTREAM_ENVIRONMENT]);
    let client = client();
    let own = own_token(&gateway).await;
    let mut forgeries = forgeries::all(&mint, &format!("http://{}", bait.address), &own);
    forgeries.extend(forgeries::expired_and_wrong(&mint));
    let mut wrong = Vec::new();
    for way in [Way::Jwt, Way::Soap] {
        let code = |word: &str| match way {
            Way::Jwt => format!("\"error\":\"{word}\""),
            Way::Soap => format!("<c:code>{word}</c:code>"),
        };
        // Good tokens get as far as the call, which shows that the forged ones are refused because of their forgery.
        for good in [
            mint.claims_with(&json!({})),
            mint.header_with(By::Rsa, &json!({ "typ": "JWT" })),
            own.clone(),
        ] {
            if way == Way::Jwt {
                let body = call(&gateway, &client, way, &good).await.body;
                assert!(body.contains(&code("INCORRECT_METHOD")), "{body}");
            }
        }
        let over = mint.claims_with(&json!({ "exp": mint.now - 3600 }));
        let over = call(&gateway, &client, way, &over).await;
        assert!(
            over.status == 401 && over.body.contains(&code("EXPIRED_TOKEN")),
            "{}",
            over.body
        );
        let uniform = reported(&call(&gateway, &client, way, "a.b.c").await);
        assert!(
            uniform.0 == 401 && uniform.1.contains(&code("INCORRECT_TOKEN")),
            "{}",
            uniform.1
        );
        for (what, token) in &forgeries {
            let answer = reported(&call(&gateway, &client, way, token).await);
            if answer != uniform {
                wrong.push(format!("{what}: {} {}", answer.0, answer.1));
            }
        }
    }
    println!(
        "tokens: {} forged, each by two ways, {} told otherwise than all, {} connections caused",
        forgeries.len(),
        wrong.len(),
        bait.connections()
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(forgeries.len() >= 120);
    assert_eq!(bait.connections(), 0);
}
