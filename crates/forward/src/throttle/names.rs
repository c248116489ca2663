//! Whose budgets a guess draws on.

use std::net::IpAddr;

use crate::shared_guesses::GuessBudget;

/// A name as it is counted: a keyed hash, so that a long one costs no more memory and nobody can pick its place.
pub(super) type NameHash = [u8; 16];

/// A name as it is presented, with its kind: the same text may be the user name of one access and the client id of none.
/// What is made up for a name that does not exist hangs on both, or asking for one text by two ways would tell that it
/// exists by one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PresentedName<'a> {
    /// A user name.
    User(&'a str),
    /// A client id, at the token endpoint.
    Client(&'a str),
}

/// Whose budgets a guess draws on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ThrottleKey {
    pub(super) name: NameHash,
    pub(super) is_inside: bool,
    pub(super) address: IpAddr,
}

impl ThrottleKey {
    /// The address as it is counted.
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// Whether it is inside the networks of the name, or of the one that a name borrows that does not exist.
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

    /// The budgets, of the address and of the name.
    pub(super) fn budgets(&self) -> [GuessBudget; 2] {
        let name = GuessBudget::Name {
            hash: self.name,
            is_inside: self.is_inside,
        };
        [GuessBudget::Address(self.address), name]
    }
}
