//! Kills the gateway at any instant while messages arrive: readers who resume get every message.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;

use super::arrivals::{Arrivals, receive};
use super::{base, over};
use crate::crash::seed;
use crate::harness::{
    Answer, Gateway, PATIENCE, Sandbox, SplitMix64, UPSTREAM_ENVIRONMENT, client, load, pass, until,
};
use crate::streams::reading::{SALES, Stream, now, warm_at};

/// Number of kills, every day and for a release.
const KILLS: (usize, usize) = (4, 300);

/// The number of chats, and the pause between two messages: twenty messages a second.
const CHATS: usize = 50;
const PAUSE: Duration = Duration::from_millis(50);

/// Polls as often as possible, so that kills interrupt some polls.
const OFTEN: &str = "poll_min = \"100ms\"\npoll_max = \"500ms\"\ncalls_per_second = 200\n";

/// A reader that reconnects to wherever a gateway currently is, to one gateway after the other.
pub(super) struct Reader {
    pub(super) gateways: watch::Receiver<Vec<SocketAddr>>,
    /// The number of times that the reader has connected.
    pub(super) turns: usize,
    pub(super) client: reqwest::Client,
    pub(super) credentials: (String, String),
    pub(super) cursor: String,
    pub(super) heard: Arc<Mutex<Arrivals>>,
}

impl Reader {
    fn request(&mut self, path: &str) -> reqwest::RequestBuilder {
        self.turns += 1;
        let gateways = self.gateways.borrow();
        let url = format!("http://{}{path}", gateways[self.turns % gateways.len()]);
        let (user, password) = &self.credentials;
        self.client.get(url).basic_auth(user, Some(password))
    }

    /// Reads streams, one after the other.
    pub(super) async fn stream(mut self) {
        loop {
            let request = self.request("/api/events");
            let request = request
                .header("Accept", "text/event-stream")
                .header("Last-Event-ID", &self.cursor);
            if let Ok(response) = request.send().await
                && response.status() == 200
            {
                let mut stream = Stream::begun(response);
                while let Some(frame) = stream.next().await {
                    if let Some(event) = frame.message() {
                        self.heard.lock().unwrap().take(&event, &event["data"]);
                    }
                    self.cursor = frame.id.unwrap_or(self.cursor);
                }
            }
            pass(Duration::from_millis(20)).await;
        }
    }

    /// Calls `getevents` with a wait, again and again.
    pub(super) async fn ask(mut self) {
        loop {
            let query = format!(
                "/api/basic/?class=chat&method=getevents&wait=5&cursor={}",
                self.cursor
            );
            let answered = async {
                let answer = self.request(&query).send().await.ok()?;
                serde_json::from_str::<Value>(&answer.text().await.ok()?).ok()
            };
            let result = answered.await.map(|mut answer| answer["result"].take());
            let Some((list, cursor)) = result
                .as_ref()
                .and_then(|result| Some((result["list"].as_array()?, result["cursor"].as_str()?)))
            else {
                pass(Duration::from_millis(20)).await;
                continue;
            };
            for event in list {
                self.heard.lock().unwrap().take(event, event);
            }
            cursor.clone_into(&mut self.cursor);
        }
    }
}

#[expect(clippy::too_many_lines, reason = "one story, read step by step")]
#[tokio::test(flavor = "multi_thread")]
async fn readers_that_resume_get_every_message_despite_kills() {
    let (kills, seed, sandbox) = (load(KILLS.0, KILLS.1), seed(), Sandbox::start());
    println!("events, seed {seed}");
    let (mut chance, folder) = (SplitMix64(seed), Arc::new(TempDir::new().unwrap()));
    let toml = over(&sandbox, "no", OFTEN);
    let start = || Gateway::over(Arc::clone(&folder), &toml, &[UPSTREAM_ENVIRONMENT]);
    let (mut gateway, base) = (start(), base(&sandbox));
    let cursor = now(&gateway).await;
    let mut stream = Stream::of(&gateway, &format!("?cursor={cursor}")).await;
    warm_at(&base, &mut stream).await;
    drop(stream);

    let (began, demo) = (Instant::now(), gateway.demo());
    let (moved, place) = watch::channel(vec![gateway.public]);
    let reader = || {
        let heard = Arc::new(Mutex::new(Arrivals::new(began)));
        let reader = Reader {
            gateways: place.clone(),
            turns: 0,
            client: client(),
            credentials: (demo.user.clone(), demo.password.clone()),
            cursor: cursor.clone(),
            heard: Arc::clone(&heard),
        };
        (reader, heard)
    };
    let ((streams, streamed), (asks, asked)) = (reader(), reader());
    let readers = [tokio::spawn(streams.stream()), tokio::spawn(asks.ask())];
    let (written, is_over) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
    let writing = tokio::spawn({
        let (written, is_over, base) = (Arc::clone(&written), Arc::clone(&is_over), base.clone());
        let mut chance = chance.branch();
        async move {
            let (client, mut chats) = (client(), Vec::new());
            while !is_over.load(Ordering::Relaxed) {
                let chat = usize::try_from(chance.below(CHATS as u64)).unwrap();
                let text = format!("sent {} {}", began.elapsed().as_micros(), chats.len());
                receive(&client, &base, &format!("3490{chat:05}"), &text).await;
                chats.push(chat);
                written.store(chats.len(), Ordering::Relaxed);
                pass(PAUSE).await;
            }
            chats
        }
    });
    for _ in 0..kills {
        pass(Duration::from_millis(chance.below(1500))).await;
        drop(gateway);
        gateway = start();
        moved.send_replace(vec![gateway.public]);
    }
    is_over.store(true, Ordering::Relaxed);
    let chats = writing.await.unwrap();
    let all = chats.len();
    for (name, heard) in [("the stream", &streamed), ("getevents", &asked)] {
        let has_all = async || heard.lock().unwrap().count() >= all;
        until(&format!("seed {seed}: all {all} by {name}"), has_all).await;
        let heard = heard.lock().unwrap();
        heard.check_order(|number| chats[number], all);
        let (half, most) = heard.waits();
        println!(
            "events, seed {seed}: {kills} kills, {all} messages by {name}, {} doubles; half within {half:.0?}, 99 of 100 within {most:.0?}",
            heard.doubles
        );
    }
    assert_eq!(streamed.lock().unwrap().ids, asked.lock().unwrap().ids);
    readers.iter().for_each(tokio::task::JoinHandle::abort);
    check_marks(&gateway, &chats).await;
}

/// Checks that no poll has cleared the mark of an unread message.
async fn check_marks(gateway: &Gateway, chats: &[usize]) {
    let (client, demo) = (client(), gateway.demo());
    for chat in 0..CHATS {
        let written = chats.iter().filter(|other| **other == chat).count();
        let url = format!(
            "/api/basic/?class=chat&method=getunreadmessages&platform={}&platformid={}&destination=3490{chat:05}",
            SALES.0, SALES.1
        );
        let request = client
            .get(gateway.url(&url))
            .basic_auth(&demo.user, Some(&demo.password));
        let answer = tokio::time::timeout(PATIENCE, Answer::of(request)).await;
        let answer = answer.unwrap().json();
        let listed = answer["result"]["list"].as_array().map_or(0, Vec::len);
        assert_eq!(listed, written, "{answer}");
    }
}
