//! The secret of a new or rotated access: made here, chosen by the operator, or taken over as a hash.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use store::{Secret, StoredSecret, new_random_secret};

use crate::Console;
use crate::draft::bounded;
use crate::problem::Problem;

/// Shortest password that may be chosen, in characters.
pub(crate) const PASSWORD_CHARACTERS_MIN: usize = 8;

/// What the operator wants; nothing is a random secret.
pub(crate) struct Wanted {
    /// A chosen password.
    pub(crate) password: Option<SecretString>,
    /// The argon2id hash of one, as a PHC string.
    pub(crate) password_hash: Option<SecretString>,
}

/// A secret that has just been made.
pub(crate) struct Made {
    pub(crate) secret: Secret,
    /// What to show of it; nothing is known of one that came as a hash.
    shown: Option<SecretString>,
}

impl Wanted {
    /// Makes the stored form.
    pub(crate) async fn make(self, console: &Console) -> Result<Made, Problem> {
        let (hash, shown) = match (self.password, self.password_hash) {
            (Some(_), Some(_)) => {
                let text = "write a password or its hash, not both";
                return Err(wrong("password_hash", text));
            }
            (Some(password), None) => (chosen(&password).await?, Some(password)),
            (None, Some(hash)) => {
                let taken = StoredSecret::from_phc(hash.expose_secret());
                (taken.map_err(|text| wrong("password_hash", text))?, None)
            }
            (None, None) => {
                let secret = new_random_secret().map_err(|e| wrong("password", e.to_string()))?;
                (console.hasher.keyed(&secret), Some(secret))
            }
        };
        let created = console.now();
        Ok(Made {
            secret: Secret { hash, created },
            shown,
        })
    }
}

impl Made {
    /// Shows the secret, this once: afterwards there are only hashes.
    pub(crate) fn show(&self, view: &mut Value) {
        if let Some(secret) = &self.shown {
            view["password"] = json!(secret.expose_secret());
            view["client_secret"] = json!(secret.expose_secret());
        }
    }
}

async fn chosen(password: &SecretString) -> Result<StoredSecret, Problem> {
    // What could not be presented in a call would prove nobody.
    bounded(
        password.expose_secret(),
        PASSWORD_CHARACTERS_MIN,
        adapter::PASSWORD_BYTES_MAX,
    )
    .map_err(|text| wrong("password", text))?;
    let password = password.clone();
    let hash = tokio::task::spawn_blocking(move || StoredSecret::argon2id(&password)).await;
    let hash = hash.map_err(|_| wrong("password", "it can't be hashed"))?;
    hash.map_err(|error| wrong("password", error.to_string()))
}

fn wrong(field: &str, text: impl Into<String>) -> Problem {
    Problem::invalid(vec![(field.to_owned(), text.into())])
}
