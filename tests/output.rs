//! Tests of a gateway whose standard output and standard error take nothing: a pipe that nobody reads, a pipe whose reader is gone,
//! a full disk, or no descriptor at all; from the start, under load and at the end. Callers notice nothing, the shutdown is
//! orderly, and no row is missing.
//!
//! Any build runs a sample. `tests/release output` runs everything with the promised ratio.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::harness::{Answer, Gateway, Process, binary, client, load, until};
use crate::load::client::{address, ask, at, connect};

/// Longest wait for an expected event. It allows for a busy machine and is not a measured figure.
const PATIENCE: Duration = Duration::from_secs(60);

/// Maximum time of a shutdown in addition to the calls under way: two seconds for the log, two for a last message, and the end of
/// the process.
const END_MAX: Duration = Duration::from_secs(15);

/// Number of concurrent callers.
const CALLERS: usize = 8;

/// Default capacity of a pipe, in bytes.
const PIPE_BYTES: usize = 64 * 1024;

const ENVIRONMENT: [(&str, &str); 1] = [("A", "correct horse")];

/// The ways in and the operators' side have their own addresses, by which the test finds their ports when nothing is printed.
const LISTEN: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const ADMIN: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

fn configuration(level: &str) -> String {
    format!(
        "[[accesses]]\nname = \"a\"\nuser = \"a\"\npassword = \"env:A\"\nallow = [\"127.0.0.0/8\"]\n\
         [limits]\nper_address_per_minute = 1000000\n[cache]\ngetchatchannels = \"0\"\n[log]\nlevel = \"{level}\"\n"
    )
}

/// The destination of the process's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    /// The output is accepted.
    Taken,
    /// A full pipe that nobody reads.
    Unread,
    /// A pipe whose reader is gone.
    Closed,
    /// A full disk.
    Full,
    /// The descriptor does not exist.
    Missing,
}

impl Output {
    /// Returns the output for the process, and the end of a pipe that has to stay open until the process ends.
    fn open(self) -> (Stdio, Option<PipeReader>) {
        match self {
            Output::Taken | Output::Missing => (Stdio::null(), None),
            Output::Full => {
                let full = File::options().write(true).open("/dev/full").unwrap();
                (full.into(), None)
            }
            Output::Closed => (std::io::pipe().unwrap().1.into(), None),
            Output::Unread => {
                let (reader, mut writer) = std::io::pipe().unwrap();
                writer.write_all(&vec![b'\n'; PIPE_BYTES]).unwrap();
                (writer.into(), Some(reader))
            }
        }
    }
}

/// A gateway that writes to such outputs.
struct Unheard {
    gateway: Gateway,
    _readers: [Option<PipeReader>; 2],
}

impl Unheard {
    async fn start(stdout: Output, stderr: Output) -> Unheard {
        let (closed, mut redirect) = ([stdout, stderr], String::from("exec \"$@\""));
        for (output, closing) in closed.into_iter().zip([" >&-", " 2>&-"]) {
            if output == Output::Missing {
                redirect.push_str(closing);
            }
        }
        let (out, out_reader) = stdout.open();
        let (err, err_reader) = stderr.open();
        Unheard {
            gateway: start(&redirect, "info", (out, err)).await,
            _readers: [out_reader, err_reader],
        }
    }
}

/// Starts a gateway with this shell command and waits until it is ready.
async fn start(shell: &str, level: &str, (out, err): (Stdio, Stdio)) -> Gateway {
    let folder = Arc::new(TempDir::new().unwrap());
    let file = folder.path().join("chatgate.toml");
    std::fs::write(&file, configuration(level)).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", shell, "sh", binary(), "--config"]);
    command
        .arg(&file)
        .arg("--data")
        .arg(folder.path().join("data"));
    command.args(["--listen", &format!("{LISTEN}:0")]);
    command.args(["--admin", &format!("{ADMIN}:0")]);
    command.envs(ENVIRONMENT).stdout(out).stderr(err);
    let process = Process::unheard(command);
    until("it listens", async || listening(process.id()).len() == 2).await;
    let found = listening(process.id());
    let gateway = Gateway {
        public: (LISTEN, found[&LISTEN]).into(),
        admin: (ADMIN, found[&ADMIN]).into(),
        process,
        folder,
        sandbox: None,
    };
    let ready = format!("http://{}/readyz", gateway.admin);
    until("it gets ready", async || {
        Answer::of(client().get(&ready)).await.status == 200
    })
    .await;
    gateway
}

