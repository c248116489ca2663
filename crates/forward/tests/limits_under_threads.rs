//! Tests that limits are exact under concurrent threads: 64 threads, a million decisions, a thousand keys, and a clock that stands
//! still.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use forward::{RateLimits, Share};
use governor::clock::FakeRelativeClock;
use store::{Access, Rate};

const THREADS: u32 = 64;
const KEYS: u32 = 1000;
const DECISIONS: u32 = 1_000_000;

/// The number of decisions for each key, the same for all.
const ASKED: u32 = DECISIONS / KEYS;

/// Bursts that are used up immediately, soon, late and not at all. Each divides a minute, so that the refilled calls are a whole
/// number.
const BURSTS: [u32; 4] = [1, 60, 600, 6000];

fn burst(key: u32) -> u32 {
    BURSTS[key as usize % BURSTS.len()]
}

/// Returns how often each key is admitted when all threads ask for all keys, each beginning at another key.
fn admitted(decide: impl Fn(u32) -> bool + Sync) -> Vec<u32> {
    let admitted: Vec<_> = (0..KEYS).map(|_| AtomicU32::new(0)).collect();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (admitted, decide) = (&admitted, &decide);
            scope.spawn(move || {
                // Every decision belongs to one thread, and all keys occur equally often.
                for decision in (thread..DECISIONS).step_by(THREADS as usize) {
                    let key = (decision / THREADS + thread) % KEYS;
                    if decide(key) {
                        admitted[key as usize].fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    admitted.iter().map(|n| n.load(Ordering::Relaxed)).collect()
}

/// Returns how often [`admitted`] asks for each key.
fn asked() -> Vec<u32> {
    let mut asked = vec![0; KEYS as usize];
    for decision in 0..DECISIONS {
        let (round, thread) = (decision / THREADS, decision % THREADS);
        asked[((round + thread) % KEYS) as usize] += 1;
    }
    asked
}

/// Compares with the expected numbers for each key, and prints the sums.
#[expect(clippy::print_stdout, reason = "the figures are what is asked for")]
#[track_caller]
fn check(what: &str, admitted: &[u32], due: impl Fn(u32) -> u32, began: Instant) {
    let due: Vec<_> = (0..KEYS).map(due).collect();
    let over = |(is, due): (&u32, &u32)| u64::from(is.saturating_sub(*due));
    let sum = |all: &[u32]| all.iter().map(|n| u64::from(*n)).sum::<u64>();
    let over: u64 = admitted.iter().zip(&due).map(over).sum();
    println!(
        "{what}: {THREADS} threads, {DECISIONS} decisions, {KEYS} keys: {} admitted, {} due, {over} over, {:.1} s",
        sum(admitted),
        sum(&due),
        began.elapsed().as_secs_f64()
    );
    assert_eq!(admitted, due);
}

fn access(key: u32) -> Access {
    let mut access = Access::new(&format!("a{key}"), "u", "c");
    let per_minute = NonZeroU32::new(burst(key));
    access.limits.per_minute = per_minute.map(|per_minute| Rate { per_minute });
    access
}

#[test]
fn rate_limits_are_exact_for_a_million_decisions_of_64_threads() {
    let clock = FakeRelativeClock::default();
    let limits = RateLimits::with_clock(
        NonZeroU32::new(600).unwrap(),
        clock.clone(),
        [&Share::default(); 2],
    );
    let accesses: Vec<_> = (0..KEYS).map(access).collect();
    let decide = |key: u32| limits.check_access(&accesses[key as usize]).result.is_ok();
    let asked = asked();
    assert!(asked.iter().all(|n| n.abs_diff(ASKED) <= THREADS));

    let began = Instant::now();
    let first = admitted(decide);
    let due = |key: u32| burst(key).min(asked[key as usize]);
    check("accesses, clock stands", &first, due, began);

    // Six seconds refill a tenth of the burst for the keys that have used it up.
    clock.advance(Duration::from_secs(6));
    let began = Instant::now();
    let second = admitted(decide);
    let left = |key: u32| burst(key) - first[key as usize];
    let refilled = |key: u32| (left(key) + burst(key) / 10).min(burst(key));
    let due = |key: u32| refilled(key).min(asked[key as usize]);
    check("accesses, six seconds later", &second, due, began);

    let address = |key: u32| IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + key));
    let began = Instant::now();
    let addresses = admitted(|key| limits.check_address(address(key)).result.is_ok());
    let due = |key: u32| asked[key as usize].min(600);
    check("addresses, clock stands", &addresses, due, began);
}
