//! Tests of operators' work with several replicas, over a real database and real processes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Answer, CommandOutput, Demo, Fleet, Gateway, admin, client, is_of_files, load, made, run_on,
    start_on, until,
};
use crate::sends::send_form;

const READ: &str = "class=chat&method=getchatchannels";

async fn read_as(gateway: &Gateway, access: &str, password: &str, id: &str) -> Answer {
    let call = client().post(gateway.url("/api/basic/"));
    let call = call.basic_auth(access, Some(password));
    Answer::of(call.header("X-Request-ID", id).body(READ)).await
}

async fn change(gateway: &Gateway, path: &str, note: &str) -> Answer {
    admin(gateway, Method::PATCH, path, json!({ "note": note })).await
}

#[tokio::test]
async fn a_change_reports_which_replicas_applied_it_or_that_it_is_unknown() {
    let Some(fleet) = Fleet::of(2, "[replicas]\nack_wait = \"4s\"\n") else {
        return;
    };
    let [one, two] = &fleet.gateways[..] else {
        panic!("there are two")
    };
    made(one, json!({"name": "shop", "allow": ["127.0.0.1"]})).await;
    let all = change(one, "accesses/shop", "all").await;
    assert_eq!(all.header("chatgate-in-force"), "2/2");

    two.process.signal("STOP");
    let some = run_on(one, &["access", "set", "shop", "--note", "some"]);
    assert!(
        some.code == Some(0)
            && some
                .error
                .contains("1/2 of the replicas; not yet by: replica-1"),
        "{}",
        some.error
    );
    // A request that changes nothing waits for no replica.
    let question = json!({"peer": "127.0.0.1", "access": "shop", "method": "getchatchannels"});
    let explained = admin(one, Method::POST, "explain", question).await;
    assert_eq!(explained.status, 200, "{}", explained.body);
    assert_eq!(explained.header("chatgate-in-force"), "");
    // Together with the change, the database loses the column that the acknowledgement needs.
    fleet.sql(
        "CREATE FUNCTION public.lose() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN ALTER TABLE chatgate.replicas RENAME COLUMN name TO lost; RETURN NULL; END $$;
         CREATE TRIGGER lose AFTER INSERT ON chatgate.changes FOR EACH ROW
         WHEN (NEW.after LIKE '%nobody%') EXECUTE FUNCTION public.lose()",
    );
    let nobody = run_on(one, &["access", "set", "shop", "--note", "nobody"]);
    assert!(
        nobody.code == Some(0)
            && nobody
                .error
                .contains("it is unknown which replicas have applied it"),
        "{}",
        nobody.error
    );
    let noted = "SELECT count(*) FROM chatgate.accesses WHERE document LIKE '%nobody%'";
    assert_eq!(fleet.sql(noted), "1", "it is stored");
    fleet.sql("ALTER TABLE chatgate.replicas RENAME COLUMN lost TO name");

    two.process.signal("CONT");
    until("both", async || {
        let again = change(one, "accesses/shop", "again").await;
        again.status == 200 && again.header("chatgate-in-force") == "2/2"
    })
    .await;
    two.process.signal("STOP");
    // The change waits until the other's lease has expired, however short the wait for an acknowledgement is.
    let asked = Instant::now();
    let lapsed = change(one, "accesses/shop?wait=all", "lapsed").await;
    assert_eq!(lapsed.header("chatgate-in-force"), "1/1");
    let waited = asked.elapsed();
    assert!(
        waited > Duration::from_secs(4) && waited < Duration::from_secs(13),
        "{waited:?}"
    );
    let wrong = change(one, "accesses/shop?wait=some", "wrong").await;
    assert_eq!(wrong.status, 400, "{}", wrong.body);
    two.process.signal("CONT");
}

