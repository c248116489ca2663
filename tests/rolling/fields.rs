//! Tests of a newer release that writes a field which this release does not know into the document of one access.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Fleet, Gateway, admin, client, made, skipped, until};

/// Writes this document of an access, as another replica would.
fn write(fleet: &Fleet, name: &str, document: &str) {
    let document = document.replace('\'', "''");
    fleet.sql(&format!(
        "BEGIN; UPDATE chatgate.epochs SET epoch = epoch + 1 WHERE what = 'accesses';
         UPDATE chatgate.accesses SET document = '{document}' WHERE name = '{name}';
         INSERT INTO chatgate.changes (id, at, actor, access)
         SELECT epoch, 1, 'newer', '{name}' FROM chatgate.epochs WHERE what = 'accesses'; COMMIT"
    ));
}

async fn read_as(gateway: &Gateway, name: &str, password: &str) -> Answer {
    let call = client().post(gateway.url("/api/basic/"));
    let call = call.basic_auth(name, Some(password));
    Answer::of(call.form(&[("class", "chat"), ("method", "getchatchannels")])).await
}

/// Returns the parts of a replica that do not work properly although it is ready.
async fn degraded(gateway: &Gateway) -> Value {
    let ready = format!("http://{}/readyz", gateway.admin);
    let ready = Answer::of(client().get(ready)).await;
    assert_eq!(ready.status, 200, "{}", ready.body);
    ready.json()["degraded"].clone()
}

/// Checks that a replica refuses the access that it can't read, and neither changes nor exports it.
async fn refuses(gateway: &Gateway, password: &str) {
    until("the access is refused", async || {
        degraded(gateway).await == json!(["accesses"])
    })
    .await;
    gateway.process.wait_for("the access", |line| {
        line.contains("can't read an access") && line.contains("shop")
    });
    let refused = read_as(gateway, "shop", password).await;
    assert_eq!(
        refused.json()["error"],
        "ACCESS_DISABLED",
        "{}",
        refused.body
    );
    let note = json!({"note": "overwritten"});
    for (method, path, body, status) in [
        (Method::PATCH, "accesses/shop", note, 422),
        (Method::GET, "export", Value::Null, 409),
    ] {
        let answer = admin(gateway, method, path, body).await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_access_with_a_field_of_a_newer_release_is_rejected() {
    let Some(mut fleet) = Fleet::of(2, "[log]\nlevel = \"warn\"\n") else {
        return skipped("PostgreSQL");
    };
    let draft = |name: &str| json!({"name": name, "allow": ["127.0.0.1"]});
    let shop = made(&fleet.gateways[0], draft("shop")).await;
    let other = made(&fleet.gateways[0], draft("other")).await;
    let document = fleet.sql("SELECT document FROM chatgate.accesses WHERE name = 'shop'");
    write(
        &fleet,
        "shop",
        &document.replacen('{', "{\"only_on\": \"mondays\", ", 1),
    );
    // This release also starts over such a document.
    fleet.gateways.push(fleet.replica("started"));
    for gateway in &fleet.gateways {
        refuses(gateway, &shop).await;
        let called = read_as(gateway, "other", &other).await;
        assert_eq!(called.status, 200, "{}", called.body);
        let changed = admin(
            gateway,
            Method::PATCH,
            "accesses/other",
            json!({"note": "changed"}),
        )
        .await;
        assert_eq!(
            changed.header("chatgate-in-force"),
            "3/3",
            "{}",
            changed.body
        );
    }
    write(&fleet, "shop", &document);
    for gateway in &fleet.gateways {
        until("the access is served again", async || {
            degraded(gateway).await.is_null()
        })
        .await;
        let called = read_as(gateway, "shop", &shop).await;
        assert_eq!(called.status, 200, "{}", called.body);
    }
}
