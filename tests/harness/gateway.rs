//! A gateway and a sandbox, each on its own ports.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;

use super::caller::client;
use super::process::Process;
use super::shared_store::{SharedStore, is_named, is_postgres};

/// The address of the ways in unless a test sets another one.
const ANY_PORT: &str = "127.0.0.1:0";

/// A running gateway.
pub struct Gateway {
    pub process: Process,
    pub public: SocketAddr,
    pub admin: SocketAddr,
    pub folder: Arc<TempDir>,
    /// The sandbox in front of which the gateway stands, if it has none of its own and needs one.
    pub sandbox: Option<Sandbox>,
}

impl Gateway {
    /// Starts a gateway with no configuration but its ports, so that tests use the defaults.
    pub fn start() -> Gateway {
        Gateway::configured("", &[])
    }

    /// Starts a gateway with a configuration file and an environment.
    pub fn configured(toml: &str, environment: &[(&str, &str)]) -> Gateway {
        Gateway::over(Arc::new(TempDir::new().unwrap()), toml, environment)
    }

    /// Starts a gateway over a data folder that may have been used before.
    pub fn over(folder: Arc<TempDir>, toml: &str, environment: &[(&str, &str)]) -> Gateway {
        Gateway::started((folder, ANY_PORT), toml, environment, Process::start)
    }

    /// Does the same with another binary than the one under test.
    pub fn by(
        binary: &str,
        folder: Arc<TempDir>,
        toml: &str,
        environment: &[(&str, &str)],
    ) -> Gateway {
        Gateway::started(
            (folder, ANY_PORT),
            toml,
            environment,
            |arguments, environment| Process::by(binary, arguments, environment),
        )
    }

    /// Starts a gateway with this limit of open files.
    pub fn with_files(files: u32, toml: &str, environment: &[(&str, &str)]) -> Gateway {
        let folder = (Arc::new(TempDir::new().unwrap()), ANY_PORT);
        Gateway::started(folder, toml, environment, |arguments, environment| {
            Process::with_files(files, arguments, environment)
        })
    }

    /// Starts a gateway on one core.
    pub fn on_one_core(toml: &str, environment: &[(&str, &str)]) -> Gateway {
        let folder = (Arc::new(TempDir::new().unwrap()), ANY_PORT);
        Gateway::started(folder, toml, environment, Process::on_one_core)
    }

    /// Starts a gateway with the ways in on this address, and with the sandbox and the demo access.
    pub fn listening(listen: &str, toml: &str) -> Gateway {
        let folder = Arc::new(TempDir::new().unwrap());
        let wanted = [("CHATGATE__UPSTREAM__SANDBOX", "true"), DEMO];
        Gateway::started((folder, listen), toml, &wanted, Process::start)
    }

    /// Starts a gateway at its own address over a data folder that may have been used before.
    pub fn at(folder: Arc<TempDir>, listen: &str, toml: &str) -> Gateway {
        Gateway::started((folder, listen), toml, &[], Process::start)
    }

    /// Starts a gateway over a data folder without waiting for it.
    pub fn unready(folder: &TempDir, toml: &str, environment: &[(&str, &str)]) -> Process {
        Gateway::begin((folder, ANY_PORT), toml, environment, Process::start).0
    }

    fn started(
        (folder, listen): (Arc<TempDir>, &str),
        toml: &str,
        environment: &[(&str, &str)],
        start: impl Fn(&[&str], &[(&str, &str)]) -> Process,
    ) -> Gateway {
        let (process, shared) = Gateway::begin((&folder, listen), toml, environment, start);
        let public = address_in(&process.wait_for("the public address", |line| {
            line.starts_with("Chatgate listens on")
        }));
        let admin = address_in(&process.wait_for("the admin address", |line| {
            line.starts_with("Operators' side")
        }));
        process.wait_for("the upstream", |line| line.starts_with("Upstream"));
        let mut gateway = Gateway {
            process,
            public,
            admin,
            folder,
            sandbox: None,
        };
        if let Some(shared) = shared {
            shared.complete(&mut gateway);
        }
        gateway
    }

    fn begin(
        (folder, listen): (&TempDir, &str),
        toml: &str,
        environment: &[(&str, &str)],
        start: impl Fn(&[&str], &[(&str, &str)]) -> Process,
    ) -> (Process, Option<SharedStore>) {
        let data = folder.path().join("data");
        let is_shared = is_postgres() && !is_named(environment);
        let shared = is_shared.then(|| SharedStore::of(folder, toml, environment));
        let listen = match &shared {
            Some(shared) if listen == ANY_PORT => &shared.listen,
            _ => listen,
        };
        let toml = shared.as_ref().map_or(toml, |shared| &shared.toml);
        let file = folder.path().join("chatgate.toml");
        std::fs::write(&file, toml).unwrap();
        let mut arguments = vec![
            "--data",
            data.to_str().unwrap(),
            "--listen",
            listen,
            "--admin",
            "127.0.0.1:0",
        ];
        if !toml.is_empty() {
            arguments.extend(["--config", file.to_str().unwrap()]);
        }
        // With a configured upstream, the gateway makes no demo access by itself.
        let is_upstream = |(name, _): &(&str, &str)| name.starts_with("CHATGATE__UPSTREAM__");
        let has_upstream = toml.contains("[upstream]") || environment.iter().any(is_upstream);
        let mut all = match &shared {
            Some(shared) => shared.environment(environment),
            None => environment.to_vec(),
        };
        if has_upstream && !is_named(&all) {
            all.push(DEMO);
        }
        (start(&arguments, &all), shared)
    }

