//! A form changes only what its operator has seen: it overwrites no later change of another operator, and pressing its button twice
//! changes something once.

use reqwest::Method;
use serde_json::{Value, json};

use super::steering::untouched;
use super::{Visitor, viewer_key};
use crate::harness::{Answer, Gateway, admin, client, until};

const CONFIGURATION: &str = "[webhooks]\nallow_networks = [\"127.0.0.1/32\"]\n";

/// A form of a page, in the state in which the page was opened.
struct OpenForm<'a> {
    visitor: &'a Visitor<'a>,
    action: String,
    fields: Vec<(String, String)>,
}

impl<'a> OpenForm<'a> {
    async fn of(visitor: &'a Visitor<'a>, page: &str, action: &str) -> OpenForm<'a> {
        let page = visitor.page(page).await;
        assert_eq!(page.status, 200, "{}", page.body);
        OpenForm {
            visitor,
            action: action.to_owned(),
            // Browsers send line ends as CR LF.
            fields: untouched(&page.body, action)
                .into_iter()
                .map(|(name, value)| (name, value.replace('\n', "\r\n")))
                .collect(),
        }
    }

    /// Sends the form with some fields replaced.
    async fn send(&self, written: &[(&str, &str)]) -> Answer {
        let is_written = |name: &str| written.iter().any(|(known, _)| *known == name);
        let shown = self.fields.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        let kept = shown.filter(|(name, _)| !is_written(name));
        let fields: Vec<_> = kept.chain(written.iter().copied()).collect();
        Answer::of(self.visitor.form(&self.action, &fields)).await
    }
}

/// Makes a webhook of the first access, whose receiver does not listen. Returns the webhook's path.
async fn webhook(gateway: &Gateway, draft: Value) -> String {
    let mut whole = json!({"access": "demo", "url": "https://127.0.0.1:1/"});
    let fields = draft.as_object().unwrap().clone();
    whole.as_object_mut().unwrap().extend(fields);
    let made = admin(gateway, Method::POST, "webhooks", &whole).await;
    assert_eq!(made.status, 201, "{}", made.body);
    format!("webhooks/{}", made.json()["id"].as_str().unwrap())
}

