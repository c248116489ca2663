//! The keys of operators: named, with a role, kept as keyed hashes.

use secrecy::SecretString;

use crate::{SecretHasher, StoreError, StoredSecret};

/// What the holder of a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Look at everything, change nothing.
    Viewer,
    /// Look and change.
    Operator,
}

impl Role {
    /// The word in the admin API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
        }
    }

    /// The role with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Role> {
        [Role::Viewer, Role::Operator]
            .into_iter()
            .find(|role| role.name() == name)
    }
}

/// One key, without what proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminKey {
    /// Its name; stands in every change that is made with it.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// When it was made or rotated; seconds since 1970, UTC.
    pub created: i64,
    pub(crate) hash: StoredSecret,
}

impl AdminKey {
    /// A key under this name, of which only the hash is kept.
    #[must_use]
    pub fn new(name: &str, role: Role, created: i64, hash: StoredSecret) -> AdminKey {
        AdminKey {
            name: name.to_owned(),
            role,
            created,
            hash,
        }
    }

    /// What tells this key from the one that it is rotated to: the hash of its secret.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        match &self.hash {
            StoredSecret::Keyed(hash) | StoredSecret::Argon2id(hash) => hash,
        }
    }

    /// The hash of its secret, as the store keeps it.
    pub(crate) fn keyed_hash(&self) -> Result<&str, StoreError> {
        match &self.hash {
            StoredSecret::Keyed(hash) => Ok(hash),
            StoredSecret::Argon2id(_) => Err(StoreError::new("an admin key is a random secret")),
        }
    }
}

/// Returns the key that was presented, if it is one of these.
#[must_use]
pub fn find_presented<'a>(
    keys: &'a [AdminKey],
    hasher: &SecretHasher,
    secret: &SecretString,
) -> Option<&'a AdminKey> {
    keys.iter().find(|key| hasher.verify(secret, [&key.hash]))
}
