//! Waiting for what has to come, never without a deadline; and the one place where time itself passes.

use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};

/// Longest wait for anything: a busy machine, not a figure to measure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks, the second twice as long as the first and so on: who waits leaves the processor to what is waited for,
/// and no limit per minute is reached by looking.
const LOOK_FIRST: Duration = Duration::from_millis(5);
const LOOK_LONGEST: Duration = Duration::from_millis(160);

/// Looks again and again until it is so.
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

/// The next connection to this listener.
pub async fn accepted(listener: &TcpListener) -> TcpStream {
    let accepted = tokio::time::timeout(PATIENCE, listener.accept()).await;
    accepted.expect("nobody connects").unwrap().0
}

/// Looks without a pause until it is so: for a kill at that very moment.
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

/// Looks again and again for so long: what must not happen is not to happen later either.
pub async fn stays(lasting: Duration, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while began.elapsed() < lasting {
        assert!(is_so().await, "{what}: no more after {:?}", began.elapsed());
        pass(LOOK_LONGEST).await;
    }
}

/// Lets time pass: for doubles that play somebody slow, for a load that has to last, and for a kill at any moment. Nothing is
/// waited for by it.
pub async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}
