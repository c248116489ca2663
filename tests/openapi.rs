//! Tests of the OpenAPI documents: they match the served API, and schemathesis, which makes calls from them, finds nothing.

use std::collections::BTreeSet;
use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Gateway, binary, client, load, repository};
use crate::real_clients::prepared;

/// Minimum number of calls that are made from each document, every day and for a release.
const CASES: (usize, usize) = (300, 10_000);

/// Returns the phases of schemathesis. For a release, it also tries each bound of each parameter, one at a time, which takes longer
/// than all the rest.
fn phases() -> &'static str {
    let phases = [
        "examples,fuzzing,stateful",
        "examples,coverage,fuzzing,stateful",
    ];
    phases[load(0, 1)]
}

/// The calls must not reach a limit.
const UNLIMITED: &str = r#"
[limits]
per_address_per_minute = 100000000
guesses_per_name = 100000000
guesses_per_address = 100000000
"#;

/// The chat API's codes with their real status. Under `compat` a refusal is a 200, so the status would not show whether wrong data
/// or credentials were refused.
const MAPPED: &str = r#"
[ways.http]
status = "mapped"
[ways.basic]
status = "mapped"
"#;

fn first_key(gateway: &Gateway) -> String {
    let key = std::fs::read_to_string(gateway.data().join("admin.key")).unwrap();
    key.trim().to_owned()
}

async fn document(gateway: &Gateway, path: &str) -> Value {
    let url = format!("http://{}{path}", gateway.admin);
    let answer = Answer::of(client().get(url).bearer_auth(first_key(gateway))).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

/// Returns path, method and description of every operation.
fn operations(document: &Value) -> Vec<(&str, Method, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().iter();
        methods.map(move |(method, operation)| {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            (path.as_str(), method, operation)
        })
    });
    operations.collect()
}

// === the documents match the served API ===

#[tokio::test]
async fn the_admin_api_accepts_the_methods_and_keys_that_its_document_names() {
    let gateway = Gateway::start();
    let made = client()
        .post(format!("http://{}/admin/v1/admin-keys", gateway.admin))
        .bearer_auth(first_key(&gateway))
        .body(json!({"name": "looker", "role": "viewer"}).to_string());
    let viewer = Answer::of(made).await.json()["key"]
        .as_str()
        .unwrap()
        .to_owned();
    let document = document(&gateway, "/admin/v1/openapi.json").await;
    let operations = operations(&document);
    assert!(operations.len() >= 25, "{}", operations.len());
    for path in document["paths"].as_object().unwrap().keys() {
        let url = format!("http://{}{}", gateway.admin, path.replace(['{', '}'], ""));
        for method in [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ] {
            let said = operations
                .iter()
                .find(|(p, m, _)| p == path && *m == method);
            let without = Answer::of(client().request(method.clone(), &url)).await;
            let looking =
                Answer::of(client().request(method.clone(), &url).bearer_auth(&viewer)).await;
            let keyed = path.starts_with("/admin/");
            let expected = match said.map(|(_, _, operation)| operation["x-role"].as_str()) {
                None => (if keyed { 401 } else { 405 }, Some(405)),
                Some(None) => {
                    assert!(!keyed, "{method} {path} needs no key");
                    (200, Some(200))
                }
                Some(Some("operator")) => (401, Some(403)),
                Some(Some(_)) => (401, None),
            };
            assert_eq!(without.status, expected.0, "{method} {path} without a key");
            if let Some(status) = expected.1 {
                assert_eq!(looking.status, status, "{method} {path} by a viewer");
            } else {
                let code = looking.json()["code"].clone();
                assert!(
                    ![403, 405].contains(&looking.status) && code != "not_found",
                    "{method} {path}: {}",
                    looking.body
                );
            }
            assert!(
                looking.status != 405 || !looking.header("allow").is_empty(),
                "{method} {path} has no Allow"
            );
        }
    }
}

