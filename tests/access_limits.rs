//! Tests of what an access may consume and what the gateway stores about the access: limits per day, cache policy, last use, hashes
//! that another program made.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::Method;
use serde_json::{Value, json};

use crate::accesses::said;
use crate::harness::{
    Answer, Gateway, Sandbox, UPSTREAM_ENVIRONMENT, admin, binary, client, made, until,
};

const READ: &str = "class=chat&method=getchatchannels";

/// An argon2id hash of [`CHOSEN`], made by PHP with its default parameters.
const HASH: &str = "$argon2id$v=19$m=65536,t=4,p=1$UXlkVnJkN0xLVk9yREs2Tw$KoeTruz2jioQ6jc3zHSsSsKEmPXjy9K0WmnOvol+Ycw";
const CHOSEN: &str = "correct horse battery staple";

fn read(gateway: &Gateway, secret: &str) -> reqwest::RequestBuilder {
    let request = client().post(gateway.url("/api/basic/"));
    request.basic_auth("a", Some(secret)).body(READ)
}

/// Makes this many calls and returns the number of admitted ones. Asserts that the others are refused for the limit.
async fn admitted(gateway: &Gateway, secret: &str, calls: usize) -> usize {
    let mut admitted = 0;
    for _ in 0..calls {
        match said(read(gateway, secret)).await.as_str() {
            "SUCCESS" => admitted += 1,
            word => assert_eq!(word, "RATE_LIMITED"),
        }
    }
    admitted
}

/// Waits until midnight has passed if it is near, because counts before and after midnight cannot be compared.
async fn wait_past_midnight() {
    const NEAR_S: u64 = 50;
    until("midnight", async || {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap();
        now.as_secs() % 86_400 < 86_400 - NEAR_S
    })
    .await;
}

async fn shown(gateway: &Gateway, name: &str) -> Answer {
    admin(
        gateway,
        Method::GET,
        &format!("accesses/{name}"),
        Value::Null,
    )
    .await
}

#[tokio::test]
async fn a_limit_per_day_holds_across_a_stop_and_a_kill() {
    wait_past_midnight().await;
    let gateway = Gateway::start();
    let draft = json!({"name": "a", "allow": ["any"], "per_day": "200/day", "rate": "1000/min"});
    let secret = made(&gateway, draft).await;
    assert_eq!(admitted(&gateway, &secret, 30).await, 30);
    let answer = Answer::of(read(&gateway, &secret)).await;
    assert_eq!(
        answer.header("ratelimit-policy"),
        "\"minute\";q=1000;w=60, \"day\";q=200;w=86400"
    );
    let state = answer.header("ratelimit").to_owned();
    assert!(state.contains(", \"day\";r=169;t="), "{state}");

    // The kill loses the calls that the gateway had set aside, which are a twentieth of the limit at most.
    let folder = Arc::clone(&gateway.folder);
    gateway.process.signal("KILL");
    assert_eq!(gateway.process.ended().0, None);
    let gateway = Gateway::over(Arc::clone(&folder), "", &[]);
    let answer = Answer::of(read(&gateway, &secret)).await;
    let state = answer.header("ratelimit").to_owned();
    let (_, rest) = state.split_once("\"day\";r=").unwrap();
    let left: usize = rest.split_once(';').unwrap().0.parse().unwrap();

    // An orderly shutdown loses nothing.
    gateway.process.signal("TERM");
    assert_eq!(gateway.process.ended().0, Some(0));
    let gateway = Gateway::over(folder, "", &[]);
    let rest = admitted(&gateway, &secret, 200).await;
    let refused = Answer::of(read(&gateway, &secret)).await;
    println!("200 a day: 31 calls, killed, 1 call, {left} left; stopped, {rest} calls");
    assert!((200 - 32 - 10..=200 - 32).contains(&left), "{left}");
    assert_eq!(rest, left);
    assert_eq!(refused.status, 429);
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=86_400).contains(&wait));
    assert!(refused.header("ratelimit").contains("\"day\";r=0;t="));
}