async fn shown(gateway: &Gateway, path: &str) -> Value {
    let answer = admin(gateway, Method::GET, path, &Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

/// Makes a call with the secret with which the first access was created.
async fn call(gateway: &Gateway, body: &'static str) -> Value {
    let demo = gateway.demo();
    let request = client().post(gateway.url("/api/basic/"));
    let request = request.basic_auth(&demo.user, Some(&demo.password));
    Answer::of(request.body(body)).await.json()
}

#[tokio::test]
async fn pressing_new_secret_twice_revokes_no_secret_in_use() {
    let gateway = Gateway::start();
    let visitor = Visitor::first(&gateway).await;
    let page = "/console/accesses/demo";
    let rotate = format!("{page}/rotate");
    let form = OpenForm::of(&visitor, page, &rotate).await;
    assert_eq!(form.send(&[]).await.status, 200);
    let twice = form.send(&[]).await;
    assert_eq!(twice.status, 412, "{}", twice.body);
    let said = "The access has changed since it was read.";
    assert!(twice.body.contains(said), "{}", twice.body);
    let read = "class=chat&method=getchats&platform=whatsapp&platformid=100";
    assert_eq!(call(&gateway, read).await["status"], "SUCCESS");
    let bare = visitor.send(&rotate, &[]).await;
    assert_eq!(bare.status, 412, "a version is needed");
    // After reloading, the page says which secret another rotation ends, and the operator may go on.
    let again = visitor.page(page).await.body;
    assert!(
        again.contains("revokes the older of the two secrets"),
        "{again}"
    );
    let form = OpenForm::of(&visitor, page, &rotate).await;
    assert_eq!(form.send(&[]).await.status, 200);
    assert_eq!(
        call(&gateway, read).await["error"],
        "INCORRECT_USER_PASSWORD"
    );
}

#[tokio::test]
async fn pressing_new_secret_of_a_webhook_twice_creates_one_secret() {
    let gateway = Gateway::configured(CONFIGURATION, &[]);
    let visitor = Visitor::first(&gateway).await;
    let path = webhook(&gateway, json!({})).await;
    let question = visitor.page("/console/accesses/demo/delete").await.body;
    assert!(question.contains("webhooks (1)"), "{question}");
    let page = format!("/console/{path}");
    let form = OpenForm::of(&visitor, &page, &format!("{page}/act")).await;
    let revoke = "Revoke old secret";
    let before = visitor.page(&page).await.body;
    assert!(!before.contains(revoke), "there is no old secret: {before}");
    let press = [("action", "rotate")];
    let once = form.send(&press).await;
    assert_eq!(once.status, 200, "{}", once.body);
    assert!(once.body.contains("whsec_"), "{}", once.body);
    let twice = form.send(&press).await;
    assert_eq!(twice.status, 412, "{}", twice.body);
    let said = "The webhook has changed since it was read.";
    assert!(twice.body.contains(said), "{}", twice.body);
    let again = visitor.page(&page).await.body;
    assert!(
        again.contains("revokes the older of the two secrets"),
        "{again}"
    );
    assert!(again.contains(revoke), "{again}");
    // A program that sends no version gets its request done.
    let by_program = format!("{path}/rotate");
    for _ in 0..2 {
        let rotated = admin(&gateway, Method::POST, &by_program, &json!({})).await;
        assert_eq!(rotated.status, 200, "{}", rotated.body);
    }
}

#[tokio::test]
async fn a_stale_webhook_form_overwrites_no_change_and_keeps_the_input() {
    let gateway = Gateway::configured(CONFIGURATION, &[]);
    let visitor = Visitor::first(&gateway).await;
    let path = webhook(&gateway, json!({"note": "orders"})).await;
    let page = format!("/console/{path}");
    let form = OpenForm::of(&visitor, &page, &page).await;
    let theirs = json!({"url": "https://127.0.0.1:1/new", "types": ["chat.changed"]});
    let changed = admin(&gateway, Method::PATCH, &path, &theirs).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let before = shown(&gateway, &path).await;
    let refused = form.send(&[("note", "orders and answers")]).await;
    assert_eq!(refused.status, 412, "{}", refused.body);
    for wanted in [
        "The webhook has changed since it was read.",
        "Open the current version",
        "value=\"orders and answers\"",
    ] {
        assert!(refused.body.contains(wanted), "{wanted}: {}", refused.body);
    }
    assert_eq!(shown(&gateway, &path).await, before);
    let form = OpenForm::of(&visitor, &page, &page).await;
    let saved = form.send(&[("note", "orders and answers")]).await;
    assert_eq!(saved.status, 303, "{}", saved.body);
    let after = shown(&gateway, &path).await;
    assert_eq!(after["note"], "orders and answers");
    assert_eq!(
        (&after["url"], &after["types"]),
        (&theirs["url"], &theirs["types"])
    );
}

#[tokio::test]
async fn saving_an_untouched_webhook_form_keeps_its_text_unchanged() {
    let gateway = Gateway::configured(CONFIGURATION, &[]);
    let visitor = Visitor::first(&gateway).await;
    let note = " ❤\u{fe0f} 👨\u{200d}👩 می\u{200c}خواهم ";
    let path = webhook(&gateway, json!({"note": note})).await;
    let page = format!("/console/{path}");
    let form = OpenForm::of(&visitor, &page, &page).await;
    assert_eq!(form.send(&[]).await.status, 303);
    assert_eq!(shown(&gateway, &path).await["note"], note);
    // A form that is shown again because of another error keeps the text as well.
    let form = OpenForm::of(&visitor, &page, &page).await;
    let wrong = form.send(&[("url", "nowhere")]).await;
    assert_eq!(wrong.status, 422, "{}", wrong.body);
    let again = format!("value=\"{note}\"");
    assert!(wrong.body.contains(&again), "{}", wrong.body);
}

/// Returns the events that are still to be sent.
async fn left(gateway: &Gateway, path: &str) -> Vec<String> {
    let unsettled = shown(gateway, &format!("{path}/deliveries")).await;
    let rows = unsettled["deliveries"].as_array().unwrap().iter();
    let ids = rows.map(|row| row["event"].as_str().unwrap().to_owned());
    ids.collect()
}

#[tokio::test]
async fn deleting_or_skipping_a_webhook_requires_a_current_confirmation() {
    let looks = "[events]\npoll_min = \"50ms\"\npoll_max = \"200ms\"\ncalls_per_second = 1000\n";
    let gateway = Gateway::configured(&format!("{CONFIGURATION}{looks}"), &[]);
    let visitor = Visitor::first(&gateway).await;
    let path = webhook(&gateway, json!({"types": ["message.sent", "chat.changed"]})).await;
    // Messages that exist at the first poll are history and make no events.
    until("an event is left to send", async || {
        let send = "class=chat&method=sendmessage&platform=whatsapp&platformid=100&destination=34600000000&message=hello";
        assert_eq!(call(&gateway, send).await["status"], "SUCCESS");
        !left(&gateway, &path).await.is_empty()
    })
    .await;
    let page = format!("/console/{path}");
    let act = format!("{page}/act");
    let viewer = Visitor::of(&gateway, &viewer_key(&gateway).await).await;
    for (action, question) in [("skip", "from now on?"), ("delete", "Delete webhook whk_")] {
        // Another operator pauses the webhook, so that both actions are offered.
        let confirm = format!("{page}/{action}");
        let stale = OpenForm::of(&visitor, &confirm, &confirm).await;
        let pause = format!("{path}/pause");
        admin(&gateway, Method::POST, &pause, &json!({})).await;
        let links = visitor.page(&page).await.body;
        let link = format!("href=\"{confirm}\"");
        assert!(links.contains(&link), "{links}");
        let pressed = visitor.send(&act, &[("action", action)]).await;
        assert_eq!(pressed.status, 404, "a button alone: {}", pressed.body);
        assert_eq!(viewer.page(&confirm).await.status, 403);
        assert_eq!(stale.send(&[]).await.status, 412, "{action}");
        let bare = visitor.send(&confirm, &[]).await;
        assert_eq!(bare.status, 412, "a version is needed");
        assert_eq!(shown(&gateway, &path).await["state"], "paused");
        until("the question says how many are left", async || {
            let count = left(&gateway, &path).await.len();
            let asked = visitor.page(&confirm).await.body;
            assert!(asked.contains(question), "{asked}");
            asked.contains(&format!("<dt>Pending deliveries</dt><dd>{count}</dd>"))
        })
        .await;
        let waiting = left(&gateway, &path).await;
        let form = OpenForm::of(&visitor, &confirm, &confirm).await;
        let done = form.send(&[]).await;
        assert_eq!(done.status, 303, "{}", done.body);
        if action == "skip" {
            let there = left(&gateway, &path).await;
            assert!(!waiting.is_empty(), "nothing was left");
            assert!(waiting.iter().all(|event| !there.contains(event)));
            let resumed = visitor.page(done.header("location")).await.body;
            assert!(resumed.contains("was resumed from now on."), "{resumed}");
        }
    }
    let gone = admin(&gateway, Method::GET, &path, &Value::Null).await;
    assert_eq!(gone.status, 404);
}

#[tokio::test]
async fn saving_an_access_form_keeps_the_blanks_of_untouched_fields() {
    let gateway = Gateway::start();
    let visitor = Visitor::first(&gateway).await;
    let channel = |id: &str| json!({"platform": "whatsapp", "platformid": id});
    let access = json!({"name": "blanks", "user": "shop ", "owner": " Shop", "note": "of a kind ", "allow": ["any"],
        "deny": ["192.0.2.0/24", "198.51.100.0/24"], "channels": [channel(" 100"), channel("200 ")]});
    let made = admin(&gateway, Method::POST, "accesses", &access).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let (path, page) = ("accesses/blanks", "/console/accesses/blanks");
    let preview = format!("{page}/preview");
    let kept = ["user", "owner", "note", "allow", "deny", "channels"];
    let before = shown(&gateway, path).await;
    // An empty user name changes nothing, and neither does a blank one.
    for written in [
        ("rate", "60"),
        ("per_day", "1000"),
        ("user", " "),
        ("user", ""),
    ] {
        let form = OpenForm::of(&visitor, page, page).await;
        let saved = form.send(&[written]).await;
        assert_eq!(saved.status, 303, "{}", saved.body);
        let after = shown(&gateway, path).await;
        for field in kept {
            assert_eq!(after[field], before[field], "{field} after {written:?}");
        }
    }
    // A form that is shown again keeps the blanks as well.
    let form = OpenForm::of(&visitor, page, page).await;
    let wrong = form.send(&[("rate", "often")]).await;
    assert_eq!(wrong.status, 422, "{}", wrong.body);
    let token = visitor.token().await;
    let fields: Vec<_> = form.fields.iter().map(|(n, v)| (&**n, &**v)).collect();
    let fields = [&fields[..], &[("token", &*token)]].concat();
    let previewed = Answer::of(visitor.form(&preview, &fields)).await;
    for again in [wrong, previewed] {
        let user = "name=\"user\" value=\"shop \"";
        assert!(again.body.contains(user), "{}", again.body);
        assert!(again.body.contains("200 </textarea>"), "{}", again.body);
    }
    let renamed = form
        .send(&[("user", " shop 2"), ("note", "of another kind ")])
        .await;
    assert_eq!(renamed.status, 303, "{}", renamed.body);
    let after = shown(&gateway, path).await;
    assert_eq!(
        (&after["user"], &after["note"]),
        (&json!(" shop 2"), &json!("of another kind"))
    );
    assert_eq!(after["channels"], before["channels"]);
}