    /// Returns the address of the sandbox behind the gateway: a separate one, or the gateway's own.
    pub fn sandbox_url(&self) -> String {
        if let Some(sandbox) = &self.sandbox {
            return format!("http://{}", sandbox.address);
        }
        let is_line = |line: &str| line.starts_with("Web chat");
        let line = self.process.wait_for("the web chat", is_line);
        let pages = line.split_whitespace().nth(2).unwrap();
        pages.trim_end_matches("/chat/,").to_owned()
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.public)
    }

    /// Returns the credentials of the demo access.
    pub fn demo(&self) -> Demo {
        let text = std::fs::read_to_string(self.data().join("demo.json")).unwrap();
        let demo: Value = serde_json::from_str(&text).unwrap();
        let member = |name: &str| demo[name].as_str().unwrap().to_owned();
        Demo {
            user: member("user"),
            password: member("password"),
            client_id: member("client_id"),
            client_secret: member("client_secret"),
        }
    }

    /// Returns the parsed lines of the request log.
    pub fn request_log(&self) -> Vec<Value> {
        let lines = self.process.lines();
        let parsed = lines
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        parsed
            .filter(|line| line["target"] == "chatgate::request")
            .collect()
    }

    /// Waits for the log line of one request and returns it.
    pub fn logged(&self, request_id: &str) -> Value {
        let mark = format!("request_id\":\"{request_id}\"");
        serde_json::from_str(
            &self
                .process
                .wait_for("the log line", |line| line.contains(&mark)),
        )
        .unwrap()
    }

    /// Returns the text of the metrics.
    pub async fn metrics(&self) -> String {
        let response = client()
            .get(format!("http://{}/metrics", self.admin))
            .send()
            .await
            .unwrap();
        response.text().await.unwrap()
    }
}

pub struct Demo {
    pub user: String,
    pub password: String,
    pub client_id: String,
    pub client_secret: String,
}

/// A separate sandbox whose faults and counts a test can reach.
pub struct Sandbox {
    _process: Process,
    pub address: SocketAddr,
}

/// The account of every sandbox in the tests.
pub const UPSTREAM_USER: &str = "upstream-user";
pub const UPSTREAM_PASSWORD: &str = "upstream-canary-password";

impl Sandbox {
    pub fn start() -> Sandbox {
        let arguments = [
            "sandbox",
            "--listen",
            "127.0.0.1:0",
            "--user",
            UPSTREAM_USER,
            "--password",
            UPSTREAM_PASSWORD,
        ];
        let process = Process::start(&arguments, &[]);
        let address = address_in(&process.wait_for("the sandbox", |line| {
            line.starts_with("The sandbox listens on")
        }));
        Sandbox {
            _process: process,
            address,
        }
    }

    /// Returns the configuration of a gateway in front of this sandbox.
    pub fn as_upstream(&self) -> String {
        upstream(self.address)
    }

    pub async fn faults(&self, faults: Value) {
        let url = format!("http://{}/sandbox/faults", self.address);
        let response = client()
            .put(url)
            .body(faults.to_string())
            .send()
            .await
            .unwrap();
        assert!(
            response.status().is_success(),
            "{}",
            response.text().await.unwrap()
        );
    }

    pub async fn sent(&self) -> Value {
        let response = client()
            .get(format!("http://{}/sandbox/sent", self.address))
            .send()
            .await
            .unwrap();
        serde_json::from_str(&response.text().await.unwrap()).unwrap()
    }
}

/// Returns the configuration of an upstream at this address with the tests' account. Its password is `env:UPSTREAM_PASSWORD`.
pub fn upstream(address: SocketAddr) -> String {
    format!(
        "[upstream]\nurl = \"http://{address}/api/http/\"\nuser = \"{UPSTREAM_USER}\"\npassword = \"env:UPSTREAM_PASSWORD\"\n"
    )
}

/// The environment variable that requests the demo access.
pub const DEMO: (&str, &str) = ("CHATGATE__SERVER__DEMO", "true");

/// The environment that goes with [`upstream`].
pub const UPSTREAM_ENVIRONMENT: (&str, &str) = ("UPSTREAM_PASSWORD", UPSTREAM_PASSWORD);

fn address_in(line: &str) -> SocketAddr {
    let at = line.find("://").unwrap() + "://".len();
    line[at..]
        .split([' ', '/'])
        .next()
        .unwrap()
        .parse()
        .unwrap()
}
