//! Starts what a test needs and ends it: gateways and sandboxes as real processes on ports of their own, callers as HTTP
//! clients with any source address of the loopback network.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::Duration;

use adapter_jwt::{Algorithm, Claims, SigningKey};
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;
use tempfile::TempDir;

/// Longest wait for a process to say something: a busy machine, not a figure to measure.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that is ended, by its id, when the test ends.
pub struct Process {
    child: Child,
    lines: Arc<(Mutex<Vec<String>>, Condvar)>,
}

impl Process {
    /// Starts the binary under test and keeps every line that it prints.
    pub fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Process {
        let mut command = Command::new(binary());
        command.args(arguments);
        Process::of(command, environment)
    }

    /// Likewise, with so many files that it may have open, however much it asks for more.
    pub fn with_files(files: u32, arguments: &[&str], environment: &[(&str, &str)]) -> Process {
        let mut command = Command::new("sh");
        let limited = "ulimit -n \"$0\" && exec \"$@\"";
        command.args(["-c", limited, &files.to_string(), binary()]);
        command.args(arguments);
        Process::of(command, environment)
    }

    /// Likewise, on one core, so that one thread serves all that come.
    pub fn on_one_core(arguments: &[&str], environment: &[(&str, &str)]) -> Process {
        let mut command = Command::new("taskset");
        command.args(["-c", "0", binary()]).args(arguments);
        Process::of(command, environment)
    }

