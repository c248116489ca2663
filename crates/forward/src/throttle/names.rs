//! The keys of the budgets that a guess uses.

use std::net::IpAddr;

use crate::shared_guesses::GuessBudget;

/// A name in counted form: a keyed hash, so that a long name takes no more memory and nobody can choose its place.
pub(super) type NameHash = [u8; 16];

/// A presented name with its kind, because the same text may be the user name of one access and the client id of none. The borrowed
/// data of a name that does not exist depends on both. Otherwise presenting one text in two ways would reveal that it exists in one
/// of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PresentedName<'a> {
    /// A user name.
    User(&'a str),
    /// A client id, at the token endpoint.
    Client(&'a str),
}

/// The keys of the budgets that a guess uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ThrottleKey {
    pub(super) name: NameHash,
    pub(super) is_inside: bool,
    pub(super) address: IpAddr,
}

impl ThrottleKey {
    /// Returns the address in its counted form.
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// Returns whether the address is inside the networks of the name, or inside those that a name without an access borrows.
    pub(crate) fn is_inside(&self) -> bool {
        self.is_inside
    }

    pub(super) fn cause(&self) -> &'static str {
        if self.is_inside {
            "guesses for the name, from inside its networks"
        } else {
            "guesses for the name, from outside its networks"
        }
    }

    /// Returns the budgets of the address and of the name.
    pub(super) fn budgets(&self) -> [GuessBudget; 2] {
        let name = GuessBudget::Name {
            hash: self.name,
            is_inside: self.is_inside,
        };
        [GuessBudget::Address(self.address), name]
    }
}