#[tokio::test]
async fn a_sandbox_serves_calls_if_its_output_is_full_closed_or_unread() {
    for output in [Output::Full, Output::Closed, Output::Unread] {
        let (stdout, _reader) = output.open();
        let mut command = Command::new(binary());
        command.args(["sandbox", "--user", "u", "--password", "p"]);
        command.args(["--listen", &format!("{LISTEN}:0")]);
        command.stdout(stdout).stderr(Stdio::null());
        let process = Process::unheard(command);
        until("it listens", async || listening(process.id()).len() == 1).await;
        let port = listening(process.id())[&LISTEN];
        let url = format!("http://{LISTEN}:{port}/api/http/");
        let call = [
            ("class", "chat"),
            ("method", "getchatchannels"),
            ("user", "u"),
            ("password", "p"),
        ];
        let answer = Answer::of(client().post(url).form(&call)).await;
        assert!(
            answer.body.contains("SUCCESS"),
            "{output:?}: {}",
            answer.body
        );
    }
}

/// Returns the ports on which a process listens on one of our two addresses.
fn listening(process: u32) -> HashMap<Ipv4Addr, u16> {
    let open = std::fs::read_dir(format!("/proc/{process}/fd"));
    let open = open.into_iter().flatten().flatten();
    let links = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let sockets: HashSet<_> = links.map(|link| link.display().to_string()).collect();
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let mut found = HashMap::new();
    for line in table.lines().skip(1) {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (address, port) = fields[1].split_once(':').unwrap();
        let address = u32::from_str_radix(address, 16).unwrap().to_le_bytes();
        let is_ours = fields[3] == "0A" && sockets.contains(&format!("socket:[{}]", fields[9]));
        if is_ours && [LISTEN, ADMIN].contains(&address.into()) {
            found.insert(address.into(), u16::from_str_radix(port, 16).unwrap());
        }
    }
    found
}

/// Has each caller make this many calls, one after the other, and returns the time of each call.
async fn call(to: SocketAddr, run: &str, each: usize) -> Vec<Duration> {
    let mut calling = JoinSet::new();
    for caller in 0..CALLERS {
        let run = run.to_owned();
        calling.spawn(async move {
            let mut stream = connect(to, address(9, caller)).await.unwrap();
            let mut took = Vec::new();
            for n in 0..each {
                let began = Instant::now();
                let request = request(&format!("{run}-{caller}-{n}"));
                let answer = tokio::time::timeout(PATIENCE, ask(&mut stream, &request)).await;
                assert_eq!(answer.expect("no answer").unwrap(), 200);
                took.push(began.elapsed());
            }
            took
        });
    }
    calling.join_all().await.concat()
}

/// Number of strangers for each round of calls. Each one gets its own log line, so that a few rounds produce more lines than fit.
const STRANGERS: usize = 1_200;

const STRANGE: &str = "GET /nothing HTTP/1.1\r\nHost: x\r\nUser-Agent: somebody who is refused and has a long name\r\n\r\n";

fn request(id: &str) -> Vec<u8> {
    let query = "class=chat&method=getchatchannels&user=a&password=correct%20horse";
    let head = format!("Host: x\r\nX-Request-ID: {id}\r\n\r\n");
    format!("GET /api/http/?{query} HTTP/1.1\r\n{head}").into_bytes()
}

/// Makes the first call, which proves the password.
async fn prove(gateway: &Gateway) {
    let mut stream = connect(gateway.public, address(9, 0)).await.unwrap();
    assert_eq!(ask(&mut stream, &request("first")).await.unwrap(), 200);
}

