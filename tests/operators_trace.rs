//! Tests of the journal rows that actions and failed actions of admin keys leave: key, action and result, and no secret.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::harness::{Answer, Gateway, admin, client, is_postgres, until};

/// Number of wrong keys that are presented to the admin API and to the console.
const WRONG_KEYS: usize = 40;

const WRONG: &str = "cgk_wrong-wrong-wrong-wrong-wrong-wrong-wrong-w";

fn url(gateway: &Gateway, path: &str) -> String {
    format!("http://{}{path}", gateway.admin)
}

fn form(gateway: &Gateway, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
    client().post(url(gateway, path)).form(fields)
}

async fn by_key(gateway: &Gateway, key: &str, method: Method, path: &str) -> Answer {
    Answer::of(
        client()
            .request(method, url(gateway, path))
            .bearer_auth(key),
    )
    .await
}

/// Returns all rows of operators' actions, oldest first.
async fn rows(gateway: &Gateway) -> Vec<Value> {
    let answer = admin(
        gateway,
        Method::GET,
        "journal?order=oldest&follow=true&limit=1000",
        &Value::Null,
    );
    let rows = answer.await.json()["rows"].as_array().unwrap().clone();
    rows.into_iter()
        .filter(|row| row["kind"] == "operator")
        .collect()
}

