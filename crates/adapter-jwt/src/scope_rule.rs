//! Reads the scope of an outside token. Issuers use several claim names and two forms for it, and some omit it.

use serde_json::{Map, Value};

use crate::scope::Scope;

/// The rule for reading the scope of an outside issuer's tokens. Least privilege is the default, so that a token allows only the
/// methods that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeRule {
    /// The claims that can hold the scope. The first claim that the token has is used.
    pub claims: Vec<String>,
    /// The scope of a token without any of these claims.
    pub default: Scope,
}

impl Default for ScopeRule {
    /// Returns the rule that reads the claim of RFC 8693 and allows nothing without it.
    fn default() -> ScopeRule {
        ScopeRule {
            claims: vec!["scope".to_owned()],
            default: Scope::nothing(),
        }
    }
}

impl ScopeRule {
    /// Reads the scope from these claims. Unknown words are for other services and allow nothing here.
    pub(crate) fn of(&self, claims: &Map<String, Value>) -> Result<Scope, &'static str> {
        const WRONG: &str = "the scope is neither a string nor a list of strings";
        let claim = self.claims.iter().find_map(|name| claims.get(name));
        match claim {
            None => Ok(self.default.clone()),
            Some(Value::String(words)) => Ok(Scope::of_known(words)),
            Some(Value::Array(list)) => {
                let words: Option<Vec<_>> = list.iter().map(Value::as_str).collect();
                Ok(Scope::of_words(words.ok_or(WRONG)?.into_iter()))
            }
            Some(_) => Err(WRONG),
        }
    }
}
