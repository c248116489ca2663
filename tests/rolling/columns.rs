//! Tests of a newer release that adds columns while this release serves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{Answer, Fleet, Gateway, admin, client, made, skipped};

const SETTINGS: &str = "[limits]\nper_address_per_minute = 4000000000\n[cache]\ngetchats = \"0s\"\n[log]\nlevel = \"warn\"\n";

/// The tables, without the journal's tables of single days.
const TABLES: &str = "SELECT relname FROM pg_class WHERE relnamespace = 'chatgate'::regnamespace
    AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname";

/// Makes calls of every kind that reads or writes tables until `is_over` is set. Returns the number of calls.
async fn call_on(gateway: &Gateway, at: usize, password: &str, is_over: &AtomicBool) -> usize {
    let (client, mut calls) = (client(), 0);
    while !is_over.load(Ordering::SeqCst) {
        let mark = format!("{at}-{calls}");
        let channel = [
            ("class", "chat"),
            ("platform", "whatsapp"),
            ("platformid", "100"),
        ];
        let send = [
            ("method", "sendmessage"),
            ("destination", "34600000000"),
            ("message", &*mark),
        ];
        let call = |form: &[(&str, &str)]| {
            let call = client.post(gateway.url("/api/basic/"));
            let call = call.basic_auth("shop", Some(password));
            call.form(&[&channel[..], form].concat())
        };
        let answers = [
            Answer::of(call(&[("method", "getchats")])).await,
            Answer::of(call(&send)).await,
            Answer::of(call(&send).header("Idempotency-Key", &mark)).await,
            Answer::of(call(&send).header("Idempotency-Key", &mark)).await,
            admin(
                gateway,
                Method::PATCH,
                "accesses/shop",
                json!({"note": mark}),
            )
            .await,
            admin(
                gateway,
                Method::GET,
                "journal?limit=10&access=shop",
                Value::Null,
            )
            .await,
            admin(gateway, Method::GET, "accesses/shop/changes", Value::Null).await,
            admin(gateway, Method::GET, "replicas", Value::Null).await,
        ];
        for (number, answer) in answers.iter().enumerate() {
            assert_eq!(answer.status, 200, "{number}: {}", answer.body);
        }
        calls += answers.len();
    }
    calls
}

#[tokio::test(flavor = "multi_thread")]
async fn adding_columns_under_load_fails_no_call() {
    let Some(mut fleet) = Fleet::of(2, SETTINGS) else {
        return skipped("PostgreSQL");
    };
    let draft = json!({"name": "shop", "allow": ["127.0.0.1"], "per_day": 1_000_000});
    let password = made(&fleet.gateways[0], draft).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let mut calling = JoinSet::new();
    for (at, gateway) in std::mem::take(&mut fleet.gateways).into_iter().enumerate() {
        let (password, is_over) = (password.clone(), Arc::clone(&is_over));
        calling.spawn(async move { call_on(&gateway, at, &password, &is_over).await });
    }
    let added = tokio::task::spawn_blocking(move || {
        let tables = fleet.sql(TABLES);
        let tables: Vec<_> = tables.lines().collect();
        for table in &tables {
            fleet.sql(&format!(
                "ALTER TABLE chatgate.{table} ADD COLUMN added text"
            ));
            fleet.sql(&format!(
                "ALTER TABLE chatgate.{table} ADD COLUMN counted integer NOT NULL DEFAULT 7"
            ));
        }
        let added = 2 * tables.len();
        // The fleet owns the upstream.
        (fleet, added)
    });
    let (_fleet, added) = added.await.unwrap();
    is_over.store(true, Ordering::SeqCst);
    let calls: usize = calling.join_all().await.into_iter().sum();
    println!("{added} columns added under {calls} calls: none failed");
    assert!(added > 20 && calls > 0);
}
