//! Tests of the command line on a terminal: colors, tables that fit, progress, and errors with hints. Without a terminal the same
//! text is plain.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::json;
use unicode_width::UnicodeWidthStr;

use crate::harness::{Gateway, admin, binary, client, on_a_terminal};

/// The character that begins a terminal sequence.
const ESCAPE: char = '\u{1b}';

/// Longest wait for output of a process.
const PATIENCE: Duration = Duration::from_secs(30);

/// Returns everything that the command shows on a terminal.
fn shown(arguments: &[&str], columns: u32, environment: &[(&str, &str)]) -> String {
    let child = on_a_terminal(arguments, columns, environment);
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .replace("\r\n", "\n")
}

/// Maximum number of lookups of a row that is not written yet.
const TRIES: u32 = 100;

/// Returns standard output and standard error of the command without a terminal.
fn printed(arguments: &[&str]) -> (String, String) {
    let output = Command::new(binary()).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr))
}

/// Returns the text without terminal sequences.
fn plain(text: &str) -> String {
    let mut pieces = text.split(ESCAPE);
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let end = piece.find(|c: char| c.is_ascii_alphabetic()).unwrap();
        plain.push_str(&piece[end + 1..]);
    }
    plain
}

/// Adds the arguments that lead to a gateway.
fn asking<'a>(words: &[&'a str], (admin, data): &'a (String, String)) -> Vec<&'a str> {
    [words, &["--admin", admin, "--data", data]].concat()
}

fn place(gateway: &Gateway) -> (String, String) {
    let data = gateway.data();
    (gateway.admin.to_string(), data.to_str().unwrap().to_owned())
}

/// Starts a gateway with rows of every outcome and an access with many networks.
async fn gateway() -> Gateway {
    let gateway = Gateway::start();
    let demo = gateway.demo();
    for (password, platformid) in [
        (demo.password.as_str(), "1"),
        (&demo.password, "9"),
        ("wrong", "1"),
    ] {
        let form = format!(
            "class=chat&method=getchats&platform=webchat&platformid={platformid}&user={}&password={password}",
            demo.user
        );
        let answer = client().post(gateway.url("/api/http/")).body(form);
        answer.send().await.unwrap().text().await.unwrap();
    }
    // Rows that no caller waits for are written in batches, a moment later.
    let place = place(&gateway);
    let is_there = || {
        printed(&asking(&["log"], &place))
            .0
            .contains("INCORRECT_USER")
    };
    assert!((0..TRIES).any(|_| is_there()), "the last row is missing");
    let networks: Vec<_> = (1..9).map(|n| format!("192.0.{n}.0/24")).collect();
    let draft = json!({"name": "部落格-shop".replace("部落格", "long-name"), "user": "部落格", "allow": networks});
    let made = admin(&gateway, reqwest::Method::POST, "accesses", &draft).await;
    assert_eq!(made.status, 201, "{}", made.body);
    gateway
}

#[tokio::test]
async fn output_is_colored_only_on_a_terminal_and_no_color_disables_it() {
    let gateway = gateway().await;
    let place = place(&gateway);
    let log = asking(&["log"], &place);
    let coloured = shown(&log, 200, &[]);
    assert!(coloured.contains("\u{1b}[1mTIME"), "{coloured:?}");
    assert!(coloured.contains("\u{1b}[32m200"), "green: {coloured:?}");
    assert!(
        coloured.contains("\u{1b}[33m200"),
        "a refusal with 200 is no success: {coloured:?}"
    );
    let without = shown(&log, 200, &[("NO_COLOR", "1")]);
    assert!(!without.contains(ESCAPE), "{without:?}");
    let dumb = shown(&log, 200, &[("TERM", "dumb")]);
    assert!(!dumb.contains(ESCAPE), "{dumb:?}");
    let (piped, _) = printed(&log);
    assert!(!piped.contains(ESCAPE), "{piped:?}");
    assert!(piped.contains("CHANNEL_NOT_FOUND"), "{piped}");
    assert_eq!(
        plain(&coloured).trim_end(),
        piped.trim_end(),
        "the same words"
    );
}

#[tokio::test]
async fn tables_fit_the_terminal_and_are_complete_when_piped() {
    let gateway = gateway().await;
    let place = place(&gateway);
    for command in [
        &["access", "list"][..],
        &["access", "show", "long-name-shop"],
        &["keys", "list"],
        &["log"],
    ] {
        let arguments = asking(command, &place);
        for columns in [60, 80, 120] {
            let table = plain(&shown(&arguments, columns, &[]));
            let widest = table.lines().map(UnicodeWidthStr::width).max().unwrap();
            assert!(
                widest <= columns as usize,
                "{command:?} at {columns}: {widest}\n{table}"
            );
            if command != ["log"] {
                let packed = |text: &str| text.replace(char::is_whitespace, "").len();
                let (whole, _) = printed(&arguments);
                assert_eq!(
                    packed(&table),
                    packed(&whole),
                    "nothing is lost:\n{table}\n{whole}"
                );
            }
        }
    }
    let (whole, _) = printed(&asking(&["access", "list"], &place));
    assert!(
        whole
            .lines()
            .any(|line| line.contains("192.0.1.0/24, 192.0.2.0/24")
                && line.ends_with("192.0.8.0/24")),
        "{whole}"
    );
}

