//! Tests that counts are exact under threads, over midnight and over a crash, and that calls are rejected when the store fails.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::task::Poll;

use store::DailyBlock;

use super::*;

/// Noon of some day.
const NOON: i64 = 20_000 * DAY_S + DAY_S / 2;

struct Bench {
    folder: tempfile::TempDir,
    now: Arc<AtomicI64>,
}

impl Bench {
    fn new() -> Bench {
        Bench {
            folder: tempfile::tempdir().unwrap(),
            now: Arc::new(AtomicI64::new(NOON)),
        }
    }

    async fn store(&self) -> Arc<Store> {
        let file = self.folder.path().join("chatgate.db");
        Arc::new(Store::open(&file).await.unwrap())
    }

    async fn limits(&self, store: &Arc<Store>) -> Arc<DailyLimits> {
        let now = Arc::clone(&self.now);
        let clock = Box::new(move || now.load(Ordering::SeqCst));
        let limits = DailyLimits::open(Arc::clone(store), clock).await;
        Arc::new(limits.unwrap())
    }

    fn set(&self, now: i64) {
        self.now.store(now, Ordering::SeqCst);
    }
}

fn access(name: &str, per_day: u32) -> Access {
    let mut access = Access::new(name, "u", "c");
    access.limits.per_day = NonZeroU32::new(per_day);
    access
}

/// Returns how many of these calls are admitted. The others have to be rejected by the limit.
async fn admitted(limits: &DailyLimits, access: &Access, calls: u32) -> u32 {
    let mut admitted = 0;
    for _ in 0..calls {
        match limits.count(access).await.1 {
            Ok(()) => admitted += 1,
            Err(error) => assert_eq!(error.code(), Code::RateLimited),
        }
    }
    admitted
}

#[tokio::test]
async fn the_daily_limit_resets_at_midnight_and_a_clock_set_back_frees_no_calls() {
    let bench = Bench::new();
    let limits = bench.limits(&bench.store().await).await;
    let access = access("a", 30);
    assert_eq!(admitted(&limits, &access, 40).await, 30);
    let (state, refused) = limits.count(&access).await;
    let refused = refused.unwrap_err();
    assert_eq!(
        (refused.retry_after_s(), refused.cause()),
        (Some(43_200), Some("limit per day"))
    );
    let used_up = DayState {
        per_day: 30,
        remaining: 0,
        reset_s: 43_200,
    };
    assert_eq!(
        (state, limits.peek(&access)),
        (Some(used_up), Some(used_up))
    );

    bench.set(NOON + DAY_S / 2 - 1);
    let refused = limits.count(&access).await.1.unwrap_err();
    assert_eq!(refused.retry_after_s(), Some(1));
    bench.set(NOON + DAY_S / 2);
    assert_eq!(admitted(&limits, &access, 40).await, 30);
    // A clock that is set back over midnight makes no calls available again, neither here nor after a restart.
    bench.set(NOON + DAY_S / 2 - 1);
    assert_eq!(admitted(&limits, &access, 40).await, 0);
    let again = bench.limits(&bench.store().await).await;
    assert_eq!(admitted(&again, &access, 40).await, 0);
}

#[tokio::test]
async fn a_changed_daily_limit_includes_the_calls_already_made() {
    let bench = Bench::new();
    let limits = bench.limits(&bench.store().await).await;
    assert_eq!(admitted(&limits, &access("a", 10), 20).await, 10);
    assert_eq!(admitted(&limits, &access("a", 25), 40).await, 15);
    assert_eq!(admitted(&limits, &access("a", 5), 1).await, 0);
    assert_eq!(admitted(&limits, &access("b", 5), 10).await, 5);
    let mut free = access("a", 5);
    free.limits.per_day = None;
    let (state, counted) = limits.count(&free).await;
    assert!(state.is_none() && counted.is_ok());
}

/// Waits for the block that is being reserved, if there is one, because a crashed process reserves none later.
async fn wait_for_pending_block(limits: &DailyLimits, access: &Access) {
    let counter = limits.counter(&access.name);
    let in_a_month = day_of(NOON) + 30;
    loop {
        let next = counter.next_block();
        if counter.is_expired(in_a_month) {
            return;
        }
        next.arrives_before(Instant::now() + BLOCK_WAIT_MAX).await;
    }
}

