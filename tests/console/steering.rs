//! Tests of the operators' actions other than networks and secrets: every field of an access, its deletion, the configuration and
//! the signing keys.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Visitor, viewer_key};
use crate::harness::{Answer, Gateway, admin, client};

/// Returns the fields of an unchanged form as a browser would send them, whichever button is pressed.
pub(super) fn untouched(page: &str, action: &str) -> Vec<(String, String)> {
    let begin = format!("<form method=\"post\" action=\"{action}\"");
    let form = page.split(&begin).nth(1).expect("the form");
    let form = form.split("</form>").next().unwrap();
    let mut fields = Vec::new();
    for piece in form.split('<').skip(1) {
        let attribute = |name: &str| {
            let after = piece.split(&format!(" {name}=\"")).nth(1)?;
            Some(after.split('"').next().unwrap().to_owned())
        };
        let Some(name) = attribute("name").filter(|_| !piece.starts_with("button")) else {
            continue;
        };
        let is_ticked = !piece.contains("type=\"checkbox\"") || piece.contains(" checked");
        let value = match piece.starts_with("textarea") {
            true => piece.split_once('>').map(|(_, text)| text.to_owned()),
            false => attribute("value").filter(|_| is_ticked),
        };
        fields.extend(value.map(|value| (name, value)));
    }
    fields
}

async fn shown(gateway: &Gateway, name: &str) -> Value {
    let path = format!("accesses/{name}");
    let mut access = admin(gateway, Method::GET, &path, &Value::Null)
        .await
        .json();
    access.as_object_mut().unwrap().remove("version");
    access
}

#[tokio::test]
async fn saving_an_untouched_access_form_changes_no_field() {
    let gateway = Gateway::start();
    let visitor = Visitor::first(&gateway).await;
    let everything = json!({"name": "whole", "user": "somebody", "owner": "Shop", "note": "of a kind",
        "allow": ["192.0.2.0/24", "2001:db8::/32"], "deny": ["192.0.2.7/32"], "ways": ["basic"], "methods": ["getchats"],
        "platforms": ["whatsapp", "telegram"], "channels": [{"platform": "whatsapp", "platformid": "100"}, {"platform":
        "telegram", "platformid": "a b"}], "rate": "60/min", "per_day": "1000/day", "per_destination": "3/min",
        "concurrent": 7, "not_before": "2020-01-01T00:00:00Z", "expires": "2099-01-01T00:00:00Z", "report": ["limits"],
        "cache": {"enabled": true, "getchats_s": 0, "getchatchannels_s": 86400}, "journal": "full",
        "query_credentials": false});
    let nothing = json!({"name": "bare", "allow": [], "ways": [], "methods": [], "platforms": [], "channels": [],
        "cache": false});
    let usual = json!({"name": "usual", "allow": ["any"]});
    for access in [everything, nothing, usual] {
        let made = admin(&gateway, Method::POST, "accesses", &access).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let name = access["name"].as_str().unwrap();
        let before = shown(&gateway, name).await;
        let path = format!("/console/accesses/{name}");
        let fields = untouched(&visitor.page(&path).await.body, &path);
        for field in ["token", "version", "user", "channels", "not_before"] {
            assert!(fields.iter().any(|(known, _)| known == field), "{field}");
        }
        let fields: Vec<_> = fields
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        let saved = Answer::of(visitor.form(&path, &fields)).await;
        assert_eq!(saved.status, 303, "{}", saved.body);
        assert_eq!(shown(&gateway, name).await, before);
    }
}