#[tokio::test]
async fn a_change_does_not_wait_for_a_replica_that_has_stopped() {
    let Some(fleet) = Fleet::of(3, "") else {
        return;
    };
    let [one, two, three] = &fleet.gateways[..] else {
        panic!("there are three")
    };
    let password = made(one, json!({"name": "shop", "allow": ["127.0.0.1"]})).await;
    let faults = json!([{"method": "getchatchannels", "fault": "latency", "ms": 3000}]);
    fleet.sandbox().faults(faults).await;
    let state = async |gateway: &Gateway, name: &str| {
        let listed = admin(gateway, Method::GET, "replicas", Value::Null).await;
        let listed = listed.json();
        let rows = listed["replicas"].as_array().unwrap().iter();
        let row = rows.rev().find(|row| row["name"] == name).unwrap();
        row["state"].as_str().unwrap().to_owned()
    };
    let call = read_as(three, "shop", &password, "slow");
    let ending = async {
        until("the call", async || {
            three
                .metrics()
                .await
                .contains("chatgate_inflight_requests 1")
        })
        .await;
        three.process.signal("TERM");
        until("its notice", async || {
            state(one, "replica-2").await == "draining"
        })
        .await;
        // A draining replica may still admit calls and still applies changes, so all three have this change.
        let asked = Instant::now();
        let changed = change(one, "accesses/shop", "while it drains").await;
        assert_eq!(changed.header("chatgate-in-force"), "3/3");
        assert!(asked.elapsed() < Duration::from_secs(2));
    };
    let (call, ()) = tokio::join!(call, ending);
    assert_eq!(call.status, 200, "{}", call.body);
    until("its end", async || state(one, "replica-2").await == "gone").await;
    let asked = Instant::now();
    let changed = change(two, "accesses/shop", "after its end").await;
    assert_eq!(changed.header("chatgate-in-force"), "2/2");
    assert!(asked.elapsed() < Duration::from_secs(2), "nobody waits");
}

/// Three commands follow the journal, each at another replica.
#[tokio::test]
async fn followers_of_the_journal_get_each_row_of_three_replicas_once() {
    let limits =
        "[limits]\nper_address_per_minute = 4000000000\n[cache]\ngetchatchannels = \"60s\"\n";
    let Some(fleet) = Fleet::of(3, limits) else {
        return;
    };
    let calls = load(300, 10_000);
    let draft = json!({"name": "shop", "allow": ["127.0.0.1"]});
    let password = made(&fleet.gateways[0], draft).await;
    let follow = ["log", "--follow", "--json", "--access", "shop"];
    let tails: Vec<_> = fleet
        .gateways
        .iter()
        .map(|gateway| start_on(gateway, &follow))
        .collect();
    for tail in &tails {
        tail.wait_for("the change", |line| line.contains("\"change\""));
    }
    let call_all = async |at: usize| {
        for n in (at..calls).step_by(3) {
            let answer =
                read_as(&fleet.gateways[at], "shop", &password, &format!("call-{n}")).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
    };
    tokio::join!(call_all(0), call_all(1), call_all(2));
    for tail in &tails {
        let seen = || {
            let mut seen = BTreeMap::new();
            for line in tail.lines() {
                let row: Value = serde_json::from_str(&line).unwrap();
                if let Some(id) = row["caller_request_id"].as_str() {
                    *seen.entry(id.to_owned()).or_insert(0) += 1;
                }
            }
            seen
        };
        until("all rows", async || seen().len() == calls).await;
        assert!(seen().values().all(|times| *times == 1));
    }
    // Pages for programs never change afterwards, so they leave out rows that other rows may still precede.
    read_as(&fleet.gateways[0], "shop", &password, "last").await;
    let page = async |query: &str| {
        let path = format!("journal?request_id=last{query}");
        let page = admin(&fleet.gateways[0], Method::GET, &path, Value::Null).await;
        page.json()["rows"].as_array().unwrap().len()
    };
    assert_eq!(page("&order=oldest").await, 0, "younger than five seconds");
    assert_eq!(page("&order=oldest&follow=true").await, 1);
    assert_eq!(page("").await, 1);
    until("it is settled", async || page("&order=oldest").await == 1).await;
}

/// The seal of the tests, and another one.
const SEALS: [&str; 2] = [
    "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=",
];

async fn token_of(gateway: &Gateway, demo: &Demo) -> String {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", &demo.client_id),
        ("client_secret", &demo.client_secret),
    ];
    let token = client().post(gateway.url("/oauth/token")).form(&form);
    let token = Answer::of(token).await.json();
    token["access_token"].as_str().unwrap().to_owned()
}

