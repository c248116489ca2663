//! One flight per key, errors not kept, sends seen.

use std::sync::atomic::{AtomicUsize, Ordering};

use adapter::Params;
use store::Access;

use super::*;

fn cache() -> Arc<ReadCache> {
    let ttl = Duration::from_secs(3600);
    let config = CacheConfig {
        lifetimes: [ttl; OPERATION_COUNT],
        bytes: 1 << 20,
    };
    Arc::new(ReadCache::new(config, None))
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

fn called(outcome: Result<Response, Error>) -> UpstreamOutcome {
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
    let fetch = async move { called(Ok(Response::of(answer).unwrap())) };
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
async fn a_read_is_kept_for_its_access_and_its_values() {
    let cache = cache();
    assert_eq!(read(&cache, "a", "1", "1").await, pair("1", "stored"));
    assert_eq!(read(&cache, "a", "1", "2").await, pair("1", "hit"));
    assert_eq!(read(&cache, "b", "1", "3").await, pair("3", "stored"));
    assert_eq!(read(&cache, "a", "2", "4").await, pair("4", "stored"));
}

#[tokio::test]
async fn a_send_makes_older_reads_of_its_channel_unreachable_even_those_under_way() {
    let cache = cache();
    read(&cache, "a", "1", "1").await;
    let (release, released) = tokio::sync::oneshot::channel::<()>();
    let slow = {
        let cache = Arc::clone(&cache);
        let fetch = async move {
            let _ = released.await;
            called(Ok(Response::of("\"old\"").unwrap()))
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
async fn errors_are_not_kept() {
    let cache = cache();
    let failing = async { called(Err(Error::refused(Code::UpstreamError))) };
    let failed = cache
        .read(&access("a"), request("getchats", "1"), false, || failing)
        .await;
    assert_eq!(failed.outcome.unwrap_err().code(), Code::UpstreamError);
    assert_eq!(read(&cache, "a", "1", "1").await, pair("1", "stored"));
}

#[tokio::test]
async fn identical_reads_share_one_flight_and_a_leader_that_leaves_does_not_stop_it() {
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
                    called(Ok(Response::of("1").unwrap()))
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
async fn a_leader_that_panics_leads_nobody_into_a_wait() {
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
async fn a_fresh_answer_can_be_asked_for_and_replaces_the_kept_one() {
    let cache = cache();
    read(&cache, "a", "1", "1").await;
    let fetch = async { called(Ok(Response::of("2").unwrap())) };
    let fresh = cache
        .read(&access("a"), request("getchats", "1"), true, || fetch)
        .await;
    assert_eq!(fresh.cache.map(CacheStatus::word), Some("refreshed"));
    assert_eq!(read(&cache, "a", "1", "3").await, pair("2", "hit"));
}