#[tokio::test]
async fn an_access_form_sets_its_fields_and_marks_an_invalid_one() {
    let gateway = Gateway::start();
    let visitor = Visitor::first(&gateway).await;
    let fields = [
        ("user", "renamed"),
        ("allow", "any"),
        ("ways", "http"),
        ("methods", "sendmessage"),
        ("platforms", "webchat"),
        ("platforms", "operator"),
        ("channels", "webchat 1\r\noperator 2"),
        ("not_before", "2020-01-01T00:00:00Z"),
        ("expires", "2099-01-01T00:00:00Z"),
        ("concurrent", "2"),
        ("cache", "1"),
        ("getchats_s", "5"),
    ];
    let saved = visitor.send("/console/accesses/demo", &fields).await;
    assert_eq!(saved.status, 303, "{}", saved.body);
    let access = shown(&gateway, "demo").await;
    let wanted = json!({"user": "renamed", "platforms": ["webchat", "operator"], "concurrent": 2,
        "channels": [{"platform": "webchat", "platformid": "1"}, {"platform": "operator", "platformid": "2"}],
        "not_before": "2020-01-01T00:00:00Z", "expires": "2099-01-01T00:00:00Z",
        "cache": {"enabled": true, "getchats_s": 5}, "query_credentials": false, "journal": "metadata"});
    for (field, value) in wanted.as_object().unwrap() {
        assert_eq!(&access[field], value, "{field}");
    }
    let wrong = [
        ("allow", "any"),
        ("platforms", "all"),
        ("channels", "nothing"),
    ];
    let refused = visitor.send("/console/accesses/demo", &wrong).await;
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("id=\"channels-wrong\""));
    assert_eq!(shown(&gateway, "demo").await, access);
}

#[tokio::test]
async fn deleting_an_access_requires_a_current_confirmation() {
    let gateway = Gateway::start();
    let (visitor, demo) = (Visitor::first(&gateway).await, gateway.demo());
    let viewer = Visitor::of(&gateway, &viewer_key(&gateway).await).await;
    let path = "/console/accesses/demo/delete";
    assert!(
        !viewer
            .page("/console/accesses/demo")
            .await
            .body
            .contains(path)
    );
    assert_eq!(viewer.page(path).await.status, 403);
    assert!(
        visitor
            .page("/console/accesses/demo")
            .await
            .body
            .contains(path)
    );
    let asked = visitor.page(path).await;
    assert!(asked.body.contains("Delete demo?"), "{}", asked.body);
    let fields = untouched(&asked.body, path);
    let fields: Vec<_> = fields
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    // Another operator changes the access in between.
    admin(
        &gateway,
        Method::PATCH,
        "accesses/demo",
        &json!({"note": "still in use"}),
    )
    .await;
    assert_eq!(Answer::of(visitor.form(path, &fields)).await.status, 412);
    assert_eq!(
        visitor.send(path, &[]).await.status,
        412,
        "a version is needed"
    );
    let call = || {
        let request = client().post(gateway.url("/api/basic/"));
        let request = request.basic_auth(&demo.user, Some(&demo.password));
        Answer::of(request.body("class=chat&method=getchats&platform=whatsapp&platformid=100"))
    };
    assert_eq!(call().await.json()["status"], "SUCCESS");
    let asked = visitor.page(path).await;
    let fields = untouched(&asked.body, path);
    let fields: Vec<_> = fields
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    let deleted = Answer::of(visitor.form(path, &fields)).await;
    assert_eq!(deleted.header("location"), "/console/accesses?deleted=demo");
    let list = visitor.page("/console/accesses?deleted=demo").await;
    assert!(list.body.contains("demo is deleted."), "{}", list.body);
    assert_eq!(call().await.json()["error"], "INCORRECT_USER_PASSWORD");
    let page = visitor.page("/console/journal?access=demo").await;
    assert!(page.body.contains("change"), "{}", page.body);
    assert_eq!(visitor.page(path).await.status, 404);
}

#[tokio::test]
async fn the_page_reports_a_deletion_only_of_a_missing_access() {
    let gateway = Gateway::start();
    let visitor = Visitor::first(&gateway).await;
    let page = visitor.page("/console/accesses?deleted=gone").await.body;
    assert!(page.contains("gone is deleted."), "{page}");
    let page = visitor.page("/console/accesses?deleted=demo").await.body;
    assert!(!page.contains("demo is deleted."), "{page}");
    let page = visitor
        .page("/console/accesses?deleted=Call+555.+Everything")
        .await
        .body;
    assert!(!page.contains("is deleted."), "{page}");
}

