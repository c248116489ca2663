//! What one rule says of a call: the same words for the pipeline's log and for an explanation.

use std::fmt;

use adapter::{Code, Error};

use crate::allowlist::NetworkDecision;

/// The decision of one rule. Words are put together only when somebody reads them.
#[derive(Clone, Copy, Debug)]
pub struct Decision {
    /// The rule.
    pub rule: &'static str,
    /// What it says.
    pub says: Says,
    /// The code with which it refuses, if it does.
    pub refuses: Option<Code>,
    /// Whether it lets through all the same, and only tells.
    pub reports_only: bool,
}

/// What a rule says.
#[derive(Clone, Copy, Debug)]
pub enum Says {
    /// A word or two.
    Words(&'static str),
    /// What two lists of networks say.
    Networks(NetworkDecision),
}

impl Decision {
    /// A rule that either lets through or refuses, each with its words.
    pub(crate) fn of(
        rule: &'static str,
        lets_through: Result<&'static str, &'static str>,
        code: Code,
    ) -> Decision {
        let (Ok(words) | Err(words)) = lets_through;
        Decision {
            rule,
            says: Says::Words(words),
            refuses: lets_through.is_err().then_some(code),
            reports_only: false,
        }
    }

    /// What two lists say of an address.
    pub(crate) fn of_networks(
        rule: &'static str,
        verdict: NetworkDecision,
        reports_only: bool,
    ) -> Decision {
        let is_in = matches!(verdict, NetworkDecision::Allowed(_));
        Decision {
            rule,
            says: Says::Networks(verdict),
            refuses: (!is_in).then_some(Code::IpNotAllowed),
            reports_only,
        }
    }

    /// Its words when it would have refused and only reports.
    ///
    /// # Errors
    /// Its code, because of its words.
    pub(crate) fn into_result(self) -> Result<Option<String>, Error> {
        match self.refuses {
            None => Ok(None),
            Some(_) if self.reports_only => Ok(Some(self.to_string())),
            Some(code) => Err(Error::refused(code).because(self.to_string())),
        }
    }
}

impl fmt::Display for Decision {
    /// The rule and what it says: the cause in the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.says)
    }
}

impl fmt::Display for Says {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Says::Words(words) => f.write_str(words),
            Says::Networks(verdict) => verdict.fmt(f),
        }
    }
}
