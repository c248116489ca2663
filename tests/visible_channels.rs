//! Tests that an access sees only its permitted channels, by every way in and from the cache as well.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Gateway, admin, client, envelope};

const READ: &str = "class=chat&method=getchatchannels";

/// Returns restrictions of an access, each with the ids of the sample channels that the access then sees.
fn bounds() -> [(&'static str, Value, Vec<&'static str>); 6] {
    let whatsapp = json!([{"platform": "whatsapp", "platformid": "100"}]);
    let two = json!([
        {"platform": "webchat", "platformid": "2"}, {"platform": "telegram", "platformid": "200"},
    ]);
    [
        ("all", json!({}), vec!["1", "2", "100", "200", "300"]),
        ("one", json!({"channels": whatsapp}), vec!["100"]),
        ("two", json!({"channels": two}), vec!["2", "200"]),
        ("web", json!({"platforms": ["webchat"]}), vec!["1", "2"]),
        (
            "both",
            json!({"platforms": ["telegram"], "channels": two}),
            vec!["200"],
        ),
        (
            "neither",
            json!({"platforms": ["operator"], "channels": whatsapp}),
            vec![],
        ),
    ]
}

/// Returns the ids in an answer by any way in.
fn seen(body: &str) -> Vec<String> {
    let (begin, end) = if body.starts_with('<') {
        ("<c:platformid>", "<")
    } else {
        ("\"platformid\":\"", "\"")
    };
    let mut rest = body;
    let mut ids = Vec::new();
    while let Some((_, behind)) = rest.split_once(begin) {
        let (id, behind) = behind.split_once(end).unwrap();
        ids.push(id.to_owned());
        rest = behind;
    }
    ids.sort_by_key(|id| id.parse::<u32>().unwrap());
    ids
}

/// Makes the same read by each way in.
async fn by_every_way(gateway: &Gateway, access: &Value) -> Vec<Answer> {
    let text = |name: &str| access[name].as_str().unwrap();
    let (user, password) = (text("user"), text("password"));
    let form = [("grant_type", "client_credentials")];
    let token = client()
        .post(gateway.url("/oauth/token"))
        .basic_auth(text("client_id"), Some(text("client_secret")));
    let token = Answer::of(token.form(&form)).await.json();
    let soap = envelope("getchatchannels", &[("user", user), ("password", password)]);
    let post = |path: &str| client().post(gateway.url(path));
    let http = format!("{READ}&user={user}&password={password}");
    vec![
        Answer::of(post("/api/http/").body(http)).await,
        Answer::of(
            post("/api/basic/")
                .basic_auth(user, Some(password))
                .body(READ),
        )
        .await,
        Answer::of(
            post("/api/jwt/")
                .bearer_auth(token["access_token"].as_str().unwrap())
                .body(READ),
        )
        .await,
        Answer::of(
            post("/api/soap/")
                .header("content-type", "text/xml")
                .body(soap),
        )
        .await,
    ]
}

#[tokio::test]
async fn an_access_sees_only_its_permitted_channels() {
    let gateway = Gateway::start();
    for (name, bound, expected) in bounds() {
        let mut draft = json!({"name": name, "user": name, "allow": ["127.0.0.0/8"]});
        draft
            .as_object_mut()
            .unwrap()
            .extend(bound.as_object().unwrap().clone());
        let made = admin(&gateway, Method::POST, "accesses", draft).await;
        assert_eq!(made.status, 201, "{}", made.body);
        // The second round comes from the cache.
        for _ in 0..2 {
            for answer in by_every_way(&gateway, &made.json()).await {
                assert_eq!(answer.status, 200, "{name}: {}", answer.body);
                assert_eq!(seen(&answer.body), expected, "{name}: {}", answer.body);
            }
        }
    }
}