#[tokio::test]
async fn the_webhook_page_reports_actions_and_shows_no_text_from_the_url() {
    let gateway = Gateway::configured("[webhooks]\nallow_networks = [\"127.0.0.1/32\"]\n", &[]);
    let visitor = Visitor::first(&gateway).await;
    let draft = json!({"access": "demo", "url": "https://127.0.0.1:1/"});
    let made = admin(&gateway, Method::POST, "webhooks", &draft).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let (page, act) = (
        format!("/console/webhooks/{id}"),
        format!("/console/webhooks/{id}/act"),
    );
    for (action, word, said) in [
        ("pause", "pause", "was paused."),
        ("resume", "resume", "was resumed."),
        (
            "dead",
            "again&count=0",
            "was told to redeliver 0 deliveries.",
        ),
    ] {
        let acted = visitor.send(&act, &[("action", action)]).await;
        let location = format!("{page}?done={word}");
        assert_eq!(acted.header("location"), location, "{}", acted.body);
        let shown = visitor.page(&location).await.body;
        assert!(shown.contains(said), "{said}: {shown}");
    }
    let tested = visitor.send(&act, &[("action", "test")]).await;
    assert_eq!(tested.status, 200, "{}", tested.body);
    assert!(tested.body.contains("was tested: "), "{}", tested.body);
    let strange = visitor.page(&format!("{page}?done=broken.+Call+555")).await;
    assert_eq!(strange.status, 200);
    assert!(!strange.body.contains("555"), "{}", strange.body);
}

#[tokio::test]
async fn the_status_page_reloads_the_configuration_and_shows_the_outcome() {
    let gateway = Gateway::configured("[log]\nlevel = \"info\"\n", &[]);
    let visitor = Visitor::first(&gateway).await;
    let file = gateway.folder.path().join("chatgate.toml");
    std::fs::write(&file, "[limits]\nper_address_per_minute = 77\n").unwrap();
    let taken = visitor.send("/console/status/reload", &[]).await;
    assert_eq!(taken.header("location"), "/console/status?done=reload");
    let page = visitor.page("/console/status?done=reload").await.body;
    for wanted in [
        "The configuration was reloaded.",
        ">applied<",
        "limits.per_address_per_minute",
    ] {
        assert!(page.contains(wanted), "{wanted}: {page}");
    }
    std::fs::write(&file, "[limits]\nper_address_per_minute = \"<b>\"\n").unwrap();
    let refused = visitor.send("/console/status/reload", &[]).await;
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("role=\"alert\""), "{}", refused.body);
    assert!(refused.body.contains(">rejected<") && refused.body.contains("line 2"));
    assert!(!refused.body.contains("<b>"), "{}", refused.body);
    let status = admin(&gateway, Method::GET, "status", &Value::Null)
        .await
        .json();
    assert_eq!(status["last_reload"]["outcome"], "refused");
}

#[tokio::test]
async fn the_status_page_rotates_the_signing_key_and_shows_a_refusal() {
    let gateway = Gateway::start();
    let visitor = Visitor::first(&gateway).await;
    let keys = async || {
        let keys = admin(&gateway, Method::GET, "keys", &Value::Null).await;
        keys.json()["keys"].as_array().unwrap().clone()
    };
    let before = keys().await;
    let rotated = visitor.send("/console/status/rotate", &[]).await;
    assert_eq!(rotated.header("location"), "/console/status?done=rotate");
    let after = keys().await;
    assert_eq!(after.len(), 2);
    assert_ne!(after[0]["kid"], before[0]["kid"]);
    assert_eq!(after[1]["kid"], before[0]["kid"]);
    let page = visitor.page("/console/status?done=rotate").await.body;
    for wanted in [
        "A new key signs tokens.",
        after[0]["kid"].as_str().unwrap(),
        "verifies until",
    ] {
        assert!(page.contains(wanted), "{wanted}: {page}");
    }
    // Rotates until the gateway refuses; then the page has to show the reason.
    let mut last = rotated;
    for _ in 0..100 {
        last = visitor.send("/console/status/rotate", &[]).await;
        if last.status != 303 {
            break;
        }
    }
    assert_eq!(last.status, 409, "{}", last.body);
    assert!(last.body.contains("role=\"alert\""), "{}", last.body);
}