#[tokio::test]
async fn a_gateway_killed_under_load_admits_at_most_the_limit_per_day() {
    const LIMIT: usize = 600;
    const BEFORE: usize = 200;
    const CALLERS: usize = 16;
    wait_past_midnight().await;
    let toml = "[limits]\nper_address_per_minute = 100000\n";
    let gateway = Arc::new(Gateway::configured(toml, &[]));
    let draft = json!({"name": "a", "allow": ["any"], "per_day": LIMIT});
    let secret = made(&gateway, draft).await;
    let (seen, folder) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&gateway.folder));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..CALLERS {
        let (gateway, secret, seen) = (Arc::clone(&gateway), secret.clone(), Arc::clone(&seen));
        callers.spawn(async move {
            // Until the gateway is killed; one of the callers kills it.
            while let Ok(answer) = read(&gateway, &secret).send().await {
                let is_admitted = answer.status() == 200;
                if is_admitted && seen.fetch_add(1, Ordering::SeqCst) + 1 == BEFORE {
                    gateway.process.signal("KILL");
                }
            }
        });
    }
    while callers.join_next().await.is_some() {}
    drop(gateway);
    let before = seen.load(Ordering::SeqCst);
    let gateway = Gateway::over(folder, toml, &[]);
    let after = admitted(&gateway, &secret, LIMIT).await;
    println!(
        "{LIMIT} a day: {before} calls of {CALLERS} callers, killed, {after} calls: {} of {LIMIT}",
        before + after
    );
    assert!(before >= BEFORE && before + after <= LIMIT);
    // The kill may lose one block and the calls that were admitted but not answered.
    assert!(before + after >= LIMIT - LIMIT / 20 - CALLERS);
}

#[tokio::test]
async fn a_report_only_limit_per_day_admits_every_call() {
    let gateway = Gateway::start();
    let draft = json!({"name": "a", "allow": ["any"], "per_day": 1, "report": ["limits"]});
    let secret = made(&gateway, draft).await;
    wait_past_midnight().await;
    assert_eq!(admitted(&gateway, &secret, 2).await, 2);
    let reported = read(&gateway, &secret).header("X-Request-ID", "reported");
    assert_eq!(said(reported).await, "SUCCESS");
    let line = gateway.logged("reported");
    assert_eq!(line["would_refuse"], "limit per day");
    // Networks come before limits, and the call would have been rejected by the first of them.
    let draft = json!({"name": "b", "allow": ["127.0.0.2"], "per_day": 1, "report": ["limits", "networks"]});
    let secret = made(&gateway, draft).await;
    for id in ["within", "beyond"] {
        let read = client().post(gateway.url("/api/basic/"));
        let read = read.basic_auth("b", Some(&secret)).body(READ);
        assert_eq!(said(read.header("X-Request-ID", id)).await, "SUCCESS");
        let line = gateway.logged(id);
        assert_eq!(line["would_refuse"], "access networks: on no list");
    }
}

#[tokio::test]
async fn a_seeded_access_keeps_its_fields_and_its_daily_count_over_a_reload() {
    wait_past_midnight().await;
    let secret = "cgs_seeded-seeded-seeded-seeded-seeded-seeded-s";
    let toml = |level: &str| {
        format!(
            "[log]\nlevel = \"{level}\"\n[[accesses]]\nname = \"a\"\nuser = \"a\"\npassword = \"env:SECRET\"\n\
             allow = [\"any\"]\nper_day = 3\njournal = \"full\"\ncache = false\n"
        )
    };
    let gateway = Gateway::configured(&toml("info"), &[("SECRET", secret)]);
    let shown = shown(&gateway, "a").await.json();
    assert_eq!(
        (&shown["per_day"], &shown["journal"], &shown["cache"]),
        (&json!("3/day"), &json!("full"), &json!({"enabled": false}))
    );
    assert_eq!(admitted(&gateway, secret, 2).await, 2);
    let file = gateway.folder.path().join("chatgate.toml");
    std::fs::write(file, toml("debug")).unwrap();
    let taken = admin(&gateway, Method::POST, "reload", Value::Null).await;
    assert_eq!(taken.status, 200, "{}", taken.body);
    let rest = admitted(&gateway, secret, 3).await;
    assert_eq!(rest, 1);
}

