//! Tests that the memory for limits and guesses does not grow with the number of addresses and names. Measures the resident size of
//! this process, which does nothing else. `throttle/tests.rs` and `rate_limit.rs` test the number of entries; this test measures
//! their size.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]
#![expect(clippy::print_stdout, reason = "the figures are what is asked for")]

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use adapter::Code;
use forward::{
    Authenticator, Caller, LoginThrottle, PresentedCredentials, RateLimits, Share, ThrottleLimits,
};
use governor::clock::FakeRelativeClock;
use secrecy::SecretString;
use shared::CallWait;
use store::{Access, Accesses, Rate, SecretHasher};

/// Names, addresses and destinations of one round. None of them occurs again.
const A_ROUND: u64 = 100_000;

/// Rounds, a minute apart. Guesses are counted for ten minutes, so that their bounds are reached and stay reached.
const ROUNDS: u64 = 5;

/// The number of rounds after which every bounded table is full.
const ROUNDS_TO_FILL: usize = 3;

/// Maximum growth of the process after that, in KiB, which an allocator does not release immediately. A round whose entries stayed
/// would take about 40 MiB.
const GROWTH_KIB_MAX: u64 = 4 * 1024;

/// Maximum total in KiB: 100,000 names and as many addresses in the guesses, and 100,000 addresses and destinations of the last
/// minute in the limits.
const TOTAL_KIB_MAX: u64 = 128 * 1024;

/// Returns the resident size of this process, in KiB.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mut words = status.split_whitespace();
    words.find(|word| *word == "VmRSS:").unwrap();
    words.next().unwrap().parse().unwrap()
}

/// Returns the same numbers in every run, all different (splitmix64).
fn random(number: u64) -> u64 {
    let mut x = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn access() -> Access {
    let mut access = Access {
        allow: vec!["192.0.2.0/24".parse().unwrap()],
        ..Access::new("a", "u", "c")
    };
    let per_minute = NonZeroU32::new(1);
    access.limits.per_destination = per_minute.map(|per_minute| Rate { per_minute });
    access
}

#[tokio::test]
async fn memory_stays_bounded_under_random_names_and_addresses() {
    let (clock, seconds) = (FakeRelativeClock::default(), Arc::new(AtomicU64::new(0)));
    let limits = RateLimits::with_clock(
        NonZeroU32::new(600).unwrap(),
        clock.clone(),
        [&Share::default(); 2],
    );
    let guess_limits = ThrottleLimits {
        per_name: NonZeroU32::new(60).unwrap(),
        per_address: NonZeroU32::new(300).unwrap(),
    };
    let elapsed = Arc::clone(&seconds);
    let elapsed = Arc::new(move || Duration::from_secs(elapsed.load(Ordering::SeqCst)));
    let guesses = LoginThrottle::with_clock(guess_limits, b"key", (elapsed, &Share::default()));
    let authenticator = Authenticator::new(Arc::new(SecretHasher::new(b"key")), b"key", 1, guesses);
    let (access, accesses) = (access(), Accesses::from_iter([access()]));
    let password = SecretString::from("cgs_wrong-wrong-wrong-wrong-wrong-wrong-wrong-w");
    let advance = |s: u64| {
        clock.advance(Duration::from_secs(s));
        seconds.fetch_add(s, Ordering::SeqCst);
        limits.sweep();
        authenticator.sweep();
    };

    let mut sizes = vec![resident_kib()];
    for round in 0..ROUNDS {
        for number in round * A_ROUND..(round + 1) * A_ROUND {
            let word = random(number);
            // An address is counted by its /64, so the random part is in the upper half.
            let address = IpAddr::V6(Ipv6Addr::from_bits(u128::from(word) << 64));
            limits.check_address(address).result.unwrap();
            let credentials = PresentedCredentials::User {
                user: &format!("{word:x}"),
                password: &password,
            };
            let caller = Caller {
                address,
                wait: &CallWait::default(),
            };
            let refused = authenticator
                .authenticate(&accesses, credentials, caller)
                .await
                .unwrap_err();
            assert_eq!(refused.code(), Code::IncorrectUserPassword);
            let destination = word.to_string();
            limits
                .check_destination(&access, &destination)
                .result
                .unwrap();
        }
        sizes.push(resident_kib());
        advance(61);
    }
    advance(600);
    sizes.push(resident_kib());
    println!(
        "VmRSS in KiB at the start, after each of {ROUNDS} rounds of {A_ROUND}, and swept: {sizes:?}"
    );
    let (full, last) = (sizes[ROUNDS_TO_FILL], sizes[sizes.len() - 2]);
    assert!(last.saturating_sub(full) <= GROWTH_KIB_MAX, "{sizes:?}");
    assert!(last - sizes[0] <= TOTAL_KIB_MAX, "{sizes:?}");
}
