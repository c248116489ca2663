//! The rules for a proven access: one function for each rule, in the contract's order.

use adapter::{Code, Error, Operation, Request};
use store::Access;

use crate::allowlist;
use crate::call::AuthContext;
use crate::channels;
use crate::decision::Decision;

/// The rules of a proven access, in the contract's order, and after them our own rule about credentials in the URL.
const RULES: [fn(&Access, &AuthContext) -> Decision; 4] = [state, networks, way, query_credentials];

/// Returns the decisions of the rules about a call. Each rule is evaluated only when the iterator reaches it.
pub(crate) fn decisions(access: &Access, context: AuthContext) -> impl Iterator<Item = Decision> {
    RULES.iter().map(move |rule| rule(access, &context))
}

/// Checks state, networks, way in and credentials in the URL, in that order. Networks that only report let every address through;
/// their rejection is returned.
pub(crate) fn authorize(access: &Access, context: AuthContext) -> Result<Option<String>, Error> {
    let mut would_refuse = None;
    for decision in decisions(access, context) {
        would_refuse = decision.into_result()?.or(would_refuse);
    }
    Ok(would_refuse)
}

fn state(access: &Access, context: &AuthContext) -> Decision {
    let now = context.now;
    let state = if access.is_live(now) {
        Ok("active")
    } else if access.is_unreadable {
        Err("unreadable")
    } else if !access.active {
        Err("suspended")
    } else if access.not_before.is_some_and(|not_before| now < not_before) {
        Err("not yet")
    } else {
        Err("expired")
    };
    Decision::of("state", state, Code::AccessDisabled)
}

fn networks(access: &Access, context: &AuthContext) -> Decision {
    let verdict = allowlist::judge(&access.allow, &access.deny, context.address);
    Decision::of_networks("access networks", verdict, access.report_networks)
}

fn way(access: &Access, context: &AuthContext) -> Decision {
    let name = context.way.name();
    allowed("way", access.ways.iter().any(|way| way == name))
}

fn query_credentials(access: &Access, context: &AuthContext) -> Decision {
    let verdict = match (context.secret_in_url, access.query_credentials) {
        (false, _) => Ok("not in the URL"),
        (true, true) => Ok("allowed"),
        (true, false) => Err("not allowed"),
    };
    Decision::of("query credentials", verdict, Code::OperationNotAllowed)
}

/// The name of the rule about methods.
pub const METHOD: &str = "method";

/// Returns the decision about the method, whatever the values.
pub(crate) fn method(access: &Access, operation: &Operation) -> Decision {
    allowed(METHOD, may_call(access, operation))
}

fn allowed(rule: &'static str, is_allowed: bool) -> Decision {
    let verdict = if is_allowed {
        Ok("allowed")
    } else {
        Err("not allowed")
    };
    Decision::of(rule, verdict, Code::OperationNotAllowed)
}

/// Checks method, platform and channel.
pub(crate) fn authorize_call(access: &Access, request: &Request) -> Result<(), Error> {
    method(access, request.operation()).into_result()?;
    let (platform, platformid) = (request.value("platform"), request.value("platformid"));
    if let Some(platform) = platform {
        allowed("platform", channels::may_use_platform(access, platform)).into_result()?;
    }
    if platform.is_none() && platformid.is_none() {
        return Ok(());
    }
    let may_channel = channels::may_use_any_channel(access, platform, platformid);
    allowed("channel", may_channel).into_result().map(|_| ())
}

/// Returns whether an access may use a channel, whatever the method.
#[must_use]
pub fn may_use(access: &Access, platform: &str, platformid: &str) -> bool {
    channels::may_use_platform(access, platform)
        && channels::may_use_any_channel(access, Some(platform), Some(platformid))
}

/// Returns whether an access may call this method at all, whatever the values.
#[must_use]
pub fn may_call(access: &Access, operation: &Operation) -> bool {
    access
        .methods
        .iter()
        .any(|method| method == operation.method)
}
