//! An upstream that counts each message that it takes, even if the requester is gone before the answer.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{SplitMix64, pass};

const SUCCESS: &str = r#"{"status":"SUCCESS","result":{"list":[]}}"#;
const REFUSAL: &str = r#"{"status":"ERROR","error":"CHAT_NOT_FOUND"}"#;

/// Maximum time before an answer in milliseconds, long enough that any kill interrupts some sends.
const THINKS_MS: u64 = 30;

pub(crate) struct Counting {
    pub(crate) address: SocketAddr,
    taken: Arc<Mutex<HashMap<String, u32>>>,
    /// The wait before the answer to every send, in milliseconds.
    thinks: Arc<AtomicU64>,
    accepting: tokio::task::JoinHandle<()>,
}

/// The reaction to one request.
#[derive(Clone, Copy)]
enum Mood {
    Takes,
    /// A well-formed error; nothing is taken.
    Refuses,
    /// The message is taken, but nobody gets an answer.
    TakesAndResets,
}

impl Counting {
    pub(crate) async fn start(mut chance: SplitMix64) -> Counting {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let taken = Arc::<Mutex<HashMap<String, u32>>>::default();
        let thinks = Arc::<AtomicU64>::default();
        let (counting, thinking) = (Arc::clone(&taken), Arc::clone(&thinks));
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (taken, chance) = (Arc::clone(&counting), chance.branch());
                let thinks = Arc::clone(&thinking);
                connections.spawn(async move { serve(stream, chance, (&taken, &thinks)).await });
                while connections.try_join_next().is_some() {}
            }
        });
        Counting {
            address,
            taken,
            thinks,
            accepting,
        }
    }

    /// Answers each send from now on this long after taking it, and takes all sends. Without this call, one send in twenty is
    /// refused at random, and one in twenty is taken and its connection reset.
    pub(crate) fn think(&self, long: Duration) {
        let long = u64::try_from(long.as_millis()).unwrap();
        self.thinks.store(long, Ordering::Relaxed);
    }

    /// Returns how many times the message with this mark was taken.
    pub(crate) fn taken(&self, mark: &str) -> u32 {
        self.taken.lock().unwrap().get(mark).copied().unwrap_or(0)
    }

    /// Returns the number of messages that were taken, for all marks together.
    pub(crate) fn all_taken(&self) -> u32 {
        self.taken.lock().unwrap().values().sum()
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Serves a connection until the client disconnects, even if that happens before the answer.
async fn serve(
    mut stream: TcpStream,
    mut chance: SplitMix64,
    (taken, thinks): (&Mutex<HashMap<String, u32>>, &AtomicU64),
) -> Option<()> {
    loop {
        let form = request(&mut stream).await?;
        let Some(mark) = form.get("message") else {
            if chance.one_in(4) {
                think(&mut chance).await;
            }
            answer(&mut stream, SUCCESS).await?;
            continue;
        };
        let thinks = thinks.load(Ordering::Relaxed);
        let mood = match chance.below(20) {
            _ if thinks > 0 => Mood::Takes,
            0 => Mood::Refuses,
            1 => Mood::TakesAndResets,
            _ => Mood::Takes,
        };
        // The pause comes before the count, so that a kill may fall between the bytes and the count.
        if chance.one_in(4) {
            think(&mut chance).await;
        }
        if !matches!(mood, Mood::Refuses) {
            *taken.lock().unwrap().entry(mark.clone()).or_default() += 1;
        }
        if chance.one_in(4) {
            think(&mut chance).await;
        }
        pass(Duration::from_millis(thinks)).await;
        match mood {
            Mood::Takes => answer(&mut stream, SUCCESS).await?,
            Mood::Refuses => answer(&mut stream, REFUSAL).await?,
            Mood::TakesAndResets => {
                stream.set_zero_linger().unwrap();
                return None;
            }
        }
    }
}

async fn think(chance: &mut SplitMix64) {
    pass(Duration::from_millis(1 + chance.below(THINKS_MS))).await;
}

/// Reads the form of the next request.
pub(crate) async fn request(stream: &mut TcpStream) -> Option<HashMap<String, String>> {
    let mut seen = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let read = stream
            .read(&mut piece)
            .await
            .ok()
            .filter(|read| *read > 0)?;
        seen.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&seen);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let line = line.to_ascii_lowercase();
            line.strip_prefix("content-length: ")?.parse::<usize>().ok()
        });
        if body.len() >= length.unwrap_or(0) {
            let pairs = url::form_urlencoded::parse(body.as_bytes());
            return Some(pairs.into_owned().collect());
        }
    }
}

pub(crate) async fn answer(stream: &mut TcpStream, body: &str) -> Option<()> {
    let length = body.len();
    let text = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await.ok()
}
