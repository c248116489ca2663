//! The way out as it is configured: the upstream, or the embedded sandbox spoken to like any other.

use std::sync::Arc;

use forward::{
    DailyLimits, ForwardConfig, Forwarder, UpstreamAccount, UpstreamAuth, UpstreamConfig,
};
use tokio_util::task::TaskTracker;

use crate::config::Config;

/// The account of the embedded upstream.
const SANDBOX_USER: &str = "chatgate";

/// The embedded upstream that runs beside this gateway.
#[derive(Clone)]
pub(crate) struct SandboxUpstream {
    /// Its endpoint by HTTP parameters.
    pub(crate) url: Url,
    pub(crate) password: SecretString,
}

impl SandboxUpstream {
    /// The user name of its account.
    pub(crate) fn user() -> String {
        SANDBOX_USER.to_owned()
    }
}

/// What the forwarder is made of. Without an upstream and without a sandbox there is nobody to ask.
///
/// # Errors
/// One sentence then.
pub(crate) fn upstream_config(
    config: &Config,
    sandbox: Option<&SandboxUpstream>,
) -> Result<ForwardConfig, String> {
    let upstream = match (&config.upstream, sandbox) {
        (Some(upstream), _) => upstream.clone(),
        (None, Some(sandbox)) => of_sandbox(config, sandbox),
        (None, None) => return Err("there is no upstream".to_owned()),
    };
    Ok(ForwardConfig {
        networks: config.networks.clone(),
        per_address_per_minute: config.limits.per_address_per_minute,
        guesses: config.limits.guesses,
        answers: config.limits.answers,
        cache: config.cache.clone(),
        upstream,
    })
}

fn of_sandbox(config: &Config, sandbox: &SandboxUpstream) -> UpstreamConfig {
    UpstreamConfig {
        url: sandbox.url.clone(),
        fallback_urls: Vec::new(),
        round_robin: false,
        account: UpstreamAccount {
            user: SandboxUpstream::USER.to_owned(),
            password: sandbox.password.clone(),
        },
        next_account: None,
        auth: UpstreamAuth::Form,
        limits: config.upstream_limits.clone(),
    }
}