#[tokio::test]
async fn an_access_can_disable_its_cache_or_set_lifetimes_per_method() {
    let sandbox = Sandbox::start();
    let gateway = Gateway::configured(&sandbox.as_upstream(), &[UPSTREAM_ENVIRONMENT]);
    let secret = made(&gateway, json!({"name": "a", "allow": ["any"]})).await;
    let calls = async |count: usize| {
        let mut statuses = Vec::new();
        for _ in 0..count {
            let answer = Answer::of(read(&gateway, &secret)).await;
            assert_eq!(answer.json()["status"], "SUCCESS");
            statuses.push(answer.header("cache-status").to_owned());
        }
        statuses
    };
    let patch = async |policy: Value| {
        let draft = json!({"cache": policy});
        admin(&gateway, Method::PATCH, "accesses/a", draft).await
    };
    assert_eq!(
        calls(2).await,
        ["chatgate; fwd=uri-miss; stored", "chatgate; hit; ttl=59"]
    );
    let off = patch(json!(false)).await.json();
    assert_eq!(off["cache"], json!({"enabled": false}));
    assert_eq!(calls(3).await, ["chatgate; fwd=bypass"; 3]);
    patch(json!({"getchatchannels_s": 0})).await;
    assert_eq!(calls(2).await, ["chatgate; fwd=bypass"; 2]);
    patch(json!({"getchatchannels_s": 3600, "getchats_s": 1})).await;
    let own = calls(2).await;
    assert_eq!(own[0], "chatgate; fwd=uri-miss; stored");
    assert!(own[1].starts_with("chatgate; hit; ttl=35"), "{own:?}");
    for (wrong, status) in [
        (json!({"getchats_s": 86_401}), 422),
        (json!({"getmessages_s": 1}), 400),
        (json!("often"), 400),
    ] {
        let answer = patch(wrong.clone()).await;
        assert_eq!(answer.status, status, "{wrong}");
        assert!(answer.body.contains("cache: "), "{}", answer.body);
    }
}

