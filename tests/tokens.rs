//! Tests of the token endpoint and its documents, and of the tokens of outside issuers.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{Answer, Demo, Gateway, Issuer, accepted, admin, client, envelope};

const CALL: &str = "class=chat&method=getchatchannels";

fn ask(gateway: &Gateway, demo: &Demo, scope: &str) -> reqwest::RequestBuilder {
    client().post(gateway.url("/oauth/token")).form(&[
        ("grant_type", "client_credentials"),
        ("client_id", &demo.client_id),
        ("client_secret", &demo.client_secret),
        ("scope", scope),
    ])
}

async fn token(gateway: &Gateway, scope: &str) -> String {
    let answer = Answer::of(ask(gateway, &gateway.demo(), scope)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

async fn call(gateway: &Gateway, token: &str, call: &str) -> Answer {
    Answer::of(
        client()
            .get(gateway.url(&format!("/api/jwt/?{call}")))
            .bearer_auth(token),
    )
    .await
}

#[tokio::test]
async fn tokens_are_issued_by_form_and_basic_auth_and_are_not_cacheable() {
    let gateway = Gateway::start();
    let demo = gateway.demo();
    let by_form = Answer::of(ask(&gateway, &demo, "getchats sendmessage")).await;
    let basic = client()
        .post(gateway.url("/oauth/token"))
        .basic_auth(&demo.client_id, Some(&demo.client_secret));
    let by_basic = Answer::of(basic.form(&[("grant_type", "client_credentials")])).await;
    for (answer, scope) in [(by_form, "getchats sendmessage"), (by_basic, "chat")] {
        assert_eq!(
            (answer.status, answer.header("cache-control")),
            (200, "no-store"),
            "{}",
            answer.body
        );
        let said = answer.json();
        assert_eq!(
            (&said["token_type"], &said["expires_in"], &said["scope"]),
            (&json!("Bearer"), &json!(3600), &json!(scope))
        );
        assert_eq!(
            call(&gateway, said["access_token"].as_str().unwrap(), CALL)
                .await
                .status,
            if scope == "chat" { 200 } else { 403 }
        );
    }
}

#[tokio::test]
async fn a_token_request_counts_against_the_rate_limit_of_its_access() {
    let gateway = Gateway::start();
    let draft = json!({"name": "seldom", "allow": ["127.0.0.1"], "rate": "2/min"});
    let made = admin(&gateway, reqwest::Method::POST, "accesses", draft).await;
    let made = made.json();
    let text = |field: &str| made[field].as_str().unwrap().to_owned();
    let seldom = Demo {
        client_id: text("client_id"),
        client_secret: text("client_secret"),
        ..gateway.demo()
    };
    for _ in 0..2 {
        let answer = Answer::of(ask(&gateway, &seldom, "chat")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let refused = Answer::of(ask(&gateway, &seldom, "chat")).await;
    assert_eq!(refused.status, 429, "{}", refused.body);
    let wait: u32 = refused.header("retry-after").parse().unwrap();
    assert!((1..=30).contains(&wait), "{wait}");
}

#[tokio::test]
async fn the_token_endpoint_returns_oauth_errors() {
    let gateway = Gateway::start();
    let demo = gateway.demo();
    let wrong = Demo {
        client_secret: "cgs_wrong".to_owned(),
        ..gateway.demo()
    };
    let unknown = Demo {
        client_id: "cga_unknown".to_owned(),
        ..gateway.demo()
    };
    let (a, b) = (
        Answer::of(ask(&gateway, &wrong, "chat")).await,
        Answer::of(ask(&gateway, &unknown, "chat")).await,
    );
    assert_eq!(
        (a.status, a.json()["error"].as_str(), a.body == b.body),
        (401, Some("invalid_client"), true)
    );
    assert_eq!(
        a.header("www-authenticate"),
        "Basic realm=\"chatgate\", charset=\"UTF-8\""
    );
    let error = |answer: Answer| {
        (
            answer.status,
            answer.json()["error"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        )
    };
    assert_eq!(
        error(Answer::of(ask(&gateway, &demo, "everything")).await),
        (400, "invalid_scope".to_owned())
    );
    let grant = client()
        .post(gateway.url("/oauth/token"))
        .form(&[("grant_type", "password")]);
    assert_eq!(error(Answer::of(grant).await).0, 400);
    let get = Answer::of(client().get(gateway.url("/oauth/token"))).await;
    assert_eq!(get.status, 405);
}

#[tokio::test]
async fn metadata_and_keys_are_published_and_tokens_survive_a_restart() {
    let first = Gateway::configured(
        "[server]\npublic_url = \"https://chat.example.com/\"\n",
        &[],
    );
    let metadata = Answer::of(client().get(first.url("/.well-known/oauth-authorization-server")))
        .await
        .json();
    assert_eq!(metadata["issuer"], "https://chat.example.com");
    assert_eq!(
        metadata["token_endpoint"],
        "https://chat.example.com/oauth/token"
    );
    let keys = Answer::of(client().get(first.url("/.well-known/jwks.json")))
        .await
        .json();
    assert_eq!(
        (&keys["keys"][0]["alg"], &keys["keys"][0]["d"]),
        (&json!("EdDSA"), &Value::Null)
    );
    let token = token(&first, "chat").await;
    let folder = std::sync::Arc::clone(&first.folder);
    drop(first);
    let second = Gateway::over(
        folder,
        "[server]\npublic_url = \"https://chat.example.com/\"\n",
        &[],
    );
    assert_eq!(call(&second, &token, CALL).await.status, 200);
}

#[tokio::test]
async fn rs256_tokens_are_signed_and_verified_if_configured() {
    let gateway = Gateway::configured("[jwt]\nalgorithm = \"RS256\"\n", &[]);
    let token = token(&gateway, "chat").await;
    assert_eq!(call(&gateway, &token, CALL).await.status, 200);
    let keys = Answer::of(client().get(gateway.url("/.well-known/jwks.json")))
        .await
        .json();
    assert_eq!(keys["keys"][0]["kty"], "RSA");
}

#[tokio::test]
async fn a_token_works_over_soap_and_a_wrong_one_gets_a_bearer_challenge() {
    let gateway = Gateway::start();
    let token = token(&gateway, "chat").await;
    let soap = |token: &str| {
        let call = client()
            .post(gateway.url("/api/soap/"))
            .header("Content-Type", "text/xml");
        call.bearer_auth(token)
            .body(envelope("getchatchannels", &[]))
    };
    assert!(Answer::of(soap(&token)).await.body.contains("<c:item>"));
    let wrong = Answer::of(soap("a.b.c")).await;
    assert!(
        wrong.status == 401 && wrong.body.contains("<c:code>INCORRECT_TOKEN</c:code>"),
        "{}",
        wrong.body
    );
    assert_eq!(wrong.headers.get_all("www-authenticate").iter().count(), 2);
    let none = call(&gateway, "", CALL).await;
    assert_eq!(
        (none.status, none.json()["error"].as_str()),
        (401, Some("MISSING_TOKEN"))
    );
    let bad = call(&gateway, "a.b.c", CALL).await;
    assert!(
        bad.header("www-authenticate")
            .contains("error=\"invalid_token\"")
    );
}

/// Starts a gateway that fetches the keys of this issuer from this listener.
fn fetching(issuer: &Issuer, listener: &TcpListener) -> Gateway {
    let toml = issuer.as_configuration();
    let line = toml.lines().find(|line| line.starts_with("jwks")).unwrap();
    let address = listener.local_addr().unwrap();
    let fetched = format!("jwks = \"http://{address}/jwks.json\"");
    Gateway::configured(&toml.replace(line, &fetched), &[])
}

/// Answers a request that has been read with this document.
async fn serve(stream: &mut TcpStream, document: &str) {
    let answer = format!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{document}",
        document.len()
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
}

/// Answers one GET with this document and returns the listener.
async fn serve_once(listener: TcpListener, document: &str) -> TcpListener {
    let mut stream = accepted(&listener).await;
    let request = crate::sends::read_request(&mut stream).await;
    assert!(request.starts_with("GET /jwks.json HTTP/1.1"), "{request}");
    serve(&mut stream, document).await;
    listener
}

#[tokio::test]
async fn unknown_keys_cause_no_repeated_fetch_and_known_keys_stay_valid() {
    let (old, new) = (Issuer::new(), Issuer::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = fetching(&old, &listener);
    // The first fetch gets the old key; the gateway makes it by itself or for the first token.
    let listener = serve_once(listener, &old.jwks()).await;
    assert_eq!(
        call(&gateway, &old.token("demo", 300), CALL).await.status,
        200
    );
    // The new key is unknown, and a fetch was just made, so the token is refused without another fetch.
    for _ in 0..20 {
        assert_eq!(
            call(&gateway, &new.token("demo", 300), CALL).await.json()["error"],
            "INCORRECT_TOKEN"
        );
    }
    // A fetch would begin before its caller is refused, so none is waiting here to be accepted.
    let listener = listener.into_std().unwrap();
    assert!(listener.accept().is_err(), "a storm of fetches");
    assert_eq!(
        call(&gateway, &old.token("demo", 300), CALL).await.status,
        200
    );
}

#[tokio::test]
async fn a_call_during_a_key_fetch_waits_for_the_keys() {
    let issuer = Issuer::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = fetching(&issuer, &listener);
    let mut stream = accepted(&listener).await;
    crate::sends::read_request(&mut stream).await;
    let token = issuer.token("demo", 300);
    let request = client()
        .get(gateway.url(&format!("/api/jwt/?{CALL}")))
        .bearer_auth(&token);
    let waiting = tokio::spawn(Answer::of(request));
    // This request is served completely while the call above is on its way.
    assert_eq!(
        Answer::of(client().get(gateway.url("/nothing")))
            .await
            .status,
        404
    );
    serve(&mut stream, &issuer.jwks()).await;
    assert_eq!(waiting.await.unwrap().status, 200);
}
