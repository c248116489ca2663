//! Tests guessing on a clock that the test sets: counts are exact and bounded, and the owner gets in.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use secrecy::SecretString;
use shared::CallWait;
use store::{Secret, SecretHasher, StoredSecret};

use super::*;
use crate::call::Caller;
use crate::share::Share;
use crate::{Authenticator, PresentedCredentials};

const WINDOW_MS: u64 = 10 * 60 * 1000;
const KEY: &[u8] = b"key";
const OWNERS: &str = "cgs_owners-owners-owners-owners-owners-owners-o";
const INSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const OUTSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

impl LoginThrottle {
    /// Returns whether a guess would be checked now.
    fn check(&self, throttle_key: &ThrottleKey) -> Result<(), Error> {
        let peeks = self.peek(throttle_key);
        peeks.into_iter().try_for_each(|peek| peek.judged)
    }
}

fn caller(address: IpAddr, wait: &CallWait) -> Caller<'_> {
    Caller { address, wait }
}

/// The milliseconds since the test began.
#[derive(Clone, Default)]
struct Time(Arc<AtomicU64>);

impl Time {
    fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }

    fn throttle(&self, per_name: u32, per_address: u32) -> LoginThrottle {
        self.shared_throttle((per_name, per_address), &Share::default())
    }

    fn shared_throttle(&self, (per_name, per_address): (u32, u32), share: &Share) -> LoginThrottle {
        let limits = ThrottleLimits {
            per_name: NonZeroU32::new(per_name).unwrap(),
            per_address: NonZeroU32::new(per_address).unwrap(),
        };
        let now = Arc::clone(&self.0);
        let clock = move || Duration::from_millis(now.load(Ordering::SeqCst));
        LoginThrottle::with_clock(limits, KEY, (Arc::new(clock), share))
    }

    fn authenticator(&self, per_name: u32, per_address: u32) -> Authenticator {
        let throttle = self.throttle(per_name, per_address);
        Authenticator::new(Arc::new(SecretHasher::new(KEY)), KEY, 1, throttle)
    }
}

fn accesses() -> Accesses {
    accesses_with(&SecretHasher::new(KEY).keyed(&OWNERS.into()))
}

fn accesses_with(secret: &StoredSecret) -> Accesses {
    let secret = Secret {
        hash: secret.clone(),
        created: 0,
    };
    let access = Access {
        secrets: vec![secret],
        allow: vec!["10.0.0.0/8".parse().unwrap()],
        ..Access::new("shop", "shop", "cga_shop")
    };
    [access].into_iter().collect()
}

fn throttle_key(throttle: &LoginThrottle, name: &str, address: IpAddr) -> ThrottleKey {
    let accesses = accesses();
    let presented = (accesses.of_user(name), PresentedName::User(name));
    throttle.throttle_key(&accesses, presented, address)
}

/// Returns how many of these guesses are checked.
fn checked(throttle: &Arc<LoginThrottle>, name: &str, from: IpAddr, tries: usize) -> usize {
    let throttle_key = throttle_key(throttle, name, from);
    let places = (0..tries).filter_map(|_| throttle.reserve(throttle_key).ok());
    places.map(Reservation::was_wrong).count()
}

async fn log_in(
    authenticator: &Authenticator,
    user: &str,
    secret: &str,
    from: IpAddr,
) -> Result<(), Error> {
    let password = &SecretString::from(secret);
    let credentials = PresentedCredentials::User { user, password };
    authenticator
        .authenticate(&accesses(), credentials, caller(from, &CallWait::default()))
        .await
        .map(drop)
}