fn short(row: &Value) -> String {
    let text = |name: &str| match &row[name] {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    ["actor", "http_method", "path", "status", "code", "cause"]
        .map(text)
        .join(" ")
}

/// Signs in and returns the cookie and the token for forms.
async fn sign_in(gateway: &Gateway, key: &str) -> (String, String) {
    let answer = Answer::of(form(gateway, "/console/sign-in", &[("key", key)])).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let cookie = answer.header("set-cookie").split(';').next().unwrap();
    let page = client().get(url(gateway, "/console/status"));
    let page = Answer::of(page.header("cookie", cookie)).await;
    let token = page.body.split("name=\"token\" value=\"").nth(1).unwrap();
    let token = token.split('"').next().unwrap();
    (cookie.to_owned(), token.to_owned())
}

/// Presses buttons of the console and downloads the journal from it. Returns the session's secrets.
async fn act_at_the_console(gateway: &Gateway, key: &str) -> [String; 2] {
    let (cookie, token) = sign_in(gateway, key).await;
    let send = async |path: &str, fields: &[(&str, &str)]| {
        Answer::of(form(gateway, path, fields).header("cookie", &cookie)).await
    };
    let fields = [("token", token.as_str()), ("revoke", "1")];
    assert_eq!(send("/console/status/rotate", &fields).await.status, 303);
    assert_eq!(send("/console/status/reload", &fields).await.status, 303);
    assert_eq!(send("/console/status/reload", &[]).await.status, 403);
    // A download ends before the moments in which other processes may still write rows.
    until("the rows are settled", async || {
        let settled = "journal?order=oldest&limit=1000";
        let page = admin(gateway, Method::GET, settled, &Value::Null).await;
        page.body.contains("\"/console/status/reload\"") && page.body.contains("\"token\"")
    })
    .await;
    for path in ["/console/journal.csv", "/console/journal.ndjson"] {
        let export = client().get(url(gateway, path)).header("cookie", &cookie);
        let export = Answer::of(export).await;
        assert_eq!(export.status, 200);
        assert!(export.body.contains("/console/status/reload"), "{path}");
    }
    let page = client().get(url(gateway, "/console/journal"));
    let page = Answer::of(page.header("cookie", &cookie)).await.body;
    assert!(page.contains("operator POST /console/status/reload"));
    assert_eq!(send("/console/sign-out", &fields).await.status, 303);
    [cookie, token]
}

/// Acts over the admin API and returns the created keys.
async fn act_over_the_api(gateway: &Gateway, key: &str) -> [String; 2] {
    let ask = async |method, path: &str, body: Value| admin(gateway, method, path, &body).await;
    let nothing = Value::Null;
    let draft = json!({"name": "looker", "role": "viewer"});
    let made = ask(Method::POST, "admin-keys", draft.clone()).await;
    let first = made.json()["key"].as_str().unwrap().to_owned();
    let exists = ask(Method::POST, "admin-keys", draft).await;
    assert_eq!((made.status, exists.status), (201, 409));
    let rotated = ask(Method::POST, "admin-keys/looker/rotate", nothing.clone()).await;
    let second = rotated.json()["key"].as_str().unwrap().to_owned();
    let path = "/admin/v1/keys/rotate";
    let refused = by_key(gateway, &second, Method::POST, path).await;
    let hashes = by_key(gateway, &second, Method::GET, "/admin/v1/export").await;
    assert_eq!((refused.status, hashes.status), (403, 403));
    for (method, path, status) in [
        (Method::POST, "keys/rotate", 200),
        (Method::POST, "reload", 200),
        (Method::GET, "export", 200),
        (Method::GET, "accesses", 200),
        (Method::DELETE, "accesses/nobody", 404),
        (Method::DELETE, "admin-keys/looker", 204),
    ] {
        let answer = ask(method, path, nothing.clone()).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
    }
    let backup = client().post(url(gateway, "/admin/v1/backup"));
    let backup = backup.bearer_auth(key).send().await.unwrap();
    assert_eq!(backup.status(), if is_postgres() { 409 } else { 200 });
    backup.bytes().await.unwrap();
    let lines = client().get(url(gateway, "/admin/v1/journal"));
    let lines = lines
        .bearer_auth(key)
        .header("accept", "application/x-ndjson");
    assert_eq!(Answer::of(lines).await.status, 200);
    [first, second]
}

const BY_THE_API: [&str; 13] = [
    "operator POST /admin/v1/admin-keys 201 - admin key looker created, as viewer",
    "operator POST /admin/v1/admin-keys 409 exists -",
    "operator POST /admin/v1/admin-keys/{name}/rotate 200 - admin key looker rotated, as viewer",
    "looker POST /admin/v1/keys/rotate 403 viewer -",
    "looker GET /admin/v1/export 403 viewer -",
    "operator POST /admin/v1/keys/rotate 200 - a new signing key",
    "operator POST /admin/v1/reload 200 - -",
    "operator GET /admin/v1/export 200 - -",
    "operator DELETE /admin/v1/accesses/{name} 404 no_such_access -",
    "operator DELETE /admin/v1/admin-keys/{name} 204 - admin key looker deleted",
    "operator POST /admin/v1/backup 200 - -",
    "operator GET /admin/v1/journal 200 - -",
    "operator POST /console/sign-in 303 - -",
];

const AT_THE_CONSOLE: [&str; 6] = [
    "operator POST /console/status/rotate 303 - a new signing key; the older keys were revoked",
    "operator POST /console/status/reload 303 - -",
    "operator POST /console/status/reload 403 token -",
    "operator GET /console/journal.csv 200 - -",
    "operator GET /console/journal.ndjson 200 - -",
    "operator POST /console/sign-out 303 - -",
];

#[tokio::test]
async fn every_action_of_a_key_leaves_a_journal_row_without_secrets() {
    let gateway = Gateway::start();
    let key = std::fs::read_to_string(gateway.data().join("admin.key")).unwrap();
    let key = key.trim();
    let made = act_over_the_api(&gateway, key).await;
    let session = act_at_the_console(&gateway, key).await;
    let rows = rows(&gateway).await;
    let shown: Vec<String> = rows.iter().map(short).collect();
    let wanted: Vec<&str> = BY_THE_API.into_iter().chain(AT_THE_CONSOLE).collect();
    // The first operator's key has the name that the store gives it.
    let first = rows[0]["actor"].as_str().unwrap();
    let wanted: Vec<String> = wanted
        .iter()
        .map(|line| line.replacen("operator ", &format!("{first} "), 1))
        // A database is backed up with its own tools.
        .map(|line| match is_postgres() {
            true => line.replace("backup 200 -", "backup 409 conflict"),
            false => line,
        })
        .collect();
    assert_eq!(shown, wanted);
    assert!(
        rows.iter()
            .all(|row| row["client"] == "127.0.0.1" && !row["peer"].is_null())
    );
    let whole = client().get(url(&gateway, "/admin/v1/journal"));
    let whole = whole
        .bearer_auth(key)
        .header("accept", "application/x-ndjson");
    let whole = Answer::of(whole).await.body;
    for secret in made.iter().chain(&session).map(String::as_str).chain([key]) {
        let secret = secret.split('=').next_back().unwrap();
        assert!(!whole.contains(secret), "a secret is in the journal");
    }
}

#[tokio::test]
async fn a_failed_reload_is_journalled_for_admin_api_and_console() {
    let gateway = Gateway::configured("[server]\ndeny = [\"192.0.2.0/24\"]\n", &[]);
    let broken = "[server]\nnothing_of_this_name = 1\n";
    std::fs::write(gateway.folder.path().join("chatgate.toml"), broken).unwrap();
    let refused = admin(&gateway, Method::POST, "reload", &Value::Null).await;
    assert_eq!(refused.status, 422, "{}", refused.body);
    let key = std::fs::read_to_string(gateway.data().join("admin.key")).unwrap();
    let (cookie, token) = sign_in(&gateway, key.trim()).await;
    let refused = form(&gateway, "/console/status/reload", &[("token", &token)]);
    let refused = Answer::of(refused.header("cookie", cookie)).await;
    assert_eq!(refused.status, 422, "{}", refused.body);
    let rows = rows(&gateway).await;
    let failed = rows.iter().filter(|row| row["status"] == 422);
    let failed: Vec<_> = failed.map(|row| (&row["path"], &row["code"])).collect();
    let wanted = ["/admin/v1/reload", "/console/status/reload"].map(Value::from);
    let code = Value::from("invalid");
    assert_eq!(failed, [(&wanted[0], &code), (&wanted[1], &code)]);
}

#[tokio::test]
async fn wrong_keys_share_one_journal_row_with_their_count() {
    let gateway = Gateway::start();
    for _ in 0..WRONG_KEYS {
        let answer = by_key(&gateway, WRONG, Method::GET, "/admin/v1/accesses").await;
        assert!(matches!(answer.status, 401 | 429));
        let sent = form(&gateway, "/console/sign-in", &[("key", WRONG)]);
        assert!(matches!(Answer::of(sent).await.status, 401 | 429));
    }
    // Reading the journal has the counts written first.
    let rows = rows(&gateway).await;
    for path in ["/admin/", "/console/sign-in"] {
        let counted: Vec<_> = rows.iter().filter(|row| row["path"] == path).collect();
        let count: u64 = counted.iter().filter_map(|row| row["count"].as_u64()).sum();
        assert_eq!(count, WRONG_KEYS as u64, "{path}: {rows:?}");
        // A new minute may have begun once.
        assert!(counted.len() <= 2, "{rows:?}");
    }
    assert!(
        rows.iter()
            .all(|row| row["code"] == "unauthorized" && row["client"] == "127.0.0.1")
    );
    assert!(!json!(rows).to_string().contains("cgk_"));
}

/// Number of requests of each kind, more than are listed in one minute.
const REPEATED: usize = 150;

#[tokio::test]
async fn repeated_actions_without_changes_are_listed_and_then_counted() {
    let gateway = Gateway::start();
    let draft = json!({"name": "looker", "role": "viewer"});
    let made = admin(&gateway, Method::POST, "admin-keys", draft).await;
    let viewer = made.json()["key"].as_str().unwrap().to_owned();
    let (cookie, _) = sign_in(&gateway, &viewer).await;
    for _ in 0..REPEATED {
        let path = "/admin/v1/reload";
        let refused = by_key(&gateway, &viewer, Method::POST, path).await;
        assert_eq!(refused.status, 403);
        let export = client().get(url(&gateway, "/console/journal.csv"));
        assert_eq!(
            Answer::of(export.header("cookie", &cookie)).await.status,
            200
        );
        let sent = form(&gateway, "/console/sign-in", &[("key", &viewer)]);
        assert_eq!(Answer::of(sent).await.status, 303);
        let reload = admin(&gateway, Method::POST, "reload", &Value::Null).await;
        assert_eq!(reload.status, 200);
    }
    let rows = rows(&gateway).await;
    let count = |path: &str, actor: &str| {
        let of_path = rows
            .iter()
            .filter(|row| row["path"] == path && (row["actor"] == "looker") == (actor == "looker"));
        let counts: Vec<_> = of_path.map(|row| row["count"].as_u64().unwrap()).collect();
        (counts.len(), counts.iter().sum::<u64>())
    };
    // Two new minutes may have begun. Exports and sign-ins are listed together because they have no code.
    for (path, calls) in [
        ("/admin/v1/reload", REPEATED),
        ("/console/journal.csv", REPEATED),
        ("/console/sign-in", REPEATED + 1),
    ] {
        let (rows, all) = count(path, "looker");
        assert_eq!(all, calls as u64, "{path}");
        assert!(rows < REPEATED, "{path}: {rows} rows");
    }
    // An operator's changes have a row each.
    assert_eq!(
        count("/admin/v1/reload", "first"),
        (REPEATED, REPEATED as u64)
    );
}

#[tokio::test]
async fn wrong_keys_share_one_budget_over_admin_api_and_console() {
    let gateway = Gateway::start();
    let mut statuses = Vec::new();
    for n in 0..3 * WRONG_KEYS {
        let answer = if n % 2 == 0 {
            by_key(&gateway, WRONG, Method::GET, "/admin/v1/accesses").await
        } else {
            Answer::of(form(&gateway, "/console/sign-in", &[("key", WRONG)])).await
        };
        if answer.status == 429 {
            assert!(answer.header("retry-after").parse::<u64>().unwrap() <= 60);
        }
        statuses.push(answer.status);
    }
    // Thirty per minute, and a new minute may have begun once.
    let wrong = statuses.iter().filter(|status| **status == 401).count();
    assert!((30..=60).contains(&wrong), "{statuses:?}");
    let key = std::fs::read_to_string(gateway.data().join("admin.key")).unwrap();
    let right = by_key(&gateway, key.trim(), Method::GET, "/admin/v1/accesses").await;
    assert_eq!(right.status, 200);
}
