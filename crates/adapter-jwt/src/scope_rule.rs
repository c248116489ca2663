//! The scope of an outside token: issuers write it under several names and in two forms, and some write nothing.

use serde_json::{Map, Value};

use crate::scope::Scope;

/// How to read what the tokens of an outside issuer allow. The least privilege is the default: what a token does not say
/// that it allows, it does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeRule {
    /// The claims that say it: the first that a token has counts, the others are not looked at.
    pub claims: Vec<String>,
    /// What a token allows that has none of them.
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
    /// What these claims allow. Words that are not ours are for other services, and allow nothing here.
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
