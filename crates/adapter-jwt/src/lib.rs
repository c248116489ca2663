//! The JWT way in, `/api/jwt/`, and everything around it: the verification of tokens, the signing of our own tokens, the published
//! keys and metadata, and the two pure halves of the token endpoint.
//!
//! This crate contains the policy; `jsonwebtoken` and `aws-lc-rs` compute the signatures. The key fixes the algorithm, never the
//! token (RFC 8725). Nothing does IO or reads the clock, and only [`SigningKey::generate_pkcs8`] uses randomness.

mod access_names;
mod algorithm;
mod jwks;
mod jws;
mod oauth;
mod scope;
mod scope_rule;
mod signing;
mod token;
mod token_cache;
mod token_request;
mod way;

pub use access_names::AccessNames;
pub use algorithm::{Algorithm, KeyError};
pub use jwks::{JWKS_BYTES_MAX, KID_CHARACTERS_MAX, KeySet, SkippedKey, VerifyingKey, parse_jwks};
pub use jws::{TOKEN_BYTES_MAX, verify_jws};
pub use oauth::{
    JWKS_PATH, METADATA_PATH, OauthError, TOKEN_PATH, granted_scope, metadata, token_reply,
};
pub use scope::Scope;
pub use scope_rule::ScopeRule;
pub use signing::{Claims, SigningKey, jwks};
pub use token::{Issuer, Keyring, SKEW_S, Subject, TokenFault, TokenOrigin, verify};
pub use token_cache::TokenCache;
pub use token_request::{TokenRequest, read_token_request, refuse_token_head};
pub use way::JwtAdapter;

#[cfg(test)]
mod tests;
