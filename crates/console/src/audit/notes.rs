//! Notes that a handler adds to its response for the journal row.

/// The name of the key that opened a session.
#[derive(Clone)]
pub(crate) struct OpenedSession(pub(crate) String);

/// A short description of the action, without secrets.
#[derive(Clone)]
pub(crate) struct ActionNote(pub(crate) String);

impl ActionNote {
    /// Returns the note of a signing key rotation.
    pub(crate) fn key_rotation(revoke: bool) -> ActionNote {
        let text = if revoke {
            "a new signing key; the older keys were revoked"
        } else {
            "a new signing key"
        };
        ActionNote(text.to_owned())
    }
}

/// The code of an error answer.
#[derive(Clone, Copy)]
pub(crate) struct RefusalCode(pub(crate) &'static str);