#[tokio::test]
async fn every_public_path_except_soap_is_documented_and_answers() {
    let gateway = Gateway::start();
    let document = document(&gateway, "/admin/v1/openapi-ways.json").await;
    let operations = operations(&document);
    let said: BTreeSet<_> = operations
        .iter()
        .map(|(path, method, _)| format!("{method} {path}"))
        .collect();
    let expected = [
        "GET /.well-known/jwks.json",
        "GET /.well-known/oauth-authorization-server",
        "GET /api/basic/",
        "GET /api/events",
        "GET /api/http/",
        "GET /api/jwt/",
        "POST /api/basic/",
        "POST /api/http/",
        "POST /api/jwt/",
        "POST /oauth/token",
    ];
    assert_eq!(said, expected.map(str::to_owned).into());
    for (path, method, operation) in operations {
        let answer = Answer::of(client().request(method.clone(), gateway.url(path))).await;
        let status = answer.status.to_string();
        assert!(
            !operation["responses"][&status].is_null(),
            "{method} {path} answers {status}"
        );
        assert_ne!(answer.status, 404);
    }
    assert_eq!(document["servers"][0]["url"], gateway.url(""));
}

#[test]
fn no_route_bypasses_the_openapi_documents() {
    let routed = |folder: &str| {
        let mut places = Vec::new();
        for file in std::fs::read_dir(repository().join(folder)).unwrap() {
            let file = file.unwrap().path();
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            // Pages for people, which have their own sessions.
            if name == "web.rs" {
                continue;
            }
            places.extend(
                text.lines()
                    .filter(|line| line.contains(".route(") || line.contains(".route_as("))
                    .map(|line| format!("{name}: {}", line.trim())),
            );
        }
        places
    };
    assert_eq!(
        routed("crates/console/src/api"),
        ["endpoint.rs: routes.route_as(self.kind, self.path, self.route)"],
        "a path of the admin listener is an `AdminEndpoint` in the list of its file"
    );
    assert_eq!(
        routed("crates/console/src"),
        [
            "routes.rs: self.route_as(RouteKind::Usual, path, methods)",
            "routes.rs: self.router = self.router.route(path, methods);"
        ]
    );
    let paths = std::fs::read_to_string(repository().join("crates/gateway/src/paths.rs")).unwrap();
    let public = paths
        .lines()
        .filter_map(|line| line.strip_prefix("pub(crate) const "))
        .filter_map(|line| line.split_once(": PublicPath"));
    assert_eq!(
        public.map(|(name, _)| name).collect::<Vec<_>>(),
        // The document is one of the pages for people, and unknown paths are refused.
        ["TOKEN", "JWKS", "METADATA", "EVENTS", "DOCS", "UNKNOWN"],
        "a new path of the public listener belongs into docs/src/openapi.rs, and then here"
    );
}

#[tokio::test]
async fn documented_statuses_follow_the_policy_and_a_disabled_way_in_is_omitted() {
    let toml = "[ways.http]\nstatus = \"mapped\"\n[ways.jwt]\nenabled = false\n";
    let (usual, other) = (Gateway::start(), Gateway::configured(toml, &[]));
    let usual = document(&usual, "/admin/v1/openapi-ways.json").await;
    let other = document(&other, "/admin/v1/openapi-ways.json").await;
    let statuses = |document: &Value, path: &str| {
        let responses = document["paths"][path]["post"]["responses"]
            .as_object()
            .unwrap();
        responses.keys().cloned().collect::<Vec<_>>()
    };
    assert!(!statuses(&usual, "/api/http/").contains(&"401".to_owned()));
    assert!(statuses(&usual, "/api/basic/").contains(&"401".to_owned()));
    for status in ["401", "404"] {
        assert!(statuses(&other, "/api/http/").contains(&status.to_owned()));
    }
    assert!(other["paths"]["/api/jwt/"].is_null() && other["paths"]["/oauth/token"].is_null());
}

// === schemathesis ===