    fn of(mut command: Command, environment: &[(&str, &str)]) -> Process {
        let mut child = command
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        for output in [
            Box::new(child.stdout.take().unwrap()) as Box<dyn std::io::Read + Send>,
            Box::new(child.stderr.take().unwrap()),
        ] {
            let lines = Arc::clone(&lines);
            std::thread::spawn(move || {
                for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                    lines
                        .0
                        .lock()
                        .unwrap()
                        .push(String::from_utf8_lossy(&line).into_owned());
                    lines.1.notify_all();
                }
            });
        }
        Process { child, lines }
    }

    /// Likewise by this command, whose output is what the test has made it. No line is kept.
    pub fn unheard(mut command: Command) -> Process {
        let child = command.stdin(Stdio::null()).spawn().unwrap();
        // The command holds its descriptors; a pipe has to end with the process.
        drop(command);
        Process {
            child,
            lines: Arc::default(),
        }
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.0.lock().unwrap().clone()
    }

    /// Waits until a line fits, and gives it back.
    pub fn wait_for(&self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        let lines = self.lines.0.lock().unwrap();
        let missing = |lines: &mut Vec<String>| !lines.iter().any(|line| fits(line));
        let (lines, _) = self
            .lines
            .1
            .wait_timeout_while(lines, PATIENCE, missing)
            .unwrap();
        match lines.iter().find(|line| fits(line)) {
            Some(line) => line.clone(),
            None => panic!(
                "{what} did not come; the process said:\n{}",
                lines.join("\n")
            ),
        }
    }

    /// Bytes of memory that it has.
    pub fn rss(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        kib.unwrap().parse::<usize>().unwrap() * 1024
    }

    /// How many files it has open.
    pub fn descriptors(&self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        open.unwrap().count()
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        // The shell's own: the program of that name is in a package that a small machine lacks.
        assert!(
            Command::new("sh")
                .args(["-c", "kill -s \"$0\" \"$1\"", name, &id])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits for the end and gives back the exit code.
    pub fn ended(mut self) -> (Option<i32>, Vec<String>) {
        let code = self.child.wait().unwrap().code();
        (code, self.lines())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary under test.
pub fn binary() -> &'static str {
    static BINARY: OnceLock<String> = OnceLock::new();
    BINARY.get_or_init(|| {
        // An optimised one where figures are compared.
        let given = std::env::var_os("CHATGATE_BINARY").and_then(|given| given.into_string().ok());
        given.unwrap_or_else(|| env!("CARGO_BIN_EXE_chatgate").to_owned())
    })
}

/// The folder of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// A running gateway.
pub struct Gateway {
    pub process: Process,
    pub public: SocketAddr,
    pub admin: SocketAddr,
    pub folder: Arc<TempDir>,
}

impl Gateway {
    /// With no configuration but ports of its own: the default is the real path.
    pub fn start() -> Gateway {
        Gateway::configured("", &[])
    }

    /// With a configuration file and an environment.
    pub fn configured(toml: &str, environment: &[(&str, &str)]) -> Gateway {
        Gateway::over(Arc::new(TempDir::new().unwrap()), toml, environment)
    }

    /// Over a data folder that may have been used before.
    pub fn over(folder: Arc<TempDir>, toml: &str, environment: &[(&str, &str)]) -> Gateway {
        Gateway::started((folder, "127.0.0.1:0"), toml, environment, Process::start)
    }

    /// With so many files that it may have open.
    pub fn with_files(files: u32, toml: &str, environment: &[(&str, &str)]) -> Gateway {
        let folder = (Arc::new(TempDir::new().unwrap()), "127.0.0.1:0");
        Gateway::started(folder, toml, environment, |arguments, environment| {
            Process::with_files(files, arguments, environment)
        })
    }

    /// On one core.
    pub fn on_one_core(toml: &str, environment: &[(&str, &str)]) -> Gateway {
        let folder = (Arc::new(TempDir::new().unwrap()), "127.0.0.1:0");
        Gateway::started(folder, toml, environment, Process::on_one_core)
    }

    /// With the ways in on an address of one's choice, the sandbox and the demo access there too.
    pub fn listening(listen: &str, toml: &str) -> Gateway {
        let folder = Arc::new(TempDir::new().unwrap());
        let wanted = [("CHATGATE__UPSTREAM__SANDBOX", "true"), DEMO];
        Gateway::started((folder, listen), toml, &wanted, Process::start)
    }

    fn started(
        (folder, listen): (Arc<TempDir>, &str),
        toml: &str,
        environment: &[(&str, &str)],
        start: impl Fn(&[&str], &[(&str, &str)]) -> Process,
    ) -> Gateway {
        let file = folder.path().join("chatgate.toml");
        std::fs::write(&file, toml).unwrap();
        let data = folder.path().join("data");
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
        // By itself no demo access is made beside an upstream.
        let is_upstream = |(name, _): &(&str, &str)| name.starts_with("CHATGATE__UPSTREAM__");
        let has_upstream = toml.contains("[upstream]") || environment.iter().any(is_upstream);
        let demo = if has_upstream { &[DEMO][..] } else { &[] };
        let process = start(&arguments, &[environment, demo].concat());
        let public = address_in(&process.wait_for("the public address", |line| {
            line.starts_with("Chatgate listens on")
        }));
        let admin = address_in(&process.wait_for("the admin address", |line| {
            line.starts_with("Operators' side")
        }));
        process.wait_for("the upstream", |line| line.starts_with("Upstream"));
        Gateway {
            process,
            public,
            admin,
            folder,
        }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.public)
    }

    /// The credentials of the demo access.
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

    /// The lines of the request log, parsed.
    pub fn request_log(&self) -> Vec<Value> {
        let lines = self.process.lines();
        let parsed = lines
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        parsed
            .filter(|line| line["target"] == "chatgate::request")
            .collect()
    }

    /// The log line of one request, waited for.
    pub fn logged(&self, request_id: &str) -> Value {
        let mark = format!("request_id\":\"{request_id}\"");
        serde_json::from_str(
            &self
                .process
                .wait_for("the log line", |line| line.contains(&mark)),
        )
        .unwrap()
    }

    /// A request to the admin API with the first operator's key.
    pub async fn ask(&self, method: reqwest::Method, path: &str, body: &Value) -> Answer {
        let key = std::fs::read_to_string(self.data().join("admin.key")).unwrap();
        let url = format!("http://{}/admin/v1/{path}", self.admin);
        let request = client().request(method, url).bearer_auth(key.trim());
        Answer::of(request.body(body.to_string())).await
    }

    /// The text of the metrics.
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

/// A sandbox of its own, whose faults and counts a test can reach.
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

    /// The configuration of a gateway in front of it.
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

/// The configuration of an upstream at this address with the account of the tests. Read by `env:UPSTREAM_PASSWORD`.
pub fn upstream(address: SocketAddr) -> String {
    format!(
        "[upstream]\nurl = \"http://{address}/api/http/\"\nuser = \"{UPSTREAM_USER}\"\npassword = \"env:UPSTREAM_PASSWORD\"\n"
    )
}

/// The environment that asks for the demo access.
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

/// A client that does nothing of its own accord.
pub fn client() -> reqwest::Client {
    client_from(IpAddr::from([127, 0, 0, 1]))
}

/// The same with a source address of one's choice.
pub fn client_from(address: IpAddr) -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .redirect(reqwest::redirect::Policy::none())
        .local_address(address)
        .build()
        .unwrap()
}

/// An answer as a test compares it.
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: String,
}

impl Answer {
    pub async fn of(request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer {
            status,
            headers,
            body: response.text().await.unwrap(),
        }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }
}

/// An outside issuer whose tokens a gateway can be told to take.
pub struct Issuer {
    key: SigningKey,
    pair: Ed25519KeyPair,
    jwks: PathBuf,
    _folder: TempDir,
}

