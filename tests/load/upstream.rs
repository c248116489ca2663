//! An upstream that takes a fixed time for each call and serves only so many at the same time; other calls wait.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::harness::pass;

pub struct Upstream {
    pub address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Upstream {
    pub async fn start(at_once: usize, service: Duration) -> Upstream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let workers = Arc::new(Semaphore::new(at_once));
        let accepting = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let workers = Arc::clone(&workers);
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    loop {
                        request.clear();
                        // Requests are small and come one by one, so the end of the received bytes is the end of the form.
                        while !is_whole(&request) {
                            match stream.read_buf(&mut request).await {
                                Ok(read) if read > 0 => {}
                                _ => return,
                            }
                        }
                        let worker = workers.acquire().await.unwrap();
                        pass(service).await;
                        drop(worker);
                        let body = r#"{"status":"SUCCESS","result":{"list":[]}}"#;
                        let head =
                            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length:";
                        let answer = format!("{head} {}\r\n\r\n{body}", body.len());
                        if stream.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Upstream { address, accepting }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn is_whole(request: &[u8]) -> bool {
    let Some(head) = request.windows(4).position(|four| four == b"\r\n\r\n") else {
        return false;
    };
    let text = String::from_utf8_lossy(&request[..head]).to_ascii_lowercase();
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |length| length.trim().parse().unwrap());
    request.len() >= head + 4 + length
}