#[test]
fn guess_budgets_apply_per_name_inside_and_outside_and_per_address() {
    let time = Time::default();
    let throttle = Arc::new(time.throttle(60, 40));
    assert_eq!(checked(&throttle, "shop", OUTSIDE, 100), 15);
    // Guesses rejected for the name have cost the address nothing.
    assert_eq!(checked(&throttle, "nobody", OUTSIDE, 100), 15);
    assert_eq!(checked(&throttle, "nobody 2", OUTSIDE, 100), 10);
    assert_eq!(checked(&throttle, "shop", INSIDE, 100), 30);
    assert_eq!(checked(&throttle, "nobody", INSIDE, 100), 10);
    let mapped = "::ffff:10.0.0.1".parse().unwrap();
    assert_eq!(checked(&throttle, "nobody", mapped, 1), 0);
    assert_eq!(
        checked(&throttle, "nobody", "10.0.0.2".parse().unwrap(), 100),
        20
    );
}

#[test]
fn a_throttled_guess_gets_the_retry_after_of_the_next_check() {
    let time = Time::default();
    let throttle = Arc::new(time.throttle(60, 60));
    checked(&throttle, "shop", OUTSIDE, 15);
    let throttle_key = throttle_key(&throttle, "shop", OUTSIDE);
    let refused = throttle.check(&throttle_key).unwrap_err();
    let wait = refused.retry_after_s().unwrap();
    assert_eq!((refused.code(), wait), (Code::TooManyFailures, 101));
    time.advance(u64::from(wait) * 1000 - 2000);
    assert_eq!(checked(&throttle, "shop", OUTSIDE, 1), 0);
    time.advance(2000);
    assert!(throttle.check(&throttle_key).is_ok());
    assert_eq!(checked(&throttle, "shop", OUTSIDE, 2), 1);
}

/// However the guesses are distributed, no window contains more than the limit, and the limit can be reached.
#[test]
fn no_time_window_contains_more_checked_guesses_than_the_limit() {
    for per_name in [2, 3, 4, 7, 60, 61, 1000] {
        let mut best = 0;
        for pause_ms in [0, 1, 997, 60_000, 101_001] {
            let time = Time::default();
            let throttle = Arc::new(time.throttle(per_name, u32::MAX));
            let (mut at, mut most) = (VecDeque::new(), 0);
            for _ in 0..3000 {
                let now = time.0.load(Ordering::SeqCst);
                for from in [INSIDE, OUTSIDE] {
                    at.extend(std::iter::repeat_n(
                        now,
                        checked(&throttle, "shop", from, 1),
                    ));
                }
                at.retain(|then| now - then < WINDOW_MS);
                most = most.max(at.len());
                time.advance(pause_ms);
            }
            assert!(
                most <= per_name as usize,
                "{most} of {per_name}, one each {pause_ms} ms"
            );
            best = best.max(most);
        }
        assert!(best >= per_name as usize * 9 / 10, "{best} of {per_name}");
    }
}

#[test]
fn the_guess_limit_is_exact_under_64_threads_and_correct_logins_are_free() {
    let time = Time::default();
    let throttle = Arc::new(time.throttle(6000, 100_000));
    let wrong = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..64 {
            let (throttle, wrong) = (&throttle, &wrong);
            let from = IpAddr::from([192, 0, 2, thread]);
            let throttle_key = throttle_key(throttle, "shop", from);
            scope.spawn(move || {
                for n in 0..1000 {
                    match throttle.reserve(throttle_key) {
                        Ok(place) if n % 10 > 0 => {
                            wrong.fetch_add(1, Ordering::SeqCst);
                            place.was_wrong();
                        }
                        _ => {}
                    }
                }
            });
        }
    });
    // A third of the guesses is for callers outside, and three quarters of that third are available at the same time.
    assert_eq!(wrong.load(Ordering::SeqCst), 1500);
    let throttle = Arc::new(time.throttle(60, 60));
    for _ in 0..1000 {
        drop(
            throttle
                .reserve(throttle_key(&throttle, "shop", INSIDE))
                .unwrap_or_else(|e| panic!("{e}")),
        );
    }
    assert_eq!(checked(&throttle, "shop", INSIDE, 100), 30);
}

