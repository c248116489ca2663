//! The keys of operators: each has a name and a role, and is stored as a keyed hash.

use secrecy::SecretString;

use crate::{SecretHasher, StoreError, StoredSecret};

/// The rights of a key's holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Reads everything, changes nothing.
    Viewer,
    /// Reads and changes everything.
    Operator,
}

impl Role {
    /// Returns the role's word in the admin API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
        }
    }

    /// Returns the role with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Role> {
        [Role::Viewer, Role::Operator]
            .into_iter()
            .find(|role| role.name() == name)
    }
}

/// One operator's key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminKey {
    /// The name, which is part of every change that is made with the key.
    pub name: String,
    /// The rights of its holder.
    pub role: Role,
    /// The time of creation or of the last rotation; seconds since 1970, UTC.
    pub created: i64,
    pub(crate) hash: StoredSecret,
}

impl AdminKey {
    /// Makes a key with this name, of which only the hash is stored.
    #[must_use]
    pub fn new(name: &str, role: Role, created: i64, hash: StoredSecret) -> AdminKey {
        AdminKey {
            name: name.to_owned(),
            role,
            created,
            hash,
        }
    }

    /// Returns the hash of the secret, which distinguishes this key from the key that replaces it after a rotation.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        match &self.hash {
            StoredSecret::Keyed(hash) | StoredSecret::Argon2id(hash) => hash,
        }
    }

    /// Returns the hash of the secret in the form in which the store stores it.
    pub(crate) fn keyed_hash(&self) -> Result<&str, StoreError> {
        match &self.hash {
            StoredSecret::Keyed(hash) => Ok(hash),
            StoredSecret::Argon2id(_) => Err(StoreError::new("an admin key is a random secret")),
        }
    }
}

/// Returns the key with the presented secret, if these keys contain one.
#[must_use]
pub fn find_presented<'a>(
    keys: &'a [AdminKey],
    hasher: &SecretHasher,
    secret: &SecretString,
) -> Option<&'a AdminKey> {
    keys.iter().find(|key| hasher.verify(secret, [&key.hash]))
}
