//! One outside issuer: the source of its keys, the times of the last request and the last fetch, and the keys that can't be used.

use std::sync::{Mutex, MutexGuard, PoisonError};

use adapter_jwt::{JWKS_BYTES_MAX, KeySet, SkippedKey, parse_jwks};
use client::{Client, get_document};
use console::rfc3339;
use serde_json::{Value, json};
use store::sha256;

use crate::config::{IssuerConfig, JwksSource};

/// Minimum number of seconds between two fetches of one issuer's keys, so that tokens with invented key ids cause no flood of
/// fetches. It is also the retry time for a caller whose token can't be judged.
pub(crate) const REFETCH_PAUSE_S: u32 = 10;

/// Maximum number of unusable keys of one issuer that are logged and shown. A set of 256 KiB may contain thousands.
const ODD_KEYS_SHOWN_MAX: usize = 20;

/// An issuer with the state of its keys.
pub(crate) struct OutsideIssuer {
    pub(crate) config: IssuerConfig,
    /// Locked while its keys are fetched.
    pub(crate) fetching: tokio::sync::Mutex<()>,
    keys: Mutex<KeysState>,
}

/// The state of an issuer's keys. Times are in seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct KeysState {
    /// The time of the last request for the keys.
    tried: Option<i64>,
    /// The time at which the last successful fetch began.
    fetched: Option<i64>,
    /// The reason why the last fetch failed.
    error: Option<String>,
    /// SHA-256 of the document that contained the current keys.
    document: Option<[u8; 32]>,
    usable: usize,
    skipped: Vec<SkippedKey>,
}

impl OutsideIssuer {
    /// Starts without keys.
    pub(crate) fn new(config: IssuerConfig) -> OutsideIssuer {
        OutsideIssuer {
            config,
            fetching: tokio::sync::Mutex::new(()),
            keys: Mutex::default(),
        }
    }

    /// Copies the state for another configuration. A file is read again soon, because that is cheap and the file may be the reason
    /// for the reload. If a fetch is under way, the keys are also fetched again soon, because the result of that fetch goes to the
    /// old configuration.
    pub(crate) fn reconfigured(&self) -> OutsideIssuer {
        let mut known = self.known().clone();
        // The keys are copied at another moment, so they may belong to another document.
        known.document = None;
        let is_file = matches!(self.config.jwks, JwksSource::File(_));
        if is_file || self.fetching.try_lock().is_err() {
            known.tried = None;
        }
        OutsideIssuer {
            config: self.config.clone(),
            fetching: tokio::sync::Mutex::new(()),
            keys: Mutex::new(known),
        }
    }

    /// Returns whether the keys have to be fetched again.
    pub(crate) fn is_stale(&self, now: i64) -> bool {
        let fresh_s = i64::try_from(self.config.refresh.as_secs()).unwrap_or(i64::MAX);
        let known = self.known();
        // After a reload a file counts as unread.
        let fetched = known.fetched.filter(|_| known.tried.is_some());
        fetched.is_none_or(|fetched| !is_within(fresh_s, fetched, now))
    }

    /// Returns the time at which the last successful fetch of the keys began.
    pub(crate) fn fetched(&self) -> Option<i64> {
        self.known().fetched
    }

    /// Returns whether the last fetch was successful, so that the keys that the issuer had published by then are known.
    pub(crate) fn has_current_keys(&self) -> bool {
        let known = self.known();
        known.fetched.is_some() && known.error.is_none()
    }

    /// Fetches the keys, unless they were requested a moment ago. Returns the keys if their document has changed. Hold `fetching`
    /// during the call. `now` returns seconds since 1970, UTC.
    pub(crate) async fn fetch(
        &self,
        client: Option<&Client>,
        now: impl Fn() -> i64,
    ) -> Option<KeySet> {
        let began = now();
        {
            let mut known = self.known();
            let pause_s = i64::from(REFETCH_PAUSE_S);
            if known
                .tried
                .is_some_and(|tried| is_within(pause_s, tried, began))
            {
                return None;
            }
            known.tried = Some(began);
        }
        let read = self.read(client).await;
        // The pause starts at the end of a fetch, however long the fetch takes.
        self.known().tried = Some(now());
        match read {
            Ok((set, document)) => {
                self.note(&set, began);
                let before = self.known().document.replace(document);
                (before != Some(document)).then_some(set)
            }
            // The last good keys stay, because an issuer that is down for a minute must not lock out its callers.
            Err(error) => {
                tracing::warn!(issuer = self.config.issuer, %error, "the keys of an issuer could not be fetched");
                self.known().error = Some(error);
                None
            }
        }
    }