/// Returns the number of dropped lines of this class.
async fn dropped(gateway: &Gateway, class: &str) -> usize {
    let metrics = gateway.metrics().await;
    let name = format!("chatgate_log_dropped_total{{class=\"{class}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
}

/// Ends the gateway, and has another gateway look up the rows of all calls of these runs.
async fn end(gateway: Gateway, what: &str, runs: &[(&str, usize)]) {
    let (folder, began) = (Arc::clone(&gateway.folder), Instant::now());
    gateway.process.signal("TERM");
    let (code, _) = gateway.process.ended();
    assert_eq!(code, Some(0), "{what}");
    assert!(began.elapsed() < END_MAX, "{what}: {:?}", began.elapsed());
    let gateway = Gateway::over(folder, &configuration("info"), &ENVIRONMENT);
    let url = format!("http://{}/admin/v1/journal", gateway.admin);
    let key = std::fs::read_to_string(gateway.data().join("admin.key")).unwrap();
    let rows = client().get(url).bearer_auth(key.trim());
    let rows = Answer::of(rows.header("Accept", "application/x-ndjson")).await;
    let id = |line: &str| {
        serde_json::from_str::<serde_json::Value>(line).unwrap()["caller_request_id"].clone()
    };
    let ids: HashSet<_> = rows.body.lines().map(id).collect();
    for (run, each) in runs {
        for (caller, n) in (0..CALLERS).flat_map(|caller| (0..*each).map(move |n| (caller, n))) {
            let id = format!("{run}-{caller}-{n}");
            assert!(ids.contains(&id.as_str().into()), "{what}: no row of {id}");
        }
    }
}

/// Compares a run with a quiet one. On a machine that is fit for measurements, the run may be at most twice as slow.
fn compare(what: &str, quiet: &mut [Duration], met: &mut [Duration]) {
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let (quiet, here) = (ms(at(quiet, 990)), ms(at(met, 990)));
    let (ratio, calls) = (here / quiet, met.len());
    println!(
        "output: {what}: {calls} calls, p99 {here:.2} ms after {quiet:.2} ms, ratio {ratio:.2}"
    );
    assert!(load(0, 1) == 0 || ratio <= 2.0, "{what}: {ratio}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_output_from_the_start_does_not_affect_callers() {
    let each = load(100, 10_000);
    let quiet = Unheard::start(Output::Taken, Output::Taken).await;
    prove(&quiet.gateway).await;
    call(quiet.gateway.public, "warm", each / 10).await;
    let mut quiet_calls = call(quiet.gateway.public, "quiet", each).await;
    assert_eq!(dropped(&quiet.gateway, "known").await, 0);
    end(quiet.gateway, "quiet", &[("quiet", each)]).await;
    for output in [
        Output::Unread,
        Output::Closed,
        Output::Full,
        Output::Missing,
    ] {
        let mut pairs = vec![(output, output)];
        if load(0, 1) == 1 {
            pairs.extend([(output, Output::Taken), (Output::Taken, output)]);
        }
        for (stdout, stderr) in pairs {
            let what = format!("stdout {stdout:?}, stderr {stderr:?}");
            let unheard = Unheard::start(stdout, stderr).await;
            prove(&unheard.gateway).await;
            call(unheard.gateway.public, "warm", each / 10).await;
            let mut met = call(unheard.gateway.public, "call", each).await;
            compare(&what, &mut quiet_calls, &mut met);
            // For these outputs every write fails immediately. An unread pipe has room at first.
            if matches!(stdout, Output::Closed | Output::Full) {
                assert!(dropped(&unheard.gateway, "known").await >= each, "{what}");
            }
            end(unheard.gateway, &what, &[("call", each)]).await;
        }
    }
}

/// Reads lines until the process ends or a requested line arrives.
struct Reader {
    lines: BufReader<PipeReader>,
    seen: Vec<String>,
}

impl Reader {
    /// Reads until a line contains this text.
    fn until(&mut self, what: &str) -> &str {
        loop {
            let mut line = String::new();
            let read = self.lines.read_line(&mut line).unwrap();
            assert!(read > 0, "the log ended without {what}");
            let is_found = line.contains(what);
            self.seen.push(line);
            if is_found {
                return self.seen.last().unwrap();
            }
        }
    }

    /// Reads on a separate thread, and returns the reader once this text has arrived.
    async fn read_in_background_until(mut self, what: &'static str) -> Reader {
        let reading = tokio::task::spawn_blocking(move || {
            self.until(what);
            self
        });
        let reading = tokio::time::timeout(PATIENCE, reading).await;
        reading.expect(what).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_log_reader_misses_no_known_call_and_gets_a_drop_count() {
    // The lines of all rounds must fit while nobody reads: 8 MiB.
    let each = load(100, 500);
    let (reader, writer) = std::io::pipe().unwrap();
    let err = writer.try_clone().unwrap();
    // Lines below INFO wait in the same buffer as those of strangers.
    let gateway = start("exec \"$@\"", "trace", (writer.into(), err.into())).await;
    let reader = Reader {
        lines: BufReader::new(reader),
        seen: Vec::new(),
    };
    let reading = tokio::spawn(reader.read_in_background_until("\"caller_request_id\":\"mark\""));
    prove(&gateway).await;
    let mut quiet = call(gateway.public, "quiet", each).await;
    let mut stream = connect(gateway.public, address(9, 0)).await.unwrap();
    assert_eq!(ask(&mut stream, &request("mark")).await.unwrap(), 200);
    let reader = reading.await.unwrap();

    let (mut rounds, began) = (0, Instant::now());
    while dropped(&gateway, "unknown").await == 0 {
        assert!(began.elapsed() < PATIENCE, "nothing is dropped");
        let mut met = call(gateway.public, &format!("stalled{rounds}"), each).await;
        compare("stdout stalls", &mut quiet, &mut met);
        for n in rounds * STRANGERS..(rounds + 1) * STRANGERS {
            let mut stranger = connect(gateway.public, address(10, n)).await.unwrap();
            assert_eq!(ask(&mut stranger, STRANGE.as_bytes()).await.unwrap(), 404);
        }
        rounds += 1;
    }
    assert_eq!(dropped(&gateway, "known").await, 0);

    let mut reader = reader
        .read_in_background_until("log lines were dropped")
        .await;
    let reported = reader.seen.last().unwrap();
    let reported: serde_json::Value = serde_json::from_str(reported).unwrap();
    assert!(reported["unknown"].as_u64().unwrap() > 0, "{reported}");
    assert_eq!(
        (&reported["known"], &reported["level"]),
        (&0.into(), &"WARN".into())
    );
    for round in 0..rounds {
        for caller in 0..CALLERS {
            let last = format!(
                "\"caller_request_id\":\"stalled{round}-{caller}-{}\"",
                each - 1
            );
            if !reader.seen.iter().any(|line| line.contains(&last)) {
                reader.until(&last);
            }
        }
    }
    let of_calls = |line: &&String| line.contains("\"caller_request_id\":\"stalled");
    let lines = reader.seen.iter().filter(of_calls).count();
    assert_eq!(lines, rounds * CALLERS * each);

    // Nobody reads the end of the output either.
    call(gateway.public, "last", each).await;
    end(
        gateway,
        "stdout stalls at the end",
        &[("quiet", each), ("last", each)],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_reader_that_disconnects_affects_neither_callers_nor_shutdown() {
    let each = load(100, 10_000);
    for is_under_load in [true, false] {
        let (reader, writer) = std::io::pipe().unwrap();
        let err = writer.try_clone().unwrap();
        let gateway = start("exec \"$@\"", "info", (writer.into(), err.into())).await;
        let reader = Reader {
            lines: BufReader::new(reader),
            seen: Vec::new(),
        };
        let reading =
            tokio::spawn(reader.read_in_background_until("\"caller_request_id\":\"mark\""));
        prove(&gateway).await;
        let mut quiet = call(gateway.public, "quiet", each).await;
        if is_under_load {
            let marked = async {
                let mut stream = connect(gateway.public, address(9, 9)).await.unwrap();
                assert_eq!(ask(&mut stream, &request("mark")).await.unwrap(), 200);
                // The reader is dropped here.
                reading.await.unwrap();
            };
            let (mut met, ()) = tokio::join!(call(gateway.public, "call", each), marked);
            compare("the reader goes away", &mut quiet, &mut met);
            call(gateway.public, "after", each).await;
            assert!(dropped(&gateway, "known").await >= each);
        } else {
            call(gateway.public, "call", each).await;
            let mut stream = connect(gateway.public, address(9, 9)).await.unwrap();
            assert_eq!(ask(&mut stream, &request("mark")).await.unwrap(), 200);
            drop(reading.await.unwrap());
        }
        end(
            gateway,
            "the reader is gone",
            &[("quiet", each), ("call", each)],
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_without_a_meaning_do_not_end_the_gateway() {
    let each = load(100, 10_000);
    let gateway = Gateway::configured(&configuration("info"), &ENVIRONMENT);
    prove(&gateway).await;
    let names = [
        "USR1", "USR2", "HUP", "PIPE", "ALRM", "VTALRM", "PROF", "IO", "PWR", "16", "XFSZ",
        "WINCH", "CHLD", "URG", "CONT", "RTMIN", "RTMIN+1", "64",
    ];
    let sending = async {
        for name in names {
            gateway.process.signal(name);
            // The next signal follows when calls are served again.
            prove(&gateway).await;
        }
    };
    tokio::join!(call(gateway.public, "call", each), sending);
    for name in ["SIGUSR1", "SIGUSR2"] {
        let line = gateway.process.wait_for(name, |line| line.contains(name));
        assert!(line.contains("has no effect"), "{line}");
    }
    end(gateway, "signals", &[("call", each)]).await;
}
