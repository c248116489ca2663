//! Tests of replicas that start concurrently on an empty database.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use reqwest::Method;
use serde_json::Value;

use crate::crash::callers;
use crate::harness::{Answer, Fleet, admin, client, load, skipped};

const REPLICAS: usize = 3;

/// Query that counts the rows that must exist once, however many replicas start, and the replicas, which have a row each.
const MADE: &str = "SELECT concat_ws(' ',
    (SELECT count(*) FROM chatgate.deployment), (SELECT count(*) FROM chatgate.facts),
    (SELECT string_agg(split_part(purpose, '/', 1), ',' ORDER BY purpose) FROM chatgate.keys),
    (SELECT count(*) FROM chatgate.admin_keys), (SELECT count(*) FROM chatgate.accesses),
    (SELECT count(*) FROM chatgate.replicas WHERE lease_until > now()))";

/// An upstream that is never called.
const UPSTREAM: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9);

#[tokio::test]
async fn replicas_that_start_concurrently_initialize_an_empty_database_once() {
    let times = load(3, 50);
    for number in 0..times {
        let accesses = (&*callers::accesses(), &callers::environment()[..]);
        let Some(fleet) = Fleet::in_front_of(UPSTREAM, REPLICAS, accesses) else {
            return skipped("PostgreSQL");
        };
        let made = fleet.sql(MADE);
        assert_eq!(made, "1 1 events,journal,secrets,tokens 1 3 3", "{number}");
        let mut published = Vec::new();
        for gateway in &fleet.gateways {
            let status = admin(gateway, Method::GET, "status", &Value::Null).await;
            assert_eq!(status.status, 200, "{number}: {}", status.body);
            let jwks = client().get(gateway.url("/.well-known/jwks.json"));
            published.push(Answer::of(jwks).await.body);
        }
        assert!(
            published.iter().all(|one| *one == published[0]),
            "{published:?}"
        );
    }
    println!(
        "{times} times {REPLICAS} replicas at once on an empty database: one of everything each time"
    );
}
