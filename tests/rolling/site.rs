//! Three replicas as in `deploy/replicas`, each on its own address, which a restart does not change.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use super::callers::ACCESS;
use super::service::{LEARNS_AFTER, Service};
use crate::crash::{seed, upstream::Counting};
use crate::harness::{
    ADMIN_KEY, Gateway, Process, SEAL, SERVER, SplitMix64, binary, made, new_listen, pass,
    repository, until,
};

pub(super) const REPLICAS: usize = 3;

/// The settings that the test's load needs in addition to the configuration.
const LOAD: [(&str, &str); 3] = [
    ("CHATGATE__LIMITS__PER_ADDRESS_PER_MINUTE", "4000000000"),
    ("CHATGATE__CACHE__GETCHATS", "0s"),
    ("CHATGATE__LOG__LEVEL", "warn"),
];

pub(super) struct Site {
    pub(super) gateways: Vec<Gateway>,
    pub(super) upstream: Counting,
    /// The address that callers call.
    pub(super) front: SocketAddr,
    pub(super) password: String,
    database: String,
}

impl Site {
    /// Starts the replicas. Returns `None` if PostgreSQL is missing.
    pub(super) async fn start() -> Option<Site> {
        let database = SERVER.as_ref()?.new_database();
        let upstream = Counting::start(SplitMix64(seed())).await;
        upstream.think(Duration::from_millis(1));
        let mut site = Site {
            gateways: Vec::new(),
            upstream,
            front: new_listen().parse().unwrap(),
            password: String::new(),
            database,
        };
        for replica in 0..REPLICAS {
            let public: SocketAddr = new_listen().parse().unwrap();
            let folder = Arc::new(TempDir::new().unwrap());
            site.write_files(folder.path());
            let gateway = site.gateway(replica, public, folder);
            site.gateways.push(gateway);
        }
        let draft = json!({"name": ACCESS, "allow": ["127.0.0.1"]});
        site.password = made(&site.gateways[0], draft).await;
        Some(site)
    }

    /// Writes the deployment's configuration and the secrets that it names.
    fn write_files(&self, folder: &Path) {
        let sample = repository().join("deploy/replicas/chatgate.toml");
        std::fs::copy(sample, folder.join("chatgate.toml")).unwrap();
        std::fs::create_dir(folder.join("data")).unwrap();
        for (name, text) in [
            ("upstream-password", "of-the-upstream"),
            ("database-url", &self.database),
            ("seal", SEAL),
            ("admin.key", ADMIN_KEY),
            // The tests look for the operator's key there.
            ("data/admin.key", ADMIN_KEY),
        ] {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }

    fn gateway(&self, replica: usize, public: SocketAddr, folder: Arc<TempDir>) -> Gateway {
        let admin = SocketAddr::new(public.ip(), public.port() + 1);
        let mut command = Command::new(binary());
        command.args(["serve", "--config", "chatgate.toml", "--data", "data"]);
        command.args([
            "--listen",
            &public.to_string(),
            "--admin",
            &admin.to_string(),
        ]);
        command.current_dir(folder.path());
        let (name, upstream) = (format!("replica-{replica}"), self.upstream.address);
        let url = format!("http://{}", self.front);
        let upstream = format!("http://{upstream}/api/http/");
        let environment = [
            ("CHATGATE__REPLICAS__NAME", &*name),
            ("CHATGATE__SERVER__PUBLIC_URL", &url),
            ("CHATGATE__UPSTREAM__URL", &upstream),
        ];
        let process = Process::of(command, &[&environment[..], &LOAD].concat());
        process.wait_for("the upstream", |line| line.starts_with("Upstream"));
        Gateway {
            process,
            public,
            admin,
            folder,
            sandbox: None,
        }
    }

    /// Ends a replica and starts another one in its place. A service learns of each after its usual delay.
    pub(super) async fn replace(&mut self, replica: usize, service: Option<&Service>) {
        let ending = self.gateways.remove(replica);
        let (public, folder) = (ending.public, Arc::clone(&ending.folder));
        ending.process.signal("TERM");
        if let Some(service) = service {
            pass(LEARNS_AFTER).await;
            service.remove(public);
        }
        let ended = tokio::task::block_in_place(|| ending.process.ended());
        assert_eq!(ended.0, Some(0), "{}", ended.1.join("\n"));
        let begun = tokio::task::block_in_place(|| self.gateway(replica, public, folder));
        match service {
            // The service sends new connections to the new replica from now on.
            Some(service) => service.add(public),
            // The next replica ends only when this one gets its part of the calls.
            None => {
                let has_calls = "chatgate_requests_total{";
                until("it gets calls", async || {
                    begun.metrics().await.contains(has_calls)
                })
                .await;
            }
        }
        self.gateways.insert(replica, begun);
    }
}