#[tokio::test]
async fn the_last_use_survives_a_restart_and_is_not_listed_as_a_change() {
    let gateway = Gateway::start();
    let secret = made(&gateway, json!({"name": "a", "allow": ["127.0.0.0/8"]})).await;
    let before = shown(&gateway, "a").await;
    assert_eq!(before.json()["last_used"], Value::Null);
    assert_eq!(
        said(read(&gateway, "wrong password")).await,
        "INCORRECT_USER_PASSWORD"
    );
    assert_eq!(shown(&gateway, "a").await.json()["last_used"], Value::Null);
    assert_eq!(said(read(&gateway, &secret)).await, "SUCCESS");
    let after = shown(&gateway, "a").await;
    let last = after.json()["last_used"].clone();
    assert_eq!(
        (&last["address"], &last["way"]),
        (&json!("127.0.0.1"), &json!("basic"))
    );
    assert!(last["at"].as_str().unwrap().ends_with('Z'), "{last}");
    assert_eq!(before.header("etag"), after.header("etag"));

    let folder = Arc::clone(&gateway.folder);
    gateway.process.signal("TERM");
    assert_eq!(gateway.process.ended().0, Some(0));
    let gateway = Gateway::over(folder, "", &[]);
    assert_eq!(shown(&gateway, "a").await.json()["last_used"], last);
    let changes = admin(&gateway, Method::GET, "accesses/a/changes", Value::Null).await;
    assert_eq!(changes.json()["changes"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_given_password_hash_accepts_its_password_and_extreme_ones_are_rejected() {
    let gateway = Gateway::start();
    let draft = json!({"name": "a", "allow": ["any"], "password_hash": HASH});
    let answer = admin(&gateway, Method::POST, "accesses", draft).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert!(!answer.body.contains("argon2") && answer.json()["password"].is_null());
    assert_eq!(said(read(&gateway, CHOSEN)).await, "SUCCESS");
    assert_eq!(said(read(&gateway, HASH)).await, "INCORRECT_USER_PASSWORD");

    let absurd = |params: &str| HASH.replace("m=65536,t=4,p=1", params);
    for wrong in [
        absurd("m=4194304,t=1,p=1"),
        absurd("m=65536,t=1000,p=1"),
        absurd("m=8,t=1,p=1"),
        absurd("m=65536,t=4,p=200"),
        HASH.replace("argon2id", "argon2d"),
        "$2y$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy".to_owned(),
    ] {
        let draft = json!({"name": "b", "allow": ["any"], "password_hash": wrong});
        let answer = admin(&gateway, Method::POST, "accesses", draft).await;
        assert_eq!(
            (answer.status, answer.json()["errors"][0]["field"].as_str()),
            (422, Some("password_hash")),
            "{wrong}: {}",
            answer.body
        );
        assert!(!answer.body.contains(&wrong), "{}", answer.body);
    }
    let both = json!({"name": "b", "password": CHOSEN, "password_hash": HASH});
    assert_eq!(
        admin(&gateway, Method::POST, "accesses", both).await.status,
        422
    );
    let patch = json!({"password_hash": HASH});
    assert_eq!(
        admin(&gateway, Method::PATCH, "accesses/a", patch)
            .await
            .status,
        422
    );
}

#[tokio::test]
async fn two_chosen_passwords_are_valid_concurrently_for_their_access_alone() {
    let gateway = Gateway::start();
    let draft = json!({"name": "a", "allow": ["any"], "password": "the first password"});
    made(&gateway, draft).await;
    let rotate = async |wish: Value| {
        let path = "accesses/a/rotate";
        admin(&gateway, Method::POST, path, wish).await
    };
    assert_eq!(rotate(json!({"password_hash": HASH})).await.status, 200);
    for secret in ["the first password", CHOSEN] {
        assert_eq!(said(read(&gateway, secret)).await, "SUCCESS", "{secret}");
    }
    let last = json!({"password": "the third password", "drop_old": true});
    assert_eq!(rotate(last).await.status, 200);
    for (secret, word) in [
        ("the first password", "INCORRECT_USER_PASSWORD"),
        (CHOSEN, "INCORRECT_USER_PASSWORD"),
        ("the third password", "SUCCESS"),
    ] {
        assert_eq!(said(read(&gateway, secret)).await, word, "{secret}");
    }
    // A name that does not exist is checked against another name's hashes; none of them lets the caller in.
    for name in ["b", "c", "d", "e", "f", "g", "h", "i"] {
        let stranger = client().post(gateway.url("/api/basic/"));
        let stranger = stranger.basic_auth(name, Some("the third password"));
        let word = said(stranger.body(READ)).await;
        assert_eq!(word, "INCORRECT_USER_PASSWORD", "{name}");
    }
}

#[tokio::test]
async fn an_import_rejects_invalid_values_and_accepts_an_older_export() {
    let gateway = Gateway::start();
    made(
        &gateway,
        json!({"name": "a", "allow": ["any"], "journal": "full", "per_day": 5}),
    )
    .await;
    let export = admin(&gateway, Method::GET, "export", Value::Null)
        .await
        .json();
    let place = export["accesses"].as_array().unwrap().iter();
    let place = place
        .map(|access| &access["name"])
        .position(|name| name == "a")
        .unwrap();
    assert_eq!(export["accesses"][place]["cache"], json!({"enabled": true}));
    for (field, value) in [
        ("ways", json!(["fax"])),
        ("methods", json!(["nothing"])),
        ("platforms", json!(["pigeon"])),
        ("allow", json!(["10.1.2.3/8"])),
        ("user", json!("")),
        ("cache", json!({"getchats_s": 86_401})),
        (
            "secrets",
            json!([{"hash": {"argon2id": HASH.replace("m=65536", "m=4194304")}, "created": 1}]),
        ),
        (
            "secrets",
            json!([{"hash": {"keyed": "short"}, "created": 1}]),
        ),
    ] {
        let mut wrong = export.clone();
        wrong["accesses"][place][field] = value;
        let answer = admin(&gateway, Method::POST, "import", wrong).await;
        assert_eq!(
            (answer.status, answer.json()["errors"][0]["field"].as_str()),
            (422, Some(format!("a.{field}").as_str())),
            "{}",
            answer.body
        );
    }
    // An export from a release before lifetimes and levels existed: it contains the switch alone.
    let mut old = export.clone();
    old["accesses"][place]["cache"] = json!(false);
    old["accesses"][place]
        .as_object_mut()
        .unwrap()
        .remove("journal");
    assert_eq!(
        admin(&gateway, Method::POST, "import", old).await.status,
        200
    );
    let shown = shown(&gateway, "a").await.json();
    assert_eq!(
        (&shown["cache"], &shown["journal"], &shown["per_day"]),
        (
            &json!({"enabled": false}),
            &json!("metadata"),
            &json!("5/day")
        )
    );
}

/// Runs `chatgate access` and returns its exit code, its output and its errors.
fn command(gateway: &Gateway, arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut child = Command::new(binary())
        .arg("access")
        .args(arguments)
        .args(["--admin", &gateway.admin.to_string()])
        .args(["--data", gateway.data().to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads no input may have ended already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let ran = child.wait_with_output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (ran.status.code(), said(&ran.stdout), said(&ran.stderr))
}

#[tokio::test]
async fn access_create_sets_rates_hash_cache_and_journal() {
    let gateway = Gateway::start();
    let run = |arguments: &[&str], input: &str| command(&gateway, arguments, input);
    let words = "create a --allow any --rate 60/min --rate 1000/day --journal full \
         --cache getchats=5,getchatchannels=0 --password-hash-stdin --json";
    let words: Vec<_> = words.split_whitespace().collect();
    let (code, made, err) = run(&words, &format!("{HASH}\n"));
    assert_eq!(code, Some(0), "{err}");
    let made: Value = serde_json::from_str(&made).unwrap();
    assert_eq!(
        (
            &made["rate"],
            &made["per_day"],
            &made["journal"],
            &made["cache"]
        ),
        (
            &json!("60/min"),
            &json!("1000/day"),
            &json!("full"),
            &json!({"enabled": true, "getchatchannels_s": 0, "getchats_s": 5})
        )
    );
    assert_eq!(said(read(&gateway, CHOSEN)).await, "SUCCESS");
    let (_, table, _) = run(&["list"], "");
    let row = table.lines().find(|line| line.starts_with("a ")).unwrap();
    // Each list is one column, and its items are separated by a comma and a blank.
    let row = row.replace(", ", ",");
    let row: Vec<_> = row.split_whitespace().collect();
    assert_eq!(
        (row[3], row[5]),
        ("60/min,1000/day", "0.0.0.0/0,::/0"),
        "{table}"
    );
}

#[tokio::test]
async fn access_set_changes_the_named_fields_and_explains_invalid_values() {
    let gateway = Gateway::start();
    made(
        &gateway,
        json!({"name": "a", "rate": 60, "journal": "full"}),
    )
    .await;
    let run = |arguments: &[&str], input: &str| command(&gateway, arguments, input);
    let set = [
        "set",
        "a",
        "--journal",
        "metadata",
        "--cache",
        "off",
        "--rate",
        "9/day",
        "--json",
    ];
    let (code, changed, err) = run(&set, "");
    assert_eq!(code, Some(0), "{err}");
    let changed: Value = serde_json::from_str(&changed).unwrap();
    assert_eq!(
        (
            &changed["rate"],
            &changed["per_day"],
            &changed["journal"],
            &changed["cache"]
        ),
        (
            &json!("60/min"),
            &json!("9/day"),
            &json!("metadata"),
            &json!({"enabled": false})
        )
    );
    for (wrong, reported) in [
        (&["set", "a", "--cache", "often"][..], "METHOD=SECONDS"),
        (&["set", "a", "--cache", "getmessages=1"], "getchats_s"),
        (&["set", "a", "--journal", "novel"], "metadata or full"),
        (&["set", "a", "--rate", "x/day"], "1000/day"),
        (
            &["set", "a", "--rate", "6/min", "--rate", "7/min"],
            "give only one",
        ),
    ] {
        let (code, _, err) = run(wrong, "");
        assert!(
            code != Some(0) && err.contains(reported),
            "{wrong:?}: {err}"
        );
    }
}
