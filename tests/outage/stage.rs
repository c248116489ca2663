//! Replicas over a server that can fail, each with its own connection to it, in front of an upstream that counts.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::crash::{seed, upstream::Counting};
use crate::harness::{
    ADMIN_KEY, Answer, Cluster, Gateway, Link, Process, SEAL, SplitMix64, UPSTREAM_ENVIRONMENT,
    admin, binary, client, until, upstream,
};

const LIMITS: &str = "[limits]\nper_address_per_minute = 4000000000\nguesses_per_name = 4000000000\n\
    guesses_per_address = 4000000000\n[cache]\ngetchats = \"0s\"\n[log]\nlevel = \"warn\"\n";

/// The lease of every replica: the shortest permitted one.
pub(crate) const LEASE: Duration = Duration::from_secs(5);

/// The access that calls.
const NAME: &str = "caller";

pub(crate) struct Stage {
    pub(crate) gateways: Vec<Gateway>,
    pub(crate) upstream: Counting,
    pub(crate) client: reqwest::Client,
    /// Numbers of messages and requests, which are never repeated.
    pub(crate) numbers: Arc<AtomicU64>,
    client_id: String,
    secret: String,
    toml: String,
}

/// The pseudo-setting that names another binary for a replica than the one under test.
pub(crate) const BY_BINARY: &str = "CHATGATE_BINARY";

/// The settings of a replica in addition to the common ones.
pub(crate) type ReplicaSettings<'s> = &'s [(&'s str, &'s str)];

impl Stage {
    /// Starts replicas over the databases of these URLs, each with its own settings.
    pub(crate) async fn over(replicas: &[(String, ReplicaSettings<'_>)]) -> Stage {
        let upstream_calls = Counting::start(SplitMix64(seed())).await;
        let toml = format!(
            "[store]\nkind = \"postgres\"\nurl = \"env:TEST_DATABASE\"\nseal = \"env:TEST_SEAL\"\n\
             [admin]\nkey = \"env:TEST_ADMIN_KEY\"\n[server]\npublic_url = \"http://chat.test\"\n\
             [replicas]\nlease = \"5s\"\n{}{LIMITS}",
            upstream(upstream_calls.address)
        );
        let mut stage = Stage {
            gateways: Vec::new(),
            upstream: upstream_calls,
            client: client(),
            numbers: Arc::default(),
            client_id: String::new(),
            secret: String::new(),
            toml,
        };
        for (url, settings) in replicas {
            let gateway = stage.replica(url, settings);
            stage.gateways.push(gateway);
        }
        (stage.client_id, stage.secret) = stage.access().await;
        stage
    }

    /// Starts this many replicas over one database.
    pub(crate) async fn of(count: usize, url: &str) -> Stage {
        let all: Vec<_> = (0..count).map(|_| (url.to_owned(), &[][..])).collect();
        Stage::over(&all).await
    }

    /// Starts a further replica.
    pub(crate) fn replica(&self, url: &str, settings: ReplicaSettings<'_>) -> Gateway {
        let folder = Arc::new(TempDir::new().unwrap());
        // The tests look for the operator's key there.
        std::fs::create_dir(folder.path().join("data")).unwrap();
        std::fs::write(folder.path().join("data/admin.key"), ADMIN_KEY).unwrap();
        let name = format!("replica-{}", self.gateways.len());
        let environment = [
            &environment(url)[..],
            &[("CHATGATE__REPLICAS__NAME", &name)],
            settings,
        ];
        let by = settings.iter().find(|(name, _)| *name == BY_BINARY);
        let by = by.map_or(binary(), |(_, path)| *path);
        Gateway::by(by, folder, &self.toml, &environment.concat())
    }

    /// Starts a replica that is expected to fail.
    pub(crate) fn try_replica(&self, url: &str, settings: ReplicaSettings<'_>) -> Process {
        let file = self.gateways[0].folder.path().join("chatgate.toml");
        let config = ["--config", file.to_str().unwrap()];
        let listen = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        Process::start(
            &[&config[..], &listen].concat(),
            &[&environment(url)[..], settings].concat(),
        )
    }

    /// Makes the access that calls, and returns its client id and its password.
    async fn access(&self) -> (String, String) {
        let draft = json!({"name": NAME, "allow": ["127.0.0.0/8"]});
        let made = admin(&self.gateways[0], Method::POST, "accesses", draft).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let text = |name: &str| made.json()[name].as_str().unwrap().to_owned();
        (text("client_id"), text("password"))
    }

    /// Returns a call by this stage's access.
    pub(crate) fn call(&self, replica: usize, form: &[(&str, &str)]) -> reqwest::RequestBuilder {
        let url = self.gateways[replica].url("/api/basic/");
        let call = self.client.post(url).basic_auth(NAME, Some(&self.secret));
        call.form(&[&[("class", "chat")], form].concat())
    }

    /// Returns a request for a token to a replica.
    pub(crate) fn token(&self, replica: usize) -> reqwest::RequestBuilder {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &self.client_id),
            ("client_secret", &self.secret),
        ];
        let url = self.gateways[replica].url("/oauth/token");
        self.client.post(url).form(&form)
    }

    pub(crate) fn read(&self, replica: usize) -> reqwest::RequestBuilder {
        let channel = [("platform", "whatsapp"), ("platformid", "100")];
        self.call(replica, &[&[("method", "getchats")], &channel[..]].concat())
    }

    pub(crate) fn send(&self, replica: usize, mark: &str) -> reqwest::RequestBuilder {
        self.call(
            replica,
            &[
                ("method", "sendmessage"),
                ("platform", "whatsapp"),
                ("platformid", "100"),
                ("destination", "34600000000"),
                ("message", mark),
            ],
        )
    }

    pub(crate) fn keyed(&self, replica: usize, mark: &str) -> reqwest::RequestBuilder {
        self.send(replica, mark).header("Idempotency-Key", mark)
    }

    /// Changes the access at a replica.
    pub(crate) async fn change(&self, replica: usize, change: Value) -> Answer {
        let path = format!("accesses/{NAME}");
        admin(&self.gateways[replica], Method::PATCH, &path, change).await
    }

    pub(crate) async fn ready(&self, replica: usize) -> Answer {
        let url = format!("http://{}/readyz", self.gateways[replica].admin);
        Answer::of(self.client.get(url)).await
    }

    pub(crate) async fn status(&self, replica: usize) -> Value {
        admin(&self.gateways[replica], Method::GET, "status", Value::Null)
            .await
            .json()
    }

    /// Waits until a replica is ready and not degraded.
    pub(crate) async fn is_whole(&self, replica: usize) {
        until("nothing is degraded", async || {
            let ready = self.ready(replica).await;
            ready.status == 200 && !ready.body.contains("degraded")
        })
        .await;
    }
}

/// Returns the common environment of all replicas over a database.
fn environment(url: &str) -> [(&'static str, &str); 5] {
    [
        UPSTREAM_ENVIRONMENT,
        ("CHATGATE__STORE__KIND", "postgres"),
        ("TEST_DATABASE", url),
        ("TEST_SEAL", SEAL),
        ("TEST_ADMIN_KEY", ADMIN_KEY),
    ]
}

/// Returns a link to a server, and the URL of the database behind it.
pub(crate) fn linked(cluster: &Cluster) -> (Link, String) {
    let link = Link::to(cluster.socket());
    let url = format!("postgres://chatgate@{}/chatgate", link.address);
    (link, url)
}
