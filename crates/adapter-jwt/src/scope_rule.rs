//! The scope of an outside token: issuers write it under several names and in two forms, and some write nothing.

use serde_json::{Map, Value};

use crate::scope::Scope;

/// The rule for reading the scope of an outside issuer's tokens. Least privilege is the default: a token allows only what it
/// names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeRule {
    /// The claims that hold the scope: the first that a token has counts.
    pub claims: Vec<String>,
    /// The scope of a token without any of them.
    pub default: Scope,
}

impl Default for ScopeRule {
    /// The claim of RFC 8693, and nothing without it.
    fn default() -> ScopeRule {
        ScopeRule {
            claims: vec!["scope".to_owned()],
            default: Scope::nothing(),
        }
    }
}

impl ScopeRule {
    /// The scope in these claims. Words that are not ours are for other services, and allow nothing here.
    pub(crate) fn of(&self, claims: &Map<String, Value>) -> Result<Scope, &'static str> {
        const WRONG: &str = "the scope is neither a text nor a list of texts";
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
