//! The decision of one rule about a call. The pipeline's log and an explanation use the same words.

use std::fmt;

use adapter::{Code, Error};

use crate::allowlist::NetworkDecision;

/// The decision of one rule. Its text is built only when it is read.
#[derive(Clone, Copy, Debug)]
pub struct Decision {
    /// The name of the rule.
    pub rule: &'static str,
    /// The words of the decision.
    pub says: DecisionText,
    /// The code of the rejection, if the rule rejects.
    pub refuses: Option<Code>,
    /// True if the rule lets the call through anyway and only reports.
    pub reports_only: bool,
}

/// The words of a decision.
#[derive(Clone, Copy, Debug)]
pub enum DecisionText {
    /// One or two words.
    Words(&'static str),
    /// The decision of two lists of networks.
    Networks(NetworkDecision),
}

impl Decision {
    /// Creates the decision of a rule from its words for letting through or its words for rejecting.
    pub(crate) fn of(
        rule: &'static str,
        lets_through: Result<&'static str, &'static str>,
        code: Code,
    ) -> Decision {
        let (Ok(words) | Err(words)) = lets_through;
        Decision {
            rule,
            says: DecisionText::Words(words),
            refuses: lets_through.is_err().then_some(code),
            reports_only: false,
        }
    }

    /// Creates the decision of two lists about an address.
    pub(crate) fn of_networks(
        rule: &'static str,
        verdict: NetworkDecision,
        reports_only: bool,
    ) -> Decision {
        let is_in = matches!(verdict, NetworkDecision::Allowed(_));
        Decision {
            rule,
            says: DecisionText::Networks(verdict),
            refuses: (!is_in).then_some(Code::IpNotAllowed),
            reports_only,
        }
    }

    /// Returns the text if the rule would have rejected and only reports.
    ///
    /// # Errors
    /// The code of the rejection, with the text as its cause.
    pub(crate) fn into_result(self) -> Result<Option<String>, Error> {
        match self.refuses {
            None => Ok(None),
            Some(_) if self.reports_only => Ok(Some(self.to_string())),
            Some(code) => Err(Error::refused(code).because(self.to_string())),
        }
    }
}

impl fmt::Display for Decision {
    /// Writes the rule and its words, as the cause in the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.says)
    }
}

impl fmt::Display for DecisionText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecisionText::Words(words) => f.write_str(words),
            DecisionText::Networks(verdict) => verdict.fmt(f),
        }
    }
}