/// Checks that credentials and tokens from before still work.
async fn check_earlier_credentials(new: &Gateway, demo: &Demo, token: &str) {
    let answer = read_as(new, &demo.user, &demo.password, "old-secret").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let call = client().post(new.url("/api/jwt/")).bearer_auth(token);
    let answer = Answer::of(call.body(READ)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

fn assert_everything_is_copied(copied: &CommandOutput) {
    copied.succeeded();
    for line in ["accesses", "receipts", "admin keys", "journal"] {
        let mut lines = copied.output.lines();
        let rows = lines.find_map(|copied| copied.strip_prefix(line)).unwrap();
        assert_ne!(rows.trim(), "0", "{line}");
    }
}

#[tokio::test]
async fn store_copy_moves_a_gateway_from_its_file_to_a_database() {
    if is_of_files("there is no file to move from") {
        return;
    }
    let Some(mut fleet) = Fleet::of(0, "") else {
        return;
    };
    let old = Gateway::configured("[server]\npublic_url = \"http://chat.test\"\n", &[]);
    let demo = old.demo();
    let send = async |gateway: &Gateway| {
        let send = client().post(gateway.url("/api/http/"));
        let send = send.header("Idempotency-Key", "\"moved\"");
        let send = send.header("Content-Type", "application/x-www-form-urlencoded");
        Answer::of(send.body(send_form(&demo, "once"))).await
    };
    let first = send(&old).await;
    assert!(
        first.body.contains("\"delivery\":\"sent\""),
        "{}",
        first.body
    );
    let token = token_of(&old, &demo).await;
    let (from, _folder) = (old.data(), Arc::clone(&old.folder));
    let copy = [
        "store",
        "copy",
        "--journal",
        "--from",
        from.to_str().unwrap(),
    ];
    fleet
        .run(&copy, &[])
        .failed(1, "another gateway or sandbox runs on");
    old.process.signal("TERM");
    assert_eq!(old.process.ended().0, Some(0));
    assert_everything_is_copied(&fleet.run(&copy, &[]));
    fleet.run(&copy, &[]).failed(1, "not empty");

    fleet.gateways = vec![fleet.replica("new")];
    let new = &fleet.gateways[0];
    check_earlier_credentials(new, &demo, &token).await;
    let sent = fleet.sandbox().sent().await;
    let again = send(new).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(fleet.sandbox().sent().await, sent, "nothing is sent again");
    let key = from.join("admin.key");
    let log = [
        "log",
        "--json",
        "--method",
        "sendmessage",
        "--admin-key-file",
        key.to_str().unwrap(),
    ];
    let log = run_on(new, &log);
    assert!(
        log.output.contains("\"delivery\":\"sent\""),
        "{}{}",
        log.output,
        log.error
    );
}

#[tokio::test]
async fn keys_reseal_changes_the_seal_and_check_online_verifies_it() {
    let Some(fleet) = Fleet::of(1, "") else {
        return;
    };
    let checked = fleet.run(&["check", "--online"], &[]);
    checked.succeeded();
    let [old, new] = SEALS;
    let (both, new) = (format!("{new} {old}"), new.to_owned());
    let sealed_by =
        |seal: &str| fleet.run(&["check", "--online", "--json"], &[("TEST_SEAL", seal)]);
    let early = sealed_by(&new);
    assert_eq!(early.code, Some(1));
    let wrong = early.json();
    let wrong = wrong
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["is_right"] == false);
    let wrong: Vec<_> = wrong.map(|one| one["what"].as_str().unwrap()).collect();
    assert_eq!(wrong, ["store.seal"]);
    let resealed = fleet.run(&["keys", "reseal"], &[("TEST_SEAL", &both)]);
    resealed.succeeded();
    sealed_by(&new).succeeded();
    assert_eq!(sealed_by(old).code, Some(1));
    let file = crate::harness::run(&["check", "--online"]);
    file.failed(64, "no shared store");
}
