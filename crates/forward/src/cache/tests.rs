//! Tests that each key has one flight, that errors are not cached, and that sends are noticed.

use std::sync::atomic::{AtomicUsize, Ordering};

use adapter::Params;
use store::Access;
use tokio::sync::mpsc::error::TryRecvError;

use super::*;

fn config(ttl: Duration, bytes: u64) -> CacheConfig {
    CacheConfig {
        lifetimes: [ttl; OPERATION_COUNT],
        bytes,
    }
}

fn cache() -> Arc<ReadCache> {
    Arc::new(ReadCache::new(
        config(Duration::from_secs(3600), 1 << 20),
        None,
    ))
}

fn access(name: &str) -> Arc<Access> {
    Arc::new(Access::new(name, "u", "c"))
}

fn request(method: &str, platformid: &str) -> Arc<Request> {
    let pairs = [
        ("class", "chat"),
        ("method", method),
        ("platform", "webchat"),
        ("platformid", platformid),
        ("destination", "d"),
        ("message", "m"),
    ];
    let mut params = Params::from_pairs(pairs.map(|(name, value)| (name, value.to_owned())));
    Arc::new(Request::open(&mut params).expect("the pairs are a right call"))
}

fn upstream_outcome(outcome: Result<Response, Error>) -> UpstreamOutcome {
    UpstreamOutcome {
        result: outcome,
        timing: UpstreamTiming::default(),
    }
}

async fn read(
    cache: &ReadCache,
    name: &str,
    platformid: &str,
    answer: &'static str,
) -> (String, &'static str) {
    let fetch = async move { upstream_outcome(Ok(Response::of(answer).unwrap())) };
    let forwarded = cache
        .read(
            &access(name),
            request("getchats", platformid),
            false,
            || fetch,
        )
        .await;
    let word = forwarded.cache.map_or("", CacheStatus::word);
    (
        forwarded
            .outcome
            .map_or_else(|e| e.to_string(), |r| r.result().to_owned()),
        word,
    )
}

fn pair(answer: &str, word: &'static str) -> (String, &'static str) {
    (answer.to_owned(), word)
}

#[tokio::test]
async fn a_read_is_cached_per_access_and_parameter_values() {
    let cache = cache();
    assert_eq!(read(&cache, "a", "1", "1").await, pair("1", "stored"));
    assert_eq!(read(&cache, "a", "1", "2").await, pair("1", "hit"));
    assert_eq!(read(&cache, "b", "1", "3").await, pair("3", "stored"));
    assert_eq!(read(&cache, "a", "2", "4").await, pair("4", "stored"));
}

#[test]
fn cache_keys_differ_by_access_version_request_and_epoch() {
    let key = |name, version, platformid, epoch| {
        let mut access = Access::new(name, "u", "c");
        access.version = version;
        CacheKey {
            access: Arc::new(access),
            request: request("getchats", platformid),
            epoch,
        }
    };
    let hasher = foldhash::quality::RandomState::default();
    let hash = |key: &CacheKey| std::hash::BuildHasher::hash_one(&hasher, key);
    let first = key("a", 1, "1", 0);
    assert!(first == key("a", 1, "1", 0) && hash(&first) == hash(&key("a", 1, "1", 0)));
    for other in [
        key("b", 1, "1", 0),
        key("a", 2, "1", 0),
        key("a", 1, "2", 0),
        key("a", 1, "1", 1),
    ] {
        assert!(first != other && hash(&first) != hash(&other));
    }
}

/// Waits until the cache has dropped its answer and returns another one.
async fn wait_until_expired(cache: &ReadCache) {
    let began = Instant::now();
    while read(cache, "a", "1", "\"new\"").await.0 != "\"new\"" {
        assert!(began.elapsed() < Duration::from_secs(20), "kept for ever");
    }
}

#[tokio::test]
async fn cached_and_refreshed_answers_expire() {
    let cache = ReadCache::new(config(Duration::from_millis(100), 1 << 20), None);
    read(&cache, "a", "1", "1").await;
    wait_until_expired(&cache).await;
    let fetch = async { upstream_outcome(Ok(Response::of("2").unwrap())) };
    cache
        .read(&access("a"), request("getchats", "1"), true, || fetch)
        .await;
    wait_until_expired(&cache).await;
}

#[tokio::test]
async fn a_cache_entry_weighs_its_answer_its_values_and_an_overhead() {
    let cache = cache();
    read(&cache, "a", "12345", "\"a longer answer\"").await;
    cache.entries.run_pending_tasks().await;
    let request = request("getchats", "12345");
    let values: usize = request.pairs().map(|(_, value)| value.len()).sum();
    let answer = Response::of("\"a longer answer\"").unwrap().bytes();
    let expected = ENTRY_OVERHEAD_BYTES + values + answer;
    assert_eq!(cache.entries.weighted_size(), expected as u64);
}

#[tokio::test]
async fn a_reload_keeps_cached_answers_unless_the_cache_size_changes() {
    let cache = cache();
    read(&cache, "a", "1", "1").await;
    let longer = config(Duration::from_secs(7200), 1 << 20);
    let renewed = cache.reconfigured(longer.clone());
    assert_eq!(read(&renewed, "a", "1", "2").await, pair("1", "hit"));
    let smaller = cache.reconfigured(CacheConfig {
        bytes: 1 << 19,
        ..longer
    });
    assert_eq!(read(&smaller, "a", "1", "3").await, pair("3", "stored"));
}

