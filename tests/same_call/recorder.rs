//! An upstream that records its requests and answers success to everything.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A received form: names and values in order.
pub(super) type Pairs = Vec<(String, String)>;

/// The upstream, which ends with its connections when it is dropped.
pub(super) struct Recorder {
    pub(super) address: SocketAddr,
    forms: Arc<Mutex<Vec<Pairs>>>,
    _tasks: JoinSet<()>,
}

impl Recorder {
    pub(super) async fn start() -> Recorder {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let forms = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&forms)));
        Recorder {
            address,
            forms,
            _tasks: tasks,
        }
    }

    /// Returns the forms since the last call. A form is recorded before it is answered.
    pub(super) fn take(&self) -> Vec<Pairs> {
        std::mem::take(&mut self.forms.lock().unwrap())
    }
}

async fn accept(listener: TcpListener, forms: Arc<Mutex<Vec<Pairs>>>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        connections.spawn(serve(stream, Arc::clone(&forms)));
    }
}

/// Serves one kept connection until the client disconnects.
async fn serve(stream: TcpStream, forms: Arc<Mutex<Vec<Pairs>>>) {
    let mut stream = BufReader::new(stream);
    while let Some(length) = head(&mut stream).await {
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        let pairs: Pairs = url::form_urlencoded::parse(&body).into_owned().collect();
        forms.lock().unwrap().push(pairs);
        let body = r#"{"status":"SUCCESS","result":{"list":[]}}"#;
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        // The gateway is ended before this task, so the connection may be closed already.
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Reads a head and returns the length of the body, or `None` at the end of the connection.
async fn head(stream: &mut BufReader<TcpStream>) -> Option<usize> {
    let mut first = String::new();
    if stream.read_line(&mut first).await.ok()? == 0 {
        return None;
    }
    // Everything that a caller sends belongs into the form, and nothing into the request line.
    assert_eq!(first, "POST /api/http/ HTTP/1.1\r\n");
    let mut length = None;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = Some(value.trim().parse().unwrap());
            }
            Some((name, _)) => assert!(!name.eq_ignore_ascii_case("transfer-encoding")),
            None => return Some(length.unwrap()),
        }
    }
}