#[test]
fn each_replica_checks_its_share_of_the_guesses() {
    let replicas = Arc::new(AtomicU32::new(3));
    let counted = Arc::clone(&replicas);
    let share = Share::of(move || counted.load(Ordering::SeqCst));
    let throttle = Arc::new(Time::default().shared_throttle((60, 90), &share));
    let reserved = throttle.reserve(throttle_key(&throttle, "shop", INSIDE));
    // A reservation made as one of three processes is given back as such, even after the others have ended.
    replicas.store(1, Ordering::SeqCst);
    drop(reserved.unwrap_or_else(|error| panic!("{error}")));
    replicas.store(3, Ordering::SeqCst);
    assert_eq!(checked(&throttle, "shop", INSIDE, 100), 10);
    assert_eq!(checked(&throttle, "shop", OUTSIDE, 100), 5);
    // 10 of the 30 guesses of the address are used.
    assert_eq!(checked(&throttle, "other", INSIDE, 100), 10);
    assert_eq!(checked(&throttle, "third", INSIDE, 100), 10);
    assert_eq!(checked(&throttle, "fourth", INSIDE, 100), 0);
}

#[test]
fn throttle_tables_are_bounded_and_emptied_by_sweep() {
    let time = Time::default();
    let throttle = Arc::new(time.throttle(60, 60));
    checked(&throttle, "shop", OUTSIDE, 15);
    for n in 0..150_000_u32 {
        let from = IpAddr::from((n + 0x0b00_0000).to_be_bytes());
        checked(&throttle, &format!("name {n}"), from, 1);
    }
    assert_eq!(throttle.outside.len(), NAMES_MAX);
    assert_eq!(throttle.addresses.len(), ADDRESSES_MAX);
    // A flood of names frees no name with an empty budget.
    assert_eq!(
        checked(&throttle, "shop", "192.0.2.2".parse().unwrap(), 1),
        0
    );
    // The outside budget of a name takes 25 minutes to refill completely.
    time.advance(WINDOW_MS * 3);
    throttle.sweep();
    assert_eq!(throttle.outside.len() + throttle.addresses.len(), 0);
}

#[tokio::test]
async fn unknown_names_are_throttled_like_known_names() {
    for secret in ["cgs_wrong", "wrong"] {
        let mut seen = ["shop", "nobody"].map(|user| (user, Vec::new()));
        for (user, seen) in &mut seen {
            let authenticator = Time::default().authenticator(12, 100);
            for n in 0..20 {
                let from = [INSIDE, OUTSIDE][usize::from(n % 3 == 0)];
                let error = log_in(&authenticator, user, secret, from)
                    .await
                    .unwrap_err();
                seen.push((error.code(), error.retry_after_s()));
            }
        }
        assert_eq!(seen[0].1, seen[1].1);
        let last = seen[0].1.last().unwrap();
        assert_eq!(last.0, Code::TooManyFailures);
    }
}

#[tokio::test]
async fn user_and_client_id_share_one_guess_budget() {
    let authenticator = Time::default().authenticator(3, 100);
    let secret = &SecretString::from("cgs_wrong");
    let client = PresentedCredentials::Client {
        client_id: "cga_shop",
        secret,
    };
    let wrong = authenticator
        .authenticate(&accesses(), client, caller(OUTSIDE, &CallWait::default()))
        .await;
    assert_eq!(wrong.unwrap_err().code(), Code::IncorrectUserPassword);
    let refused = log_in(&authenticator, "shop", "cgs_wrong", OUTSIDE).await;
    assert_eq!(refused.unwrap_err().code(), Code::TooManyFailures);
}