#[tokio::test]
async fn a_send_invalidates_cached_and_running_reads_of_its_channel() {
    let cache = cache();
    read(&cache, "a", "1", "1").await;
    let (release, released) = tokio::sync::oneshot::channel::<()>();
    let slow = {
        let cache = Arc::clone(&cache);
        let fetch = async move {
            let _ = released.await;
            upstream_outcome(Ok(Response::of("\"old\"").unwrap()))
        };
        tokio::spawn(async move {
            cache
                .read(&access("b"), request("getchats", "1"), false, || fetch)
                .await
        })
    };
    tokio::task::yield_now().await;
    cache.forget_channel(&request("sendmessage", "1"));
    let _ = release.send(());
    slow.await.unwrap().outcome.unwrap();
    assert_eq!(read(&cache, "a", "1", "2").await, pair("2", "stored"));
    assert_eq!(read(&cache, "b", "1", "3").await, pair("3", "stored"));
}

#[tokio::test]
async fn errors_are_not_cached() {
    let cache = cache();
    let failing = async { upstream_outcome(Err(Error::refused(Code::UpstreamError))) };
    let failed = cache
        .read(&access("a"), request("getchats", "1"), false, || failing)
        .await;
    assert_eq!(failed.outcome.unwrap_err().code(), Code::UpstreamError);
    assert_eq!(read(&cache, "a", "1", "1").await, pair("1", "stored"));
}

#[tokio::test]
async fn identical_reads_share_one_call_even_if_the_first_caller_disconnects() {
    let cache = cache();
    let flights = Arc::new(AtomicUsize::new(0));
    let (release, released) = tokio::sync::watch::channel(false);
    let mut readers: Vec<_> = (0..50)
        .map(|_| {
            let (cache, flights, mut released) =
                (Arc::clone(&cache), Arc::clone(&flights), released.clone());
            tokio::spawn(async move {
                let fetch = async move {
                    flights.fetch_add(1, Ordering::SeqCst);
                    let _ = released.wait_for(|go| *go).await;
                    upstream_outcome(Ok(Response::of("1").unwrap()))
                };
                cache
                    .read(&access("a"), request("getchats", "1"), false, || fetch)
                    .await
            })
        })
        .collect();
    for _ in 0..10_000 {
        if flights.load(Ordering::SeqCst) > 0 {
            break;
        }
        tokio::task::yield_now().await;
    }
    readers.remove(0).abort();
    release.send_replace(true);
    for reader in readers {
        assert_eq!(reader.await.unwrap().outcome.unwrap().result(), "1");
    }
    assert_eq!(flights.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_caller_that_stops_waiting_for_a_shared_read_frees_its_resources() {
    let cache = cache();
    let (release, mut released) = tokio::sync::watch::channel(false);
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let leading = {
        let cache = Arc::clone(&cache);
        let fetch = async move {
            begun.send(()).unwrap();
            released.wait_for(|go| *go).await.unwrap();
            upstream_outcome(Ok(Response::of("1").unwrap()))
        };
        tokio::spawn(async move {
            cache
                .read(&access("a"), request("getchats", "1"), false, || fetch)
                .await
        })
    };
    has_begun.await.unwrap();
    for _ in 0..5 {
        // Closed once all that the caller held is dropped.
        let (held, mut is_held) = tokio::sync::mpsc::channel::<()>(1);
        let fetch = async move {
            let _held = held;
            unreachable!("another call leads")
        };
        let cache = Arc::clone(&cache);
        let joining = tokio::spawn(async move {
            cache
                .read(&access("a"), request("getchats", "1"), false, || fetch)
                .await
        });
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert_eq!(is_held.try_recv(), Err(TryRecvError::Empty));
        joining.abort();
        let dropped = tokio::time::timeout(Duration::from_secs(20), is_held.recv());
        assert_eq!(dropped.await, Ok(None));
    }
    release.send_replace(true);
    let led = leading.await.unwrap();
    assert_eq!(led.outcome.unwrap().result(), "1");
    assert_eq!(led.cache.map(CacheStatus::word), Some("stored"));
}

#[tokio::test]
async fn a_panicking_read_fails_and_does_not_block_later_reads() {
    let cache = cache();
    for _ in 0..3 {
        let fetch = async { std::panic::resume_unwind(Box::new(())) };
        let request = request("getchats", "1");
        let forwarded = cache.read(&access("a"), request, false, || fetch).await;
        let error = forwarded.outcome.unwrap_err();
        assert_eq!(error.code(), Code::InternalError);
    }
    let (answer, _) = read(&cache, "a", "1", "[1]").await;
    assert_eq!(answer, "[1]");
}

#[tokio::test]
async fn a_refresh_bypasses_the_cache_and_replaces_the_cached_answer() {
    let cache = cache();
    read(&cache, "a", "1", "1").await;
    let fetch = async { upstream_outcome(Ok(Response::of("2").unwrap())) };
    let fresh = cache
        .read(&access("a"), request("getchats", "1"), true, || fetch)
        .await;
    assert_eq!(fresh.cache.map(CacheStatus::word), Some("refreshed"));
    assert_eq!(read(&cache, "a", "1", "3").await, pair("2", "hit"));
}