/// Returns the document without the path whose answer never ends, because a client would never finish reading it.
fn finite(mut document: Value) -> Value {
    document["paths"]
        .as_object_mut()
        .unwrap()
        .remove("/api/events");
    document
}

/// Makes calls from a document in these phases, with every check except the excluded ones, and prints their number.
async fn run(
    path: &str,
    server: fn(&Gateway) -> String,
    policy: &str,
    phases: &str,
    excluded: &[&str],
) {
    let Some(clients) = prepared() else { return };
    let cases = load(CASES.0, CASES.1);
    let gateway = Gateway::configured(&format!("{UNLIMITED}{policy}"), &[]);
    let document = finite(document(&gateway, path).await);
    let folder = gateway.folder.path();
    let file = folder.join("openapi.json");
    std::fs::write(&file, document.to_string()).unwrap();
    let token = Command::new(binary())
        .args(["token", "--admin", &gateway.admin.to_string(), "--data"])
        .arg(gateway.data())
        .output()
        .unwrap();
    let (token, demo) = (String::from_utf8(token.stdout).unwrap(), gateway.demo());
    let ours = repository().join("tests/clients/schemathesis");
    // Twice as many as are needed, because an operation with few choices gets fewer.
    let for_each = (2 * cases).div_ceil(operations(&document).len());
    let ran = Command::new(clients.join("schemathesis/bin/schemathesis"))
        .arg("--config-file")
        .arg(ours.join("schemathesis.toml"))
        .arg("run")
        .arg(&file)
        // All checks are on by default. If they were named here, they would also apply to operations that the file exempts from
        // some of them.
        .args(["--url", &server(&gateway), "--no-color"])
        .args(["--warnings", "off"])
        .args(["--phases", phases])
        .args(["--max-examples", &for_each.to_string(), "--report", "json"])
        .args(excluded)
        .arg("--report-json-path")
        .arg(folder.join("report.json"))
        .current_dir(folder)
        .env("PYTHONPATH", &ours)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("ADMIN_KEY", first_key(&gateway))
        .env("ACCESS_USER", demo.user)
        .env("ACCESS_PASSWORD", demo.password)
        .env("ACCESS_TOKEN", token.trim())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    let complained = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}\n{complained}");
    let report = std::fs::read_to_string(folder.join("report.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    let (made, all) = (&report["test_cases"], &report["operations"]);
    println!(
        "schemathesis on {path}: seed {}, {} operations, {} cases, {} failures, {} errors",
        report["seed"], all["tested"], made["generated"], made["with_failures"], made["errored"]
    );
    assert_eq!(
        (&made["with_failures"], &made["errored"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(all["tested"], all["total"]);
    assert!(
        made["generated"].as_u64().unwrap() >= cases as u64,
        "{made}"
    );
}

#[tokio::test]
async fn schemathesis_finds_nothing_in_the_admin_api() {
    let server = |gateway: &Gateway| format!("http://{}", gateway.admin);
    // The check presents more wrong keys than the gateway answers as wrong. A test above shows that each operation requires the
    // key.
    let excluded = ["--exclude-checks", "ignored_auth"];
    run("/admin/v1/openapi.json", server, "", phases(), &excluded).await;
}

#[tokio::test]
async fn schemathesis_finds_nothing_in_the_ways_in() {
    let server = |gateway: &Gateway| gateway.url("");
    run("/admin/v1/openapi-ways.json", server, MAPPED, phases(), &[]).await;
}

/// Excludes checks that mean nothing while refusals have status 200; the check that each answer fits the document remains.
#[tokio::test]
async fn schemathesis_finds_nothing_in_the_ways_in_under_the_default_policy() {
    let server = |gateway: &Gateway| gateway.url("");
    let excluded = ["--exclude-checks", "negative_data_rejection,ignored_auth"];
    let phases = "examples,fuzzing";
    run("/admin/v1/openapi-ways.json", server, "", phases, &excluded).await;
}