#[tokio::test]
async fn a_crash_loses_at_most_one_block_of_calls_and_a_clean_stop_none() {
    let bench = Bench::new();
    let access = access("a", 1000);
    let block = block(1000, 1);
    let store = bench.store().await;
    let limits = bench.limits(&store).await;
    assert_eq!(admitted(&limits, &access, 333).await, 333);
    wait_for_pending_block(&limits, &access).await;
    // Nothing is closed, so the store is in the state after a crash.
    let crashed = bench.limits(&bench.store().await).await;
    let remaining = crashed.peek(&access).unwrap().remaining;
    assert!(
        (1000 - 333 - block..=1000 - 333).contains(&remaining),
        "{remaining} are left"
    );
    assert_eq!(admitted(&crashed, &access, 100).await, 100);
    crashed.close().await.unwrap();
    let refused = crashed.count(&access).await.1.unwrap_err();
    assert_eq!(refused.code(), Code::Overloaded);

    let stopped = bench.limits(&bench.store().await).await;
    assert_eq!(stopped.peek(&access).unwrap().remaining, remaining - 100);
    assert_eq!(admitted(&stopped, &access, 2000).await, remaining - 100);
}

#[tokio::test]
async fn a_counter_closed_during_a_refill_returns_only_its_own_calls() {
    let day = day_of(NOON);
    let counter = Arc::new(Counter::given(day, 10));
    let refill = Counter::start_refill(&counter).unwrap();
    let mut closing = std::pin::pin!(counter.close());
    let waits = std::future::poll_fn(|cx| Poll::Ready(closing.as_mut().poll(cx).is_pending()));
    assert!(waits.await);
    // Other replicas have been given 900 since; this one gets 25.
    refill.add_block(&DailyBlock {
        day,
        calls: 25,
        given: 935,
    });
    refill.end(true);
    assert_eq!(closing.await, (day, 25));
}

/// Several replicas over one database share a store like this.
#[tokio::test]
async fn replicas_that_share_a_store_admit_the_daily_limit_in_total() {
    let bench = Bench::new();
    let store = bench.store().await;
    let (one, two) = (bench.limits(&store).await, bench.limits(&store).await);
    let access = access("a", 200);
    let (mut made, mut rounds) = (0, 0);
    while rounds < 40 {
        made += admitted(&one, &access, 5).await + admitted(&two, &access, 5).await;
        rounds += 1;
    }
    // At most the block that the other replica has reserved and not used may be missing.
    let block = block(200, 1);
    assert!((200 - block..=200).contains(&made), "{made}");
    one.close().await.unwrap();
    two.close().await.unwrap();
    let later = bench.limits(&store).await;
    assert_eq!(admitted(&later, &access, 200).await, 200 - made);
}

#[tokio::test]
async fn a_store_failure_rejects_calls_only_after_the_block_is_used_up() {
    let bench = Bench::new();
    let store = bench.store().await;
    let limits = bench.limits(&store).await;
    let access = access("a", 1000);
    assert_eq!(admitted(&limits, &access, 1).await, 1);
    store.close().await;
    let mut admitted = 1;
    let refused = loop {
        match limits.count(&access).await.1 {
            Ok(()) => admitted += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(admitted, block(1000, 1));
    assert_eq!(
        (refused.code(), refused.retry_after_s()),
        (Code::Overloaded, Some(STORE_RETRY_S))
    );
    assert!(limits.close().await.is_err());
}

#[expect(clippy::print_stdout, reason = "the figures are what is asked for")]
#[test]
fn the_daily_limit_is_exact_under_64_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let bench = Bench::new();
    let store = runtime.block_on(bench.store());
    let limits = runtime.block_on(bench.limits(&store));
    let (access, over) = (Arc::new(access("a", 20_000)), AtomicU32::new(0));
    let admitted = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                for _ in 0..500 {
                    // A slow disk is not a rejection by the limit, so such a call is made again.
                    let counted = loop {
                        match runtime.block_on(limits.count(&access)).1 {
                            Err(error) if error.code() == Code::Overloaded => {}
                            counted => break counted,
                        }
                    };
                    let tally = if counted.is_ok() { &admitted } else { &over };
                    tally.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let figures = [&admitted, &over].map(|tally| tally.load(Ordering::Relaxed));
    println!("64 threads, 32000 calls, limit 20000 a day: admitted and refused {figures:?}");
    assert_eq!(figures, [20_000, 12_000]);
    runtime.block_on(limits.close()).unwrap();
    let again = runtime.block_on(bench.limits(&store));
    assert_eq!(again.peek(&access).unwrap().remaining, 0);
}

#[tokio::test]
async fn daily_counts_of_past_days_are_deleted_from_memory_and_disk() {
    let bench = Bench::new();
    let store = bench.store().await;
    let limits = bench.limits(&store).await;
    for number in 0..20 {
        let name = format!("a{number}");
        assert_eq!(admitted(&limits, &access(&name, 1), 1).await, 1);
    }
    limits.sweep();
    assert_eq!(limits.all().len(), 20);
    bench.set(NOON + DAY_S);
    limits.sweep();
    assert!(limits.all().is_empty());
    bench.set(NOON + 3 * DAY_S);
    let again = bench.limits(&store).await;
    assert!(again.all().is_empty());
    assert_eq!(store.daily_counts(0).await.unwrap(), []);
}