#[test]
fn an_error_is_one_line_with_a_hint_and_red_on_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let arguments = ["log", "--data", data, "--admin", "127.0.0.1:9"];
    let (_, said) = printed(&arguments);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.starts_with("chatgate: ") && said.contains("--data"),
        "{said}"
    );
    let coloured = shown(&arguments, 200, &[]);
    assert!(
        coloured.contains("\u{1b}[31mchatgate:")
            || coloured.contains("\u{1b}[1m\u{1b}[31mchatgate:"),
        "{coloured:?}"
    );
    assert!(!shown(&arguments, 200, &[("NO_COLOR", "1")]).contains(ESCAPE));
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = held.local_addr().unwrap().to_string();
    for (arguments, mend) in [
        (vec!["check", "--config", "/nowhere.toml"], "--config"),
        (
            vec![
                "sandbox",
                "--user",
                "u",
                "--password",
                "p",
                "--listen",
                &taken,
            ],
            "--listen",
        ),
        (
            vec!["access", "import", "/nowhere.json", "--data", data],
            "access export",
        ),
    ] {
        let (_, said) = printed(&arguments);
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(mend), "{said}");
    }
}

/// Starts an operators' side that answers half, and the rest when the test says so.
fn slow_server(
    half: &'static [u8],
    rest: &'static [u8],
) -> (SocketAddr, std::sync::mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (go_on, reported): (_, Receiver<()>) = channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_request(&mut stream);
        let length = half.len() + rest.len();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        // If there is no first half, nothing is sent before the test says so.
        if !half.is_empty() {
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(half).unwrap();
        }
        if reported.recv_timeout(PATIENCE).is_err() {
            return;
        }
        if half.is_empty() {
            stream.write_all(head.as_bytes()).unwrap();
        }
        stream.write_all(rest).unwrap();
    });
    (address, go_on)
}

fn read_request(stream: &mut TcpStream) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
}

/// Reads the output until it contains `what`, and lets the server continue. Returns the output before and after that.
fn followed(mut child: Child, what: &str, go_on: &std::sync::mpsc::Sender<()>) -> (String, String) {
    let mut output = child.stdout.take().unwrap();
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    while !String::from_utf8_lossy(&bytes).contains(what) {
        let read = output.read(&mut piece).unwrap();
        assert_ne!(
            read,
            0,
            "ended without {what}: {}",
            String::from_utf8_lossy(&bytes)
        );
        bytes.extend_from_slice(&piece[..read]);
    }
    go_on.send(()).unwrap();
    let mut rest = Vec::new();
    output.read_to_end(&mut rest).unwrap();
    assert!(child.wait().unwrap().success());
    (
        String::from_utf8_lossy(&bytes).into_owned(),
        String::from_utf8(rest).unwrap(),
    )
}

static MIB: [u8; 1 << 20] = [0; 1 << 20];

#[test]
fn a_long_command_shows_its_progress_on_a_terminal_and_clears_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let key = path("admin.key");
    std::fs::write(&key, "a-key\n").unwrap();
    let (address, go_on) = slow_server(&MIB, &MIB);
    let (admin, copy) = (address.to_string(), path("copy"));
    let backup = ["backup", &copy, "--admin", &admin, "--admin-key-file", &key];
    let (bar, rest) = followed(on_a_terminal(&backup, 100, &[]), "50 %", &go_on);
    assert!(
        bar.contains("Copying the store: [############............] 50 %, 1.0 of 2.0 MiB"),
        "{bar:?}"
    );
    let (_, last) = rest
        .rsplit_once("\r\u{1b}[K")
        .expect("the bar is taken away");
    assert!(last.starts_with("The copy of the store is in"), "{last:?}");
    assert_eq!(std::fs::metadata(&copy).unwrap().len(), 2 << 20);

    // The same without a terminal.
    let (address, go_on) = slow_server(b"", &MIB);
    go_on.send(()).unwrap();
    let (admin, copy) = (address.to_string(), path("second"));
    let (_, said) = printed(&["backup", &copy, "--admin", &admin, "--admin-key-file", &key]);
    assert_eq!(said, "");

    // If the end is not known, the command shows the elapsed time; the line is never wider than the terminal.
    let reported = br#"{"judged":3,"refused":0,"newly_refused":0,"newly_admitted":0,"addresses":[],"rows":[]}"#;
    let (address, go_on) = slow_server(b"", reported);
    let admin = address.to_string();
    let replay = [
        "replay",
        "--access",
        "shop",
        "--allow",
        "192.0.2.0/24",
        "--since",
        "1d",
        "--admin",
        &admin,
        "--admin-key-file",
        &key,
    ];
    let (seen, rest) = followed(on_a_terminal(&replay, 24, &[]), "\u{1b}[K", &go_on);
    let line = seen
        .split('\r')
        .find(|line| line.contains("Judging"))
        .unwrap();
    assert_eq!(plain(line), "Judging the journalled…");
    let (_, last) = rest
        .rsplit_once("\r\u{1b}[K")
        .expect("the line is taken away");
    assert!(last.starts_with("0 of 3 calls"), "{last:?}");
}
