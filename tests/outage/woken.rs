//! Replicas that were stopped for longer than their leases continue, as after a machine was paused: calls that were waiting for
//! them get nothing by what an operator took away in the meantime.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::stage::Stage;
use crate::harness::{Answer, Cluster, admin, pass, skipped, until};

/// The replica that serves nothing without its lease, the one that serves reads from what it knows, and the one that is not stopped.
const REFUSES: usize = 0;
const SERVES: usize = 1;
const LIVES: usize = 2;

/// Number of calls of each kind that wait for a replica when it continues.
const WAITING: usize = 12;

/// Time in which the waiting calls reach the sockets of the stopped replicas.
const ARRIVAL: Duration = Duration::from_millis(500);

/// What is taken away: the access of the stage, the token of another access, and the key of an operator.
struct Taken {
    stage: Stage,
    token: String,
    key: String,
    _cluster: Cluster,
}

impl Taken {
    async fn start() -> Option<Taken> {
        let cluster = Cluster::start().await?;
        let refuses = [("CHATGATE__REPLICAS__CUT_OFF", "refuse")];
        let url = || cluster.url();
        let replicas = [(url(), &refuses[..]), (url(), &[]), (url(), &[])];
        let stage = Stage::over(&replicas).await;
        let of_operator = async |path: &str, draft: Value| {
            let made = admin(&stage.gateways[LIVES], Method::POST, path, draft).await;
            assert_eq!(made.header("chatgate-in-force"), "3/3", "{}", made.body);
            made.json()
        };
        let other = json!({"name": "other", "allow": ["127.0.0.0/8"]});
        let other = of_operator("accesses", other).await;
        let form = [
            ("grant_type", &json!("client_credentials")),
            ("client_id", &other["client_id"]),
            ("client_secret", &other["password"]),
        ];
        let form = form.map(|(name, value)| (name, value.as_str().unwrap().to_owned()));
        let token = stage.client.post(stage.gateways[LIVES].url("/oauth/token"));
        let token = Answer::of(token.form(&form)).await.json();
        let key = json!({"name": "leaver", "role": "operator"});
        let key = of_operator("admin-keys", key).await;
        Some(Taken {
            token: token["access_token"].as_str().unwrap().to_owned(),
            key: key["key"].as_str().unwrap().to_owned(),
            stage,
            _cluster: cluster,
        })
    }

    fn by_token(&self, replica: usize) -> RequestBuilder {
        let url = self.stage.gateways[replica].url("/api/jwt/?class=chat&method=getchatchannels");
        self.stage.client.get(url).bearer_auth(&self.token)
    }

    fn by_key(&self, replica: usize) -> RequestBuilder {
        let url = self.stage.gateways[replica].admin;
        let url = format!("http://{url}/admin/v1/accesses/other");
        let change = self.stage.client.patch(url).bearer_auth(&self.key);
        change.body(json!({"note": "by the leaver"}).to_string())
    }

    /// Returns a request for all accesses with the hashes of their secrets.
    fn export_by_key(&self, replica: usize) -> RequestBuilder {
        let url = self.stage.gateways[replica].admin;
        let url = format!("http://{url}/admin/v1/export");
        self.stage.client.get(url).bearer_auth(&self.key)
    }

    /// Takes everything away while the replicas are stopped, when nobody waits for them any more.
    async fn revoke_everything(&self) {
        until("the leases of the others are over", async || {
            let suspended = self
                .stage
                .change(LIVES, json!({"state": "suspended"}))
                .await;
            suspended.header("chatgate-in-force") == "1/1"
        })
        .await;
        for (method, path, body) in [
            (Method::DELETE, "admin-keys/leaver", Value::Null),
            (Method::POST, "keys/rotate", json!({"revoke": true})),
        ] {
            let gone = admin(&self.stage.gateways[LIVES], method, path, body).await;
            assert_eq!(gone.header("chatgate-in-force"), "1/1", "{}", gone.body);
        }
    }

    /// Returns the status of each call by what was taken away.
    async fn statuses(&self, replica: usize) -> [u16; 3] {
        [
            Answer::of(self.stage.read(replica)).await.status,
            Answer::of(self.by_token(replica)).await.status,
            Answer::of(self.by_key(replica)).await.status,
        ]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_replica_accepts_nothing_that_was_revoked_while_it_was_stopped() {
    let Some(taken) = Taken::start().await else {
        return skipped("PostgreSQL");
    };
    let (stage, stopped) = (&taken.stage, [REFUSES, SERVES]);
    for replica in stopped {
        assert_eq!(taken.statuses(replica).await, [200; 3]);
        stage.gateways[replica].process.signal("STOP");
    }
    taken.revoke_everything().await;
    let mut waiting = JoinSet::new();
    let mut marks = Vec::new();
    for (n, replica) in (0..WAITING).flat_map(|n| stopped.map(|replica| (n, replica))) {
        let mark = format!("woken-{replica}-{n}");
        let mut calls = vec![
            stage.send(replica, &mark),
            taken.by_key(replica),
            taken.export_by_key(replica),
        ];
        if replica == REFUSES {
            calls.extend([stage.read(replica), taken.by_token(replica)]);
        }
        marks.push(mark);
        calls.into_iter().for_each(|call| {
            waiting.spawn(Answer::of(call));
        });
    }
    pass(ARRIVAL).await;
    for replica in stopped {
        stage.gateways[replica].process.signal("CONT");
    }
    while let Some(answer) = waiting.join_next().await {
        let answer = answer.unwrap();
        let is_refused = matches!(answer.status, 401 | 403 | 503);
        assert!(is_refused, "{}: {}", answer.status, answer.body);
    }
    for mark in &marks {
        assert_eq!(stage.upstream.taken(mark), 0, "{mark}");
    }
    for replica in stopped {
        until("it knows what it has missed", async || {
            taken.statuses(replica).await == [403, 401, 401]
        })
        .await;
        stage.is_whole(replica).await;
    }
}
