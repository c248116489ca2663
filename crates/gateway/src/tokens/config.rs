//! Takes the settings of tokens from a configuration.

use std::collections::HashSet;

use adapter_jwt::Algorithm;
use client::{Client, ClientConfig};

use crate::config::{Config, IssuerConfig, JwksSource};

/// The settings of tokens.
pub(crate) struct TokensConfig {
    pub(super) public_url: String,
    pub(super) signing: Signing,
    pub(super) issuers: Vec<IssuerConfig>,
    /// The client that fetches the keys of issuers that publish them at a URL.
    pub(super) client: Option<Client>,
}

/// The algorithm and lifetime of our tokens.
#[derive(Clone, Copy)]
pub(crate) struct Signing {
    pub(crate) algorithm: Algorithm,
    /// The lifetime of a token, in seconds.
    pub(crate) life_s: u32,
}

impl TokensConfig {
    /// Takes the settings of tokens from a configuration. `public_url` is the gateway's own name as an issuer.
    ///
    /// # Errors
    /// A sentence when two issuers have the same name, or the root certificates can't be read.
    pub(crate) fn new(config: &Config, public_url: &str) -> Result<TokensConfig, String> {
        for warning in config.warnings() {
            tracing::warn!("{warning}");
        }
        let issuers = config.jwt.issuers.clone();
        let mut names: HashSet<&str> = HashSet::from([public_url]);
        if let Some(twice) = issuers.iter().find(|config| !names.insert(&config.issuer)) {
            return Err(format!(
                "jwt.issuers: the issuer {} occurs twice, or is the gateway itself",
                twice.issuer
            ));
        }
        let client_config = ClientConfig {
            roots: config.upstream_limits.roots.clone(),
            identity: None,
            connect_timeout: config.upstream_limits.connect_timeout,
            timeout: config.upstream_limits.timeout,
        };
        Ok(TokensConfig {
            public_url: public_url.to_owned(),
            signing: Signing {
                algorithm: config.jwt.algorithm,
                life_s: config.jwt.token_life_s,
            },
            client: issuers
                .iter()
                .any(|issuer| matches!(issuer.jwks, JwksSource::Url(_)))
                .then(|| client::build(&client_config))
                .transpose()?,
            issuers,
        })
    }
}
