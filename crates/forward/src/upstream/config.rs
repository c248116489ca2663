//! The configuration of the upstream.

use std::time::Duration;

use client::Roots;
use url::Url;

use super::UpstreamAccount;

/// The endpoints and the account of the upstream, and the settings for calls to it.
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
    /// The endpoint, such as `https://www.afilnet.com/api/http/`.
    pub url: Url,
    /// Other endpoints of the same account.
    pub fallback_urls: Vec<Url>,
    /// True if all endpoints take turns. Otherwise the first available one is asked.
    pub round_robin: bool,
    /// Our account there.
    pub account: UpstreamAccount,
    /// The account that is to replace it.
    pub next_account: Option<UpstreamAccount>,
    /// The place of the account in a request; never the URL.
    pub auth: UpstreamAuth,
    /// Limits on calls to the upstream.
    pub limits: UpstreamLimits,
}

/// Limits of the upstream client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamLimits {
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// The time for which a connection takes new requests.
    pub connection_life: Duration,
    /// Longest wait for the whole answer.
    pub timeout: Duration,
    /// Maximum size of an answer, in bytes after decompression.
    pub response_bytes: usize,
    /// The trusted certificate authorities.
    pub roots: Roots,
    /// Maximum number of attempts for one call, if repeating it can do no harm.
    pub attempts_max: u32,
    /// Maximum number of concurrent calls of all accesses together.
    pub calls_max: usize,
    /// Maximum number of calls that wait for a permit.
    pub waiting_max: usize,
    /// Longest wait for a permit.
    pub wait_max: Duration,
}

impl UpstreamConfig {
    /// Returns whether both use one account at the same URL, so that answers to one are valid for the other.
    pub(crate) fn is_account_of(&self, other: &UpstreamConfig) -> bool {
        (&self.url, &self.account.user) == (&other.url, &other.account.user)
    }

    /// Returns whether both have the same account and the same next account.
    pub(crate) fn has_same_accounts(&self, other: &UpstreamConfig) -> bool {
        let next = match (&self.next_account, &other.next_account) {
            (Some(account), Some(other)) => account.is_same(other),
            (None, None) => true,
            _ => false,
        };
        next && self.account.is_same(&other.account)
    }

    /// Returns whether both configurations are equal. The content of root files is compared by the reader of the files.
    pub(crate) fn is_same(&self, other: &UpstreamConfig) -> bool {
        (&self.url, &self.fallback_urls) == (&other.url, &other.fallback_urls)
            && self.has_same_accounts(other)
            && (self.auth, self.round_robin) == (other.auth, other.round_robin)
            && self.limits == other.limits
    }
}

/// The place of the account in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamAuth {
    /// In the posted form.
    Form,
    /// In a Basic `Authorization` header.
    Basic,
}
