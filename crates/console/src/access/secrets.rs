//! The secret of a new or rotated access: random, chosen by the operator, or imported as a hash.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use store::{Secret, StoredSecret, check_password, new_random_secret};

use crate::problem::Problem;
use crate::state::Console;

/// A newly made secret.
pub(crate) struct NewSecret {
    pub(crate) stored: Secret,
    /// The secret in plain text; `None` if it was given as a hash.
    plain: Option<SecretString>,
}

impl NewSecret {
    /// Makes a secret from a chosen password or from the argon2id hash of a password, a PHC string. Without either the secret is
    /// random.
    pub(crate) async fn make(
        console: &Console,
        password: Option<SecretString>,
        password_hash: Option<SecretString>,
    ) -> Result<NewSecret, Problem> {
        let (hash, plain) = match (password, password_hash) {
            (Some(_), Some(_)) => {
                let text = "write a password or its hash, not both";
                return Err(Problem::wrong("password_hash", text));
            }
            (Some(password), None) => (chosen(&password).await?, Some(password)),
            (None, Some(hash)) => {
                let parsed = StoredSecret::from_phc(hash.expose_secret());
                (
                    parsed.map_err(|text| Problem::wrong("password_hash", text))?,
                    None,
                )
            }
            (None, None) => {
                let secret =
                    new_random_secret().map_err(|e| Problem::wrong("password", e.to_string()))?;
                (console.hasher.keyed(&secret), Some(secret))
            }
        };
        let created = console.judged_now();
        Ok(NewSecret {
            stored: Secret { hash, created },
            plain,
        })
    }

    /// Adds the plain secret to the view of its access, only this once. Later only the hashes exist.
    pub(crate) fn show_in(&self, view: &mut Value) {
        if let Some(secret) = &self.plain {
            view["password"] = json!(secret.expose_secret());
            view["client_secret"] = json!(secret.expose_secret());
        }
    }
}

async fn chosen(password: &SecretString) -> Result<StoredSecret, Problem> {
    // Reject a password that no call could present, because it would be useless.
    check_password(password.expose_secret()).map_err(|text| Problem::wrong("password", text))?;
    let password = password.clone();
    let hash = tokio::task::spawn_blocking(move || StoredSecret::argon2id(&password)).await;
    let hash = hash.map_err(|_| Problem::wrong("password", "it can't be hashed"))?;
    hash.map_err(|error| Problem::wrong("password", error.to_string()))
}
