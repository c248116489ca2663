//! Checks the admin key that a program presents as a bearer token.

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, header};
use secrecy::SecretString;
use store::{AdminKey, Role, find_presented};

use crate::problem::Problem;
use crate::state::Console;

/// The prefix of all paths that require a key.
pub(crate) const BEHIND_KEYS: &str = "/admin/";

/// The name of the admin key that the endpoint required and the request presented.
#[derive(Clone)]
pub(crate) struct Actor(pub(crate) String);

impl<S: Sync> FromRequestParts<S> for Actor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Actor, Problem> {
        let actor = parts.extensions.get().cloned();
        actor.ok_or_else(Problem::unauthorized)
    }
}

impl Console {
    /// Returns the name of the presented key, whatever its role.
    pub(crate) fn any_key_name(&self, headers: &HeaderMap) -> Result<String, Problem> {
        self.key(headers).map(|key| key.name)
    }

    /// Returns the name of the presented key if the key may change things.
    pub(crate) fn operator_key_name(&self, headers: &HeaderMap) -> Result<String, Problem> {
        let key = self.key(headers)?;
        match key.role {
            Role::Operator => Ok(key.name),
            Role::Viewer => Err(Problem::operator_required()),
        }
    }

    fn key(&self, headers: &HeaderMap) -> Result<AdminKey, Problem> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(Problem::unauthorized());
        };
        let bearer = value.to_str().ok().and_then(|value| value.split_once(' '));
        let key = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        // More than one space may precede the token (RFC 6750, 2.1).
        let key = key.map(|(_, key)| key.trim_start_matches(' '));
        let key: SecretString = key.unwrap_or_default().into();
        find_presented(&self.store.admin_keys(), &self.hasher, &key)
            .cloned()
            .ok_or_else(Problem::unauthorized)
    }
}
