//! Callers that read and send at a pace over kept connections, and record each unexpected answer.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::interval;

use crate::harness::{client, until};

const CALLERS: usize = 20;

/// The access of the callers.
pub(super) const ACCESS: &str = "shop";

/// The results of all callers.
#[derive(Default)]
pub(super) struct Called {
    pub(super) calls: usize,
    /// The messages that were sent according to their answers.
    pub(super) sent: Vec<String>,
    /// The unexpected answers.
    pub(super) failed: Vec<String>,
    pub(super) slowest: Duration,
}

pub(super) struct Callers {
    called: Arc<Mutex<Called>>,
    ends: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Callers {
    pub(super) fn start(to: SocketAddr, password: &str, a_second: usize) -> Callers {
        let mut callers = Callers {
            called: Arc::default(),
            ends: Arc::default(),
            tasks: JoinSet::new(),
        };
        let numbers = Arc::new(AtomicUsize::new(0));
        let pace = Duration::from_secs(1) * u32::try_from(CALLERS).unwrap()
            / u32::try_from(a_second).unwrap();
        for _ in 0..CALLERS {
            let (called, ends) = (Arc::clone(&callers.called), Arc::clone(&callers.ends));
            let (numbers, password) = (Arc::clone(&numbers), password.to_owned());
            callers.tasks.spawn(async move {
                let client = client();
                // After a slow call the interval catches up, so that the number of calls stays as configured.
                let mut pace = interval(pace);
                while !ends.load(Ordering::Relaxed) {
                    pace.tick().await;
                    let number = numbers.fetch_add(1, Ordering::Relaxed);
                    call(&client, (to, &password), number, &called).await;
                }
            });
        }
        callers
    }

    /// Waits until this many calls were answered.
    pub(super) async fn have_called(&self, calls: usize) {
        until("calls", async || self.called.lock().unwrap().calls >= calls).await;
    }

    pub(super) async fn end(self) -> Called {
        self.ends.store(true, Ordering::Relaxed);
        self.tasks.join_all().await;
        std::mem::take(&mut *self.called.lock().unwrap())
    }
}

/// Makes one call. Two in three calls are sends, and half of the sends have a key.
async fn call(
    client: &reqwest::Client,
    (to, password): (SocketAddr, &str),
    number: usize,
    called: &Mutex<Called>,
) {
    let mark = format!("mark-{number}");
    let is_send = !number.is_multiple_of(3);
    let channel = [
        ("class", "chat"),
        ("platform", "whatsapp"),
        ("platformid", "100"),
    ];
    let message = [
        ("method", "sendmessage"),
        ("destination", "34600000000"),
        ("message", &*mark),
    ];
    let request = client
        .post(format!("http://{to}/api/basic/"))
        .basic_auth(ACCESS, Some(password));
    let request = match is_send {
        true => request.form(&[&channel[..], &message].concat()),
        false => request.form(&[&channel[..], &[("method", "getchats")]].concat()),
    };
    let request = match number % 6 {
        1 | 2 => request.header("Idempotency-Key", &mark),
        _ => request,
    };
    let began = Instant::now();
    let answered = async {
        let answer = request.send().await?;
        let status = answer.status();
        Ok::<_, reqwest::Error>((status, answer.text().await?))
    };
    let answered = answered.await;
    let mut called = called.lock().unwrap();
    called.calls += 1;
    called.slowest = called.slowest.max(began.elapsed());
    match answered {
        Ok((status, body))
            if status == 200 && (!is_send || body.contains(r#""delivery":"sent""#)) =>
        {
            if is_send {
                called.sent.push(mark);
            }
        }
        failed => {
            let failed = format!("{:?} {number}: {failed:?}", began.elapsed());
            called.failed.push(failed);
        }
    }
}
