//! A server that records its requests: a receiver of traces or events, or an upstream that checks the callers' headers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A recorded request.
#[derive(Clone)]
pub struct SunkRequest {
    pub line: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    /// The status of the answer.
    pub status: u16,
}

/// Returns the status for a request, whose own `status` is not known yet.
type StatusOf = Box<dyn FnMut(&SunkRequest) -> u16 + Send>;

/// The server, which ends when it is dropped.
pub struct HttpSink {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<SunkRequest>>>,
    status_of: Arc<Mutex<StatusOf>>,
    accepting: JoinHandle<()>,
}

impl HttpSink {
    /// Starts a server that answers 200 with this body unless it is told otherwise.
    pub async fn start(body: &'static str) -> HttpSink {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<Mutex<Vec<SunkRequest>>>::default();
        let well: StatusOf = Box::new(|_| 200);
        let status_of = Arc::new(Mutex::new(well));
        let (kept, given) = (Arc::clone(&requests), Arc::clone(&status_of));
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let answer = (body, Arc::clone(&given));
                tokio::spawn(serve(stream, Arc::clone(&kept), answer));
            }
        });
        HttpSink {
            address,
            requests,
            status_of,
            accepting,
        }
    }

    /// Answers with this status from now on.
    pub fn set_status(&self, status: u16) {
        self.answer_by(move |_| status);
    }

    /// Answers each request from now on with the status that this function returns.
    pub fn answer_by(&self, status_of: impl FnMut(&SunkRequest) -> u16 + Send + 'static) {
        *self.status_of.lock().unwrap() = Box::new(status_of);
    }

    /// Returns the requests so far.
    pub fn requests(&self) -> Vec<SunkRequest> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for HttpSink {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(
    stream: TcpStream,
    kept: Arc<Mutex<Vec<SunkRequest>>>,
    (text, status_of): (&'static str, Arc<Mutex<StatusOf>>),
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        stream
            .read_line(&mut line)
            .await
            .ok()
            .filter(|read| *read > 0)?;
        let mut headers = BTreeMap::new();
        loop {
            let mut header = String::new();
            stream.read_line(&mut header).await.ok()?;
            let Some((name, value)) = header.trim_end().split_once(": ") else {
                break;
            };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let length = headers
            .get("content-length")
            .map_or(Ok(0), |text| text.parse());
        let mut body = vec![0; length.ok()?];
        stream.read_exact(&mut body).await.ok()?;
        let line = line.trim_end().to_owned();
        let mut request = SunkRequest {
            line,
            headers,
            body,
            status: 0,
        };
        request.status = status_of.lock().unwrap()(&request);
        let status = request.status;
        kept.lock().unwrap().push(request);
        let answer = format!(
            "HTTP/1.1 {status} Answered\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        );
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}
