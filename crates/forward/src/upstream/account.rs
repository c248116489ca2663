//! Our account at the upstream, and the account that is to replace it. The next account is tried with a read and used once the
//! upstream accepts it. If the upstream rejects it later, the first account is used again automatically.

use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use url::form_urlencoded;

/// A user name and its password.
#[derive(Clone, Debug)]
pub struct UpstreamAccount {
    /// The user name.
    pub user: String,
    /// The password.
    pub password: SecretString,
}

impl UpstreamAccount {
    pub(super) fn is_same(&self, other: &UpstreamAccount) -> bool {
        self.user == other.user && self.password.expose_secret() == other.password.expose_secret()
    }
}

/// An account in the forms that requests need.
pub(super) struct EncodedAccount {
    /// User and password as further fields of a form, encoded once and not for every call.
    pub(super) fields: SecretString,
    /// User and password in Basic form (RFC 7617).
    pub(super) authorization: HeaderValue,
}

impl EncodedAccount {
    fn new(account: &UpstreamAccount) -> EncodedAccount {
        let mut form = form_urlencoded::Serializer::for_suffix(String::from("&"), 1);
        form.append_pair("user", &account.user);
        form.append_pair("password", account.password.expose_secret());
        let pair = format!("{}:{}", account.user, account.password.expose_secret());
        let basic = format!("Basic {}", BASE64_STANDARD.encode(pair));
        let basic = HeaderValue::try_from(basic);
        let mut authorization =
            basic.expect("base64 contains only characters that a header allows");
        authorization.set_sensitive(true);
        EncodedAccount {
            fields: form.finish().into(),
            authorization,
        }
    }
}

/// The first account and the next one.
pub(super) struct Accounts {
    first: EncodedAccount,
    next: Option<EncodedAccount>,
    uses_next: AtomicBool,
}

/// The slot of the account with which a call was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AccountSlot {
    First,
    Next,
}

impl Accounts {
    pub(super) fn new(first: &UpstreamAccount, next: Option<&UpstreamAccount>) -> Accounts {
        Accounts {
            first: EncodedAccount::new(first),
            next: next.map(EncodedAccount::new),
            uses_next: AtomicBool::new(false),
        }
    }

    /// Returns the account in use.
    pub(super) fn current(&self) -> (AccountSlot, &EncodedAccount) {
        match &self.next {
            Some(next) if self.uses_next.load(Ordering::Acquire) => (AccountSlot::Next, next),
            _ => (AccountSlot::First, &self.first),
        }
    }

    /// Returns the next account, if there is one that is not in use.
    pub(super) fn next_to_test(&self) -> Option<&EncodedAccount> {
        let is_in_use = self.uses_next.load(Ordering::Acquire);
        self.next.as_ref().filter(|_| !is_in_use)
    }

    /// Uses the next account, because the upstream accepts it.
    pub(super) fn take_next(&self) {
        self.uses_next.store(true, Ordering::Release);
    }

    /// Notes that the upstream rejects the account in this slot. Returns whether the first account takes over.
    pub(super) fn refused(&self, slot: AccountSlot) -> bool {
        slot == AccountSlot::Next && self.uses_next.swap(false, Ordering::AcqRel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_fields_are_urlencoded_pairs_after_an_ampersand() {
        let encoded = EncodedAccount::new(&UpstreamAccount {
            user: "a&b".to_owned(),
            password: "c d".to_owned().into(),
        });
        assert_eq!(encoded.fields.expose_secret(), "&user=a%26b&password=c+d");
    }
}
