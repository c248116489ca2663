//! What of the upstream is configured.

use std::time::Duration;

use client::Roots;
use url::Url;

use super::UpstreamAccount;

/// Where the upstream is and how to speak to it.
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
    /// The endpoint, such as `https://www.afilnet.com/api/http/`.
    pub url: Url,
    /// Other endpoints of the same account.
    pub fallback_urls: Vec<Url>,
    /// Whether all endpoints take turns; otherwise the first that is well is asked.
    pub round_robin: bool,
    /// Our account there.
    pub account: UpstreamAccount,
    /// The one that is to replace it.
    pub next_account: Option<UpstreamAccount>,
    /// Where the account stands in a request; never in the URL.
    pub auth: UpstreamAuth,
    /// Bounds on what is asked of it.
    pub limits: UpstreamLimits,
}

/// Bounds of the upstream client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamLimits {
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// How long a connection takes new requests.
    pub connection_life: Duration,
    /// Longest wait for the whole answer.
    pub timeout: Duration,
    /// Largest answer, in bytes after decompression.
    pub response_bytes: usize,
    /// Whose certificates are trusted.
    pub roots: Roots,
    /// Most attempts for one call, where another one can do no harm.
    pub attempts_max: u32,
    /// Most calls under way at once, of all accesses together.
    pub calls_max: usize,
    /// Most calls that wait for one of these places.
    pub waiting_max: usize,
    /// Longest wait for a place.
    pub wait_max: Duration,
}

impl UpstreamConfig {
    /// Whether both speak to one account at one place, so that what one was answered holds for the other.
    pub(crate) fn is_account_of(&self, other: &UpstreamConfig) -> bool {
        (&self.url, &self.account.user) == (&other.url, &other.account.user)
    }

    /// Whether both have the same account, and the same one to replace it.
    pub(crate) fn has_same_accounts(&self, other: &UpstreamConfig) -> bool {
        let next = match (&self.next_account, &other.next_account) {
            (Some(account), Some(other)) => account.is_same(other),
            (None, None) => true,
            _ => false,
        };
        next && self.account.is_same(&other.account)
    }

    /// Whether both say the same. What stands in files of roots is compared by whoever has read them.
    pub(crate) fn is_same(&self, other: &UpstreamConfig) -> bool {
        (&self.url, &self.fallback_urls) == (&other.url, &other.fallback_urls)
            && self.has_same_accounts(other)
            && (self.auth, self.round_robin) == (other.auth, other.round_robin)
            && self.limits == other.limits
    }
}

/// Where the account stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamAuth {
    /// In the posted form.
    Form,
    /// In a Basic `Authorization` header.
    Basic,
}
