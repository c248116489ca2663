//! Our account at the upstream, and the one that is to replace it: tried with a read, taken when the upstream knows it, and
//! given back by itself when it does not any more.

use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use url::form_urlencoded;

/// A user name and its password.
#[derive(Clone, Debug)]
pub struct Account {
    /// The user name.
    pub user: String,
    /// The password.
    pub password: SecretString,
}

impl Account {
    pub(super) fn is_same(&self, other: &Account) -> bool {
        self.user == other.user && self.password.expose_secret() == other.password.expose_secret()
    }
}

/// An account as it goes into a request.
pub(super) struct Known {
    /// Both as they stand in a form, behind other fields: encoded once, not for every call.
    pub(super) fields: SecretString,
    /// Both as Basic has them (RFC 7617).
    pub(super) authorization: HeaderValue,
}

impl Known {
    fn new(account: &Account) -> Known {
        let mut form = form_urlencoded::Serializer::new(String::from("&"));
        form.append_pair("user", &account.user);
        form.append_pair("password", account.password.expose_secret());
        let pair = format!("{}:{}", account.user, account.password.expose_secret());
        let basic = format!("Basic {}", BASE64_STANDARD.encode(pair));
        let basic = HeaderValue::try_from(basic);
        let mut authorization = basic.expect("the letters of base64 may stand in a header");
        authorization.set_sensitive(true);
        Known {
            fields: form.finish().into(),
            authorization,
        }
    }
}

/// Both slots.
pub(super) struct Accounts {
    first: Known,
    next: Option<Known>,
    uses_next: AtomicBool,
}

/// Which of them a call was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    First,
    Next,
}

impl Accounts {
    pub(super) fn new(first: &Account, next: Option<&Account>) -> Accounts {
        Accounts {
            first: Known::new(first),
            next: next.map(Known::new),
            uses_next: AtomicBool::new(false),
        }
    }

    /// The one in use.
    pub(super) fn current(&self) -> (Slot, &Known) {
        match &self.next {
            Some(next) if self.uses_next.load(Ordering::Acquire) => (Slot::Next, next),
            _ => (Slot::First, &self.first),
        }
    }

    /// The next one, if there is one that is not in use.
    pub(super) fn to_try(&self) -> Option<&Known> {
        let is_in_use = self.uses_next.load(Ordering::Acquire);
        self.next.as_ref().filter(|_| !is_in_use)
    }

    /// The upstream knows the next one.
    pub(super) fn take_next(&self) {
        self.uses_next.store(true, Ordering::Release);
    }

    /// The upstream does not know the one in this slot. Says whether the first one takes over.
    pub(super) fn refused(&self, slot: Slot) -> bool {
        slot == Slot::Next && self.uses_next.swap(false, Ordering::AcqRel)
    }
}
