//! Waits for conditions, always with a deadline, and contains the one function in which time itself passes.

use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};

/// Longest wait for anything. It allows for a busy machine and is not a measured figure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Pauses between two polls, each twice as long as the one before. A waiting test leaves the processor to the awaited work, and
/// polling reaches no limit per minute.
const LOOK_FIRST: Duration = Duration::from_millis(5);
const LOOK_LONGEST: Duration = Duration::from_millis(160);

/// Polls until the condition is true.
#[track_caller]
pub fn until(what: &str, is_so: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
    let from = std::panic::Location::caller();
    within(PATIENCE, format!("{from}: {what}"), is_so)
}

async fn within(longest: Duration, what: String, mut is_so: impl AsyncFnMut() -> bool) {
    let (began, mut pause) = (Instant::now(), LOOK_FIRST);
    while !is_so().await {
        assert!(began.elapsed() < longest, "{what}: not within {longest:?}");
        pass(pause).await;
        pause = (pause * 2).min(LOOK_LONGEST);
    }
}

/// Returns the next connection to this listener.
pub async fn accepted(listener: &TcpListener) -> TcpStream {
    let accepted = tokio::time::timeout(PATIENCE, listener.accept()).await;
    accepted.expect("nobody connects").unwrap().0
}

/// Polls without a pause until the condition is true, for a kill at that very moment.
pub fn as_soon_as(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(
            began.elapsed() < PATIENCE,
            "{what}: not within {PATIENCE:?}"
        );
        std::hint::spin_loop();
    }
}

/// Polls for this long and asserts that the condition stays true, so that an unwanted event cannot happen later either.
pub async fn stays(lasting: Duration, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while began.elapsed() < lasting {
        assert!(is_so().await, "{what}: no more after {:?}", began.elapsed());
        pass(LOOK_LONGEST).await;
    }
}

/// Lets time pass: for stand-ins of slow peers, for a load that has to last, and for a kill at a random moment. It must not be used
/// to wait for a condition.
pub async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}
