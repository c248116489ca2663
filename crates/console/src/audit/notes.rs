//! Notes that a handler adds to its response for the row in the journal.

/// The name of the key that opened a session.
#[derive(Clone)]
pub(crate) struct OpenedSession(pub(crate) String);

/// What was done, in a few words and without secrets.
#[derive(Clone)]
pub(crate) struct ActionNote(pub(crate) String);

impl ActionNote {
    /// The note of a new signing key.
    pub(crate) fn key_rotation(revoke: bool) -> ActionNote {
        let text = if revoke {
            "a new signing key; those before it were revoked"
        } else {
            "a new signing key"
        };
        ActionNote(text.to_owned())
    }
}

/// The code of a refusal.
#[derive(Clone, Copy)]
pub(crate) struct RefusalCode(pub(crate) &'static str);