    async fn read(&self, client: Option<&Client>) -> Result<(KeySet, [u8; 32]), String> {
        let document = match &self.config.jwks {
            JwksSource::Url(url) => {
                let client = client.ok_or("the gateway has no HTTP client for issuers")?;
                get_document(client, url.clone(), JWKS_BYTES_MAX).await?
            }
            JwksSource::File(path) => {
                let path = path.clone();
                let reading = tokio::task::spawn_blocking(move || settings::read_trusted(&path));
                reading.await.map_err(|panic| panic.to_string())??
            }
        };
        let set = parse_jwks(&document, &self.config.algorithms);
        let set = set.map_err(|error| error.to_string())?;
        Ok((set, sha256(document.as_bytes())))
    }

    fn note(&self, set: &KeySet, now: i64) {
        let mut known = self.known();
        // One line for each set that differs, not for each fetch.
        if !set.skipped.is_empty() && set.skipped != known.skipped {
            let shown = set.skipped.iter().take(ODD_KEYS_SHOWN_MAX).map(describe);
            let skipped_keys: Vec<_> = shown.collect();
            let (issuer, usable) = (&self.config.issuer, set.keys.len());
            let skipped_keys = skipped_keys.join(" ");
            tracing::warn!(
                issuer,
                usable,
                skipped_keys,
                "some keys of an issuer can't be used"
            );
        }
        known.fetched = Some(now);
        known.error = None;
        known.usable = set.keys.len();
        known.skipped.clone_from(&set.skipped);
    }

    /// Returns the status of the issuer for operators.
    pub(crate) fn status(&self) -> Value {
        let known = self.known();
        let odd = known.skipped.iter().take(ODD_KEYS_SHOWN_MAX);
        json!({
            "issuer": self.config.issuer,
            "fetched_at": known.fetched.map(rfc3339),
            "error": known.error,
            "keys": known.usable,
            "keys_passed_over": known.skipped.len(),
            "passed_over": odd.map(|odd| json!({
                "place": odd.place, "kid": odd.kid, "reason": odd.reason,
            })).collect::<Vec<_>>(),
        })
    }

    fn known(&self) -> MutexGuard<'_, KeysState> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether fewer than `seconds` seconds have passed since `began`. Returns `false` if `began` is in the future: the clock
/// was set back since then, and that must not delay a fetch.
fn is_within(seconds: i64, began: i64, now: i64) -> bool {
    (0..seconds).contains(&now.saturating_sub(began))
}

fn describe(odd: &SkippedKey) -> String {
    let kid = odd.kid.as_deref().unwrap_or_default();
    format!("{} {kid:?}: {}", odd.place, odd.reason)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use adapter_jwt::{AccessNames, Algorithm, ScopeRule};

    use super::*;

    fn of_file(path: &std::path::Path) -> OutsideIssuer {
        OutsideIssuer::new(IssuerConfig {
            issuer: "https://issuer.test".to_owned(),
            audience: Vec::new(),
            jwks: JwksSource::File(path.to_owned()),
            algorithms: vec![Algorithm::EdDsa],
            refresh: Duration::from_secs(300),
            claim: "sub".to_owned(),
            accesses: AccessNames::all(),
            scopes: ScopeRule::default(),
        })
    }

    #[tokio::test]
    async fn the_pause_starts_when_a_fetch_ends_and_unchanged_keys_are_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("jwks.json");
        std::fs::write(&file, r#"{"keys":[]}"#).unwrap();
        let (issuer, clock) = (of_file(&file), Cell::new(1000));
        // Each reading of the clock is four seconds after the previous one.
        let now = || clock.replace(clock.get() + 4);
        assert!(issuer.fetch(None, now).await.is_some());
        let ended = clock.get() - 4;
        assert!(issuer.fetch(None, || ended + 9).await.is_none());
        assert_eq!(issuer.known().tried, Some(ended));
        assert!(
            issuer.fetch(None, || ended + 10).await.is_none(),
            "no others"
        );
        assert_eq!(issuer.known().tried, Some(ended + 10));
        std::fs::write(&file, r#"{"keys":[ ]}"#).unwrap();
        assert!(issuer.fetch(None, || ended + 20).await.is_some());
        // The keys that a reload copies may belong to another document than the copied state.
        assert!(
            issuer
                .reconfigured()
                .fetch(None, || ended + 30)
                .await
                .is_some()
        );
    }

    #[test]
    fn a_clock_set_back_does_not_delay_a_fetch() {
        assert!(is_within(10, 1000, 1000) && is_within(10, 1000, 1009));
        assert!(!is_within(10, 1000, 1010));
        assert!(!is_within(10, 1000, 999));
    }
}