#[tokio::test]
async fn invalid_tokens_count_against_their_address_and_expired_tokens_do_not() {
    let authenticator = Time::default().authenticator(60, 3);
    let token = async |code: Option<Code>, from| {
        let said = async { code.map_or(Ok(()), |code| Err(Error::refused(code))) };
        authenticator
            .verify_token(caller(from, &CallWait::default()), said)
            .await
            .err()
            .map(|e| e.code())
    };
    for code in [None, Some(Code::ExpiredToken), Some(Code::IncorrectToken)] {
        for _ in 0..3 {
            assert_eq!(token(code, OUTSIDE).await, code);
        }
    }
    let wrong = Some(Code::IncorrectToken);
    assert_eq!(token(wrong, OUTSIDE).await, Some(Code::TooManyFailures));
    assert_eq!(token(wrong, INSIDE).await, wrong);
    // A right token gets in, whatever neighbours behind the same address have presented.
    assert_eq!(token(None, OUTSIDE).await, None);
    let refused = log_in(&authenticator, "shop", OWNERS, OUTSIDE).await;
    assert_eq!(refused.unwrap_err().code(), Code::TooManyFailures);
}

/// The owner has called before, so that guesses lock nobody out, even from inside and from the owner's own address.
#[tokio::test]
async fn a_proven_secret_is_accepted_even_while_guesses_are_throttled() {
    let authenticator = Time::default().authenticator(60, 60);
    log_in(&authenticator, "shop", OWNERS, INSIDE)
        .await
        .unwrap();
    for _ in 0..100 {
        log_in(&authenticator, "shop", "cgs_wrong", INSIDE)
            .await
            .unwrap_err();
    }
    log_in(&authenticator, "shop", OWNERS, INSIDE)
        .await
        .unwrap();
    let refused = log_in(&authenticator, "shop", "cgs_wrong", INSIDE).await;
    assert_eq!(refused.unwrap_err().code(), Code::TooManyFailures);
}

/// More calls than reservations, each with a password that nobody has presented yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_first_calls_of_an_owner_are_all_admitted() {
    let stored = StoredSecret::argon2id(&"owner's".into()).unwrap();
    let accesses = Arc::new(accesses_with(&stored));
    let authenticator = Arc::new(Time::default().authenticator(6, 60));
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (authenticator, accesses) = (Arc::clone(&authenticator), Arc::clone(&accesses));
        calls.spawn(async move {
            let password = &SecretString::from("owner's");
            let user = "shop";
            let credentials = PresentedCredentials::User { user, password };
            authenticator
                .authenticate(&accesses, credentials, caller(INSIDE, &CallWait::default()))
                .await
                .map(drop)
        });
    }
    for proven in calls.join_all().await {
        proven.unwrap();
    }
}

/// 100,000 wrong guesses from 500 addresses within half an hour, with the owner's calls among them.
#[tokio::test]
async fn a_flood_of_1e5_guesses_is_throttled_and_the_owner_is_admitted() {
    let time = Time::default();
    let authenticator = time.authenticator(60, 60);
    let accesses = accesses();
    let (mut at, mut most, mut all) = (VecDeque::new(), 0, 0);
    let (mut calls, mut refused) = (0_u32, 0_u32);
    for n in 0..100_000_u32 {
        let now = time.0.load(Ordering::SeqCst);
        let from = IpAddr::from([192, 0, 2 + (n % 500 / 250) as u8, (n % 250) as u8]);
        let password = &SecretString::from(format!("cgs_{n}"));
        let credentials = PresentedCredentials::User {
            user: "shop",
            password,
        };
        match authenticator
            .authenticate(&accesses, credentials, caller(from, &CallWait::default()))
            .await
        {
            Err(error) if error.code() == Code::IncorrectUserPassword => {
                at.push_back(now);
                all += 1;
            }
            Err(error) => assert_eq!(error.code(), Code::TooManyFailures),
            Ok(_) => panic!("guess {n} was right"),
        }
        at.retain(|then| now - then < WINDOW_MS);
        most = most.max(at.len());
        // The owner's first call comes long after the first guesses.
        if n % 50 == 49 {
            calls += 1;
            refused += u32::from(
                log_in(&authenticator, "shop", OWNERS, INSIDE)
                    .await
                    .is_err(),
            );
        }
        time.advance(18);
    }
    assert!(most <= 60, "{most} guesses were checked within ten minutes");
    assert!(all >= 15, "hardly a guess was checked: {all}");
    assert_eq!((calls, refused), (2000, 0));
}
