//! Tests of `chatgate log --follow`: sends in progress, restarts of the gateway, and the end of the output's reader.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener as StdListener;
use std::process::Command;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{
    Answer, Gateway, PATIENCE, Process, UPSTREAM_ENVIRONMENT, accepted, binary, client, start_on,
    upstream,
};
use crate::sends::{posted, read_request, send_form};

#[tokio::test]
async fn follow_prints_a_send_in_progress_and_its_outcome_later() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let toml = upstream(listener.local_addr().unwrap());
    let gateway = Gateway::configured(&toml, &[UPSTREAM_ENVIRONMENT]);
    let all = start_on(&gateway, &["log", "--follow"]);
    let unknown = start_on(&gateway, &["log", "--follow", "--delivery", "unknown"]);
    let is_header = |line: &str| line.starts_with("TIME ");
    unknown.wait_for("the header", is_header);
    all.wait_for("the header", is_header);

    let mut caller = TcpStream::connect(gateway.public).await.unwrap();
    let request = posted(&send_form(&gateway.demo(), "waits"), "waits");
    caller.write_all(request.as_bytes()).await.unwrap();
    let mut sending = accepted(&listener).await;
    read_request(&mut sending).await;
    let open = all.wait_for("the send", |line| line.contains(" in progress"));
    // This row is newer than the send, so following continues after it.
    Answer::of(client().get(gateway.url("/nowhere"))).await;
    all.wait_for("a newer row", |line| line.contains("NOT_FOUND"));

    // The upstream's answer never comes.
    drop(sending);
    let has_ended = |line: &str| line.contains(" unknown ") && line.ends_with("waits");
    let ended = all.wait_for("the outcome", has_ended);
    assert_eq!(ended[..24], open[..24], "{ended}\n{open}");
    unknown.wait_for("the outcome", has_ended);
    let about_it = all
        .lines()
        .into_iter()
        .filter(|line| line.ends_with("waits"));
    assert_eq!(about_it.count(), 2, "{:?}", all.lines());
}

/// Serves these answers of an operators' side, each on a connection of its own. Text without a status line is a broken answer.
fn serve(answers: Vec<String>) -> String {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for answer in answers {
            let mut stream = listener.accept().unwrap().0;
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            while line != "\r\n" {
                line.clear();
                reader.read_line(&mut line).unwrap();
            }
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    address
}

fn page(rows: &str) -> String {
    let body = format!("{{\"rows\":[{rows}],\"next\":null,\"follow\":\"00\"}}");
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

#[test]
fn follow_warns_once_and_continues_when_the_gateway_answers_again() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("admin.key"), "a-key\n").unwrap();
    let draining =
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let row = r#"{"id":"01","kind":"request","request_id":"after-it"}"#;
    let admin = serve(vec![
        page(""),
        draining.to_owned(),
        String::new(),
        page(row),
    ]);
    let data = folder.path().to_str().unwrap();
    let arguments = ["log", "--follow", "--admin", &admin, "--data", data];
    let following = Process::start(&arguments, &[]);
    following.wait_for("the row", |line| line.ends_with("after-it"));
    let lines = following.lines();
    let warned: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("warning: "))
        .collect();
    // The stand-in ends after the last answer, so that another warning may follow the row.
    assert!(warned[0].ends_with("trying again"), "{lines:?}");
    let at = |what: &str| lines.iter().position(|line| line.contains(what)).unwrap();
    assert!(at("503") < at("after-it") && warned.len() <= 2, "{lines:?}");
}

#[tokio::test]
async fn follow_ends_when_its_idle_output_is_closed() {
    let gateway = Gateway::start();
    let (output, stdout) = std::io::pipe().unwrap();
    let (mut errors, stderr) = std::io::pipe().unwrap();
    let mut command = Command::new(binary());
    command.args(["log", "--follow", "--access", "nobody", "--admin"]);
    command
        .arg(gateway.admin.to_string())
        .arg("--data")
        .arg(gateway.data());
    command.stdout(stdout).stderr(stderr);
    let process = Process::unheard(command);
    let mut header = String::new();
    BufReader::new(output).read_line(&mut header).unwrap();
    assert!(header.starts_with("TIME "), "{header}");
    // Standard error ends with the process.
    let reading = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        errors.read_to_string(&mut text).map(|_| text)
    });
    let said = tokio::time::timeout(PATIENCE, reading).await;
    assert_eq!(said.expect("it goes on").unwrap().unwrap(), "");
    assert_eq!(process.ended().0, Some(0));
}
