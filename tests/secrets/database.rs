//! Searches for canaries in a shared database: in every row of every table, as the database's administrators and its backups see
//! them.

use reqwest::Method;
use serde_json::{Value, json};

use super::{CHOSEN, calls, forms, look_for_canaries};
use crate::harness::{Answer, Fleet, Gateway, Issuer, admin, client};

/// Query that returns every table with all its rows as text, bytes in hexadecimal.
const DUMP: &str = "SELECT string_agg(query_to_xml(format('SELECT t::text AS row FROM chatgate.%I t', relname), true, true, '')::text, '')
    FROM pg_class WHERE relnamespace = 'chatgate'::regnamespace AND relkind = 'r'";

async fn secret_of_a_webhook(gateway: &Gateway) -> String {
    let draft = json!({"access": "random", "url": "https://receiver.example/"});
    let made = admin(gateway, Method::POST, "webhooks", draft).await;
    assert_eq!(made.status, 201, "{}", made.body);
    made.json()["secret"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_stored_in_any_table_of_the_database() {
    let issuer = Issuer::new();
    let limits = "[limits]\nper_address_per_minute = 1000000\n[cache]\ngetchatchannels = \"0s\"\n";
    let toml = format!("{limits}{}", issuer.as_configuration());
    let Some(fleet) = Fleet::of(1, &toml) else {
        return;
    };
    let gateway = &fleet.gateways[0];
    let mut secrets = Vec::new();
    for (name, password) in [("random", Value::Null), ("chosen", json!(CHOSEN))] {
        let mut draft = json!({"name": name, "allow": ["127.0.0.0/8"], "journal": "full"});
        if !password.is_null() {
            draft["password"] = password;
        }
        let made = admin(gateway, Method::POST, "accesses", draft).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let made = made.json();
        let shown = made["password"].as_str().or(made["client_secret"].as_str());
        secrets.extend(
            shown
                .filter(|secret| secret.starts_with("cgs_"))
                .map(str::to_owned),
        );
    }
    assert_eq!(secrets.len(), 1);
    calls(gateway, &issuer).await;
    let answer = async |path: &str, field: &str| {
        let answer = admin(gateway, Method::POST, path, json!({})).await.json();
        answer[field].as_str().unwrap().to_owned()
    };
    secrets.push(answer("accesses/random/rotate", "password").await);
    let rotated = admin(gateway, Method::POST, "keys/rotate", Value::Null).await;
    assert_eq!(rotated.status, 200, "{}", rotated.body);
    let viewer = json!({"name": "looker", "role": "viewer"});
    let viewer = admin(gateway, Method::POST, "admin-keys", viewer)
        .await
        .json();
    secrets.push(viewer["key"].as_str().unwrap().to_owned());
    secrets.push(secret_of_a_webhook(gateway).await);
    let key = std::fs::read_to_string(gateway.data().join("admin.key")).unwrap();
    let form = client().post(format!("http://{}/console/sign-in", gateway.admin));
    let session = Answer::of(form.form(&[("key", key.trim())])).await;
    let session = session
        .header("set-cookie")
        .split([';', '='])
        .nth(1)
        .unwrap();
    secrets.extend([session.to_owned(), key.trim().to_owned()]);
    // Reading the journal has all rows written first.
    admin(gateway, Method::GET, "journal?limit=1", Value::Null).await;

    let dump = fleet.sql(DUMP);
    // Text that is in the database, which shows that the search would find it.
    for text in ["looker", "getchatchannels", "argon2id", "receiver.example"] {
        assert!(dump.contains(text), "{text}");
    }
    look_for_canaries("the database", &dump);
    for secret in secrets {
        assert!(secret.len() > 20, "{secret}");
        let found = forms(&secret).into_iter().find(|form| dump.contains(form));
        assert_eq!(found, None, "it stands in the database");
    }
}
