//! JSON documents of a public suite, each as a value in the `result` of an upstream's answer and as an unexpected value in a JSON
//! body.

use std::sync::{Arc, Mutex};

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::{bytes, list, suite, text};
use crate::harness::{Answer, Demo, Gateway, UPSTREAM_ENVIRONMENT, client, envelope, upstream};
use crate::sends::read_request;

/// No cache, no retry and no limit, so that each call meets the document that is set.
const TOML: &str =
    "[cache]\ngetchatchannels = 0\ngetchats = 0\n[limits]\nper_address_per_minute = 1000000\n";

/// A correct value.
const GOOD: &[u8] = b"null";

/// Correct by the suite, which leaves the meaning of a duplicate key open; we refuse such documents.
const DOUBLED: [&str; 2] = [
    "y_object_duplicated_key.json",
    "y_object_duplicated_key_and_value.json",
];

/// Returns the answer of the upstream with this document as a value, which is also the answer of the gateway.
fn success(document: &[u8]) -> Vec<u8> {
    let begin = br#"{"status":"SUCCESS","result":{"list":[{"message":"#;
    [&begin[..], document, b"}]}}"].concat()
}

/// An upstream that answers success with this document as a value of the result.
struct Upstream {
    address: std::net::SocketAddr,
    document: Arc<Mutex<Vec<u8>>>,
    accepting: JoinHandle<()>,
}

impl Upstream {
    async fn start() -> Upstream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let document = Arc::new(Mutex::new(GOOD.to_vec()));
        let in_force = Arc::clone(&document);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, in_force.lock().unwrap().clone()));
            }
        });
        Upstream {
            address,
            document,
            accepting,
        }
    }

    fn set(&self, document: &[u8]) {
        *self.document.lock().unwrap() = document.to_vec();
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn answer(mut stream: TcpStream, document: Vec<u8>) {
    read_request(&mut stream).await;
    let body = success(&document);
    let head = format!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
}

async fn read_chats(gateway: &Gateway, demo: &Demo) -> Answer {
    let call = "class=chat&method=getchats&platform=whatsapp&platformid=100";
    let form = format!("{call}&user={}&password={}", demo.user, demo.password);
    let request = client()
        .post(gateway.url("/api/http/"))
        .header("Content-Type", "application/x-www-form-urlencoded");
    Answer::of(request.body(form)).await
}

async fn read_chats_by_soap(gateway: &Gateway, demo: &Demo) -> Answer {
    let parameters = [
        ("user", demo.user.as_str()),
        ("password", &demo.password),
        ("platform", "whatsapp"),
        ("platformid", "100"),
    ];
    let request = client()
        .post(gateway.url("/api/soap/"))
        .header("Content-Type", "text/xml");
    Answer::of(request.body(envelope("getchats", &parameters))).await
}

/// Returns whether the document was accepted as a result. An answer that is neither a success nor a clean 502 is an error.
async fn as_result(
    gateway: &Gateway,
    demo: &Demo,
    upstream: &Upstream,
    document: &[u8],
) -> Result<bool, String> {
    upstream.set(document);
    let (http, soap) = (
        read_chats(gateway, demo).await,
        read_chats_by_soap(gateway, demo).await,
    );
    upstream.set(GOOD);
    // If half of all answers were bad, the gateway's breaker would open for this upstream.
    for _ in 0..3 {
        let good = read_chats(gateway, demo).await;
        assert_eq!(good.body.as_bytes(), success(GOOD));
    }
    let reported = || {
        format!(
            "{} {} / {} {}",
            http.status, http.body, soap.status, soap.body
        )
    };
    if adapter_soap::check_document(soap.body.as_bytes()).is_err() {
        return Err(reported());
    }
    let value = std::str::from_utf8(document)
        .ok()
        .and_then(adapter::compact)
        .unwrap_or_default();
    match (http.status, soap.status) {
        // Each value exactly as it was written.
        (200, 200) if http.body.as_bytes() == success(value.as_bytes()) => Ok(true),
        (502, 500)
            if http.body.contains("\"UPSTREAM_ERROR\"")
                && soap.body.contains("<c:code>UPSTREAM_ERROR<") =>
        {
            Ok(false)
        }
        _ => Err(reported()),
    }
}

/// Returns whether the document was accepted next to the parameters of a call. An answer that is neither a success nor a clean 400
/// is an error.
async fn as_stray(gateway: &Gateway, demo: &Demo, document: &[u8]) -> Result<bool, String> {
    let (user, password) = (&demo.user, &demo.password);
    let call = format!(
        r#"{{"class":"chat","method":"getchatchannels","user":"{user}","password":"{password}","stray":"#
    );
    let body = [call.as_bytes(), document, b"}"].concat();
    let request = client()
        .post(gateway.url("/api/http/"))
        .header("Content-Type", "application/json");
    let answer = Answer::of(request.body(body)).await;
    match (answer.status, answer.json()["error"].as_str()) {
        (200, None) => Ok(true),
        (400, Some("MALFORMED_REQUEST" | "INCORRECT_PARAM")) => Ok(false),
        _ => Err(format!("{} {}", answer.status, answer.body)),
    }
}

#[tokio::test]
async fn valid_json_is_accepted_and_invalid_json_rejected_from_callers_and_upstream() {
    let Some(suite) = suite("json.json") else {
        return;
    };
    let upstream_of_ours = Upstream::start().await;
    let toml = format!("{TOML}{}attempts = 1\n", upstream(upstream_of_ours.address));
    let gateway = Gateway::configured(&toml, &[UPSTREAM_ENVIRONMENT]);
    let demo = gateway.demo();
    let (mut wrong, mut taken) = (Vec::new(), [0, 0]);
    let documents = list(&suite, "documents");
    for document in documents {
        let (id, bytes) = (text(document, "id"), bytes(document, "bytes_base64"));
        let expected = match text(document, "verdict") {
            _ if DOUBLED.contains(&id) => Some(false),
            "accept" => Some(true),
            "reject" => Some(false),
            _ => None,
        };
        let sides = [
            as_result(&gateway, &demo, &upstream_of_ours, &bytes).await,
            as_stray(&gateway, &demo, &bytes).await,
        ];
        for (side, judged) in sides.into_iter().enumerate() {
            taken[side] += usize::from(judged == Ok(true));
            if judged.is_err() || expected.is_some_and(|expected| judged != Ok(expected)) {
                wrong.push(format!("{id}, side {side}: {judged:?}"));
            }
        }
    }
    println!(
        "json: {} documents, {} taken as a result, {} as a stray value, {} judged wrong",
        documents.len(),
        taken[0],
        taken[1],
        wrong.len()
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(
        !gateway
            .process
            .lines()
            .iter()
            .any(|line| line.contains("panicked"))
    );
}