pub const ISSUER: &str = "https://issuer.example";
pub const AUDIENCE: &str = "chatgate-tests";

impl Issuer {
    pub fn new() -> Issuer {
        let der = SigningKey::generate_pkcs8(Algorithm::EdDsa).unwrap();
        let key = SigningKey::from_pkcs8(Algorithm::EdDsa, &der).unwrap();
        let folder = TempDir::new().unwrap();
        let jwks = folder.path().join("jwks.json");
        std::fs::write(&jwks, adapter_jwt::jwks(&[&key])).unwrap();
        Issuer {
            key,
            pair: Ed25519KeyPair::from_pkcs8(&der).unwrap(),
            jwks,
            _folder: folder,
        }
    }

    pub fn as_configuration(&self) -> String {
        let jwks = self.jwks.display();
        format!(
            "[[jwt.issuers]]\nissuer = \"{ISSUER}\"\njwks = \"{jwks}\"\naudience = [\"{AUDIENCE}\"]\naccesses = [\"*\"]\n"
        )
    }

    /// The document with its key.
    pub fn jwks(&self) -> String {
        std::fs::read_to_string(&self.jwks).unwrap()
    }

    /// A token for an access that lives so many seconds.
    pub fn token(&self, access: &str, life_s: i64) -> String {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let now = i64::try_from(now).unwrap();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: access.to_owned(),
            client_id: "outside".to_owned(),
            exp: now + life_s,
            iat: now - 1000,
            jti: "1".to_owned(),
            scope: "chat".to_owned(),
            token_generation: 0,
        };
        self.key.sign(&claims).unwrap()
    }

    /// A token with these claims besides those that it needs.
    pub fn token_with(&self, claims: &Value) -> String {
        self.token_of(&serde_json::json!({}), claims)
    }

    /// The claims that a token needs, and these.
    pub fn claims(claims: &Value) -> Value {
        let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
        let mut all = serde_json::json!({"iss": ISSUER, "aud": AUDIENCE, "exp": now + 300});
        let members = all.as_object_mut().unwrap();
        members.extend(claims.as_object().unwrap().clone());
        all
    }

    /// Likewise, with these members of its header besides the usual ones.
    pub fn token_of(&self, header: &Value, claims: &Value) -> String {
        let mut usual = serde_json::json!({"alg": "EdDSA", "typ": "JWT", "kid": self.key.kid()});
        let members = usual.as_object_mut().unwrap();
        members.extend(header.as_object().unwrap().clone());
        let encode = |part: &Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", encode(&usual), encode(&Issuer::claims(claims)));
        let signature = self.pair.sign(message.as_bytes());
        format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

/// The id under which its caller knows a request, of its row or its line.
pub fn told_id(row: &Value) -> Option<&str> {
    let ids = [&row["caller_request_id"], &row["request_id"]];
    let mut told = ids.into_iter().filter_map(Value::as_str);
    told.find(|id| !id.is_empty())
}

/// A SOAP 1.1 envelope around one call.
pub fn envelope(method: &str, parameters: &[(&str, &str)]) -> String {
    let mut children = String::new();
    for (name, value) in parameters {
        write!(children, "<{name}>{}</{name}>", escaped(value)).unwrap();
    }
    format!(
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>\
         <{method} xmlns=\"urn:chatgate:chat:v1\">{children}</{method}></s:Body></s:Envelope>"
    )
}

/// Text as XML carries it; CR as a reference, since a parser turns a bare one into LF.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\r', "&#13;")
}

/// How much of a load a test makes: a sample for every day, all of it where `CHATGATE_LOAD` is `full`.
pub fn load(sample: usize, full: usize) -> usize {
    let is_full = std::env::var_os("CHATGATE_LOAD").is_some_and(|load| load == "full");
    if is_full { full } else { sample }
}

/// A request to the admin API with the first operator's key; without a body if it is null.
pub async fn admin(gateway: &Gateway, method: reqwest::Method, path: &str, body: &Value) -> Answer {
    Answer::of(admin_request(&client(), gateway, method, path, body)).await
}

/// The same, not sent yet, over a client whose connections are kept.
pub fn admin_request(
    client: &reqwest::Client,
    gateway: &Gateway,
    method: reqwest::Method,
    path: &str,
    body: &Value,
) -> reqwest::RequestBuilder {
    let key = std::fs::read_to_string(gateway.data().join("admin.key")).unwrap();
    let url = format!("http://{}/admin/v1/{path}", gateway.admin);
    let request = client.request(method, url).bearer_auth(key.trim());
    if body.is_null() {
        request
    } else {
        request.body(body.to_string())
    }
}
