//! The options for a store in PostgreSQL.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use super::error::with_causes;
use super::seal::SealKeys;

/// Time limit for one attempt to connect to one address.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// The time without a sign of life from the server, after which a connection with unacknowledged data counts as lost.
const UNANSWERED_MAX: Duration = Duration::from_secs(5);

/// The options for a store in PostgreSQL.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// The URL of the database, or of a pooler in transaction mode.
    pub url: PostgresUrl,
    /// The URL of the same database without a pooler, for migrations and notifications.
    pub direct_url: PostgresUrl,
    /// Maximum number of connections for lookups and operators, in addition to the connections with their own tasks.
    pub connections: usize,
    /// The keys that seal stored keys.
    pub seal: SealKeys,
    /// True if nothing may be sent unless a standby has the data written about it.
    pub is_replicated: bool,
    /// True if this process may change tables. Otherwise it only checks that they are as it needs them.
    pub migrates: bool,
    /// The description of this process for other replicas.
    pub replica: ReplicaOptions,
}

/// One of the processes that share a database.
#[derive(Clone, Debug)]
pub struct ReplicaOptions {
    /// The name of the replica for people. It proves nothing.
    pub name: String,
    /// The version of the program.
    pub version: String,
    /// The digest of the replica's configuration. Replicas with different digests deserve attention.
    pub config: Vec<u8>,
    /// The time that a replica counts as alive without a heartbeat.
    pub lease: Duration,
    /// Maximum time that the acknowledgement of a change waits for the other replicas.
    pub ack_wait: Duration,
}

/// The address of a database and the user who connects to it. `Debug` shows nothing, because the URL contains the password.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(Config);

impl std::fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PostgresUrl(…)")
    }
}

impl PostgresUrl {
    /// Reads a URL, `postgres://user:password@host:5432/database`. It may name several hosts, `…@pg-a:5432,pg-b:5432/…`, which are
    /// tried in order until one accepts writes. Connections beyond this machine are encrypted and the server's certificate is
    /// checked, unless the URL has `sslmode=disable`. With `sslmode=verify-full` the same holds for connections to this machine.
    ///
    /// # Errors
    /// A sentence without the URL's text.
    pub fn parse(text: &SecretString) -> Result<PostgresUrl, String> {
        // Certificates and their names are always checked, so `require` has the meaning here that libpq gives to `verify-full`.
        let text = text
            .expose_secret()
            .replace("sslmode=verify-full", "sslmode=require");
        let parsed = text.parse::<Config>();
        let mut config = parsed.map_err(|error| with_causes(&error))?;
        let nowhere = Host::Tcp(String::new());
        if config.get_hosts().is_empty() || config.get_hosts().contains(&nowhere) {
            return Err("it has no host".to_owned());
        }
        let is_named = |name: Option<&str>| name.is_some_and(|name| !name.is_empty());
        if !is_named(config.get_dbname()) || !is_named(config.get_user()) {
            return Err("it has no user or no database".to_owned());
        }
        // "Prefer" would send the password in the clear to any server that answers without TLS.
        if config.get_ssl_mode() == SslMode::Prefer {
            let is_near = config.get_hosts().iter().all(is_local);
            config.ssl_mode(if is_near {
                SslMode::Disable
            } else {
                SslMode::Require
            });
        }
        config
            .application_name("chatgate")
            .connect_timeout(CONNECT_MAX)
            .tcp_user_timeout(UNANSWERED_MAX)
            .keepalives_idle(UNANSWERED_MAX)
            .target_session_attrs(TargetSessionAttrs::ReadWrite);
        Ok(PostgresUrl(config))
    }

    pub(crate) fn config(&self) -> &Config {
        &self.0
    }
}

/// Returns whether a host is this machine.
fn is_local(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            let address = name.parse::<std::net::IpAddr>();
            name == "localhost" || address.is_ok_and(|address| address.is_loopback())
        }
        Host::Unix(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<PostgresUrl, String> {
        PostgresUrl::parse(&SecretString::from(text))
    }

    #[test]
    fn connections_to_other_hosts_use_tls_by_default() {
        for (text, expected) in [
            ("postgres://u:p@127.0.0.1/d", SslMode::Disable),
            ("postgres://u:p@localhost:6432/d", SslMode::Disable),
            ("postgres://u@%2Frun%2Fpostgresql/d", SslMode::Disable),
            ("postgres://u:p@pg-a:5432,pg-b:5433/d", SslMode::Require),
            ("postgres://u:p@localhost,pg-b/d", SslMode::Require),
            ("postgres://u:p@pg-a/d?sslmode=prefer", SslMode::Require),
            ("postgres://u:p@pg-a/d?sslmode=disable", SslMode::Disable),
            (
                "postgres://u@localhost/d?sslmode=verify-full",
                SslMode::Require,
            ),
        ] {
            let url = parsed(text).unwrap();
            assert_eq!(url.config().get_ssl_mode(), expected, "{text}");
        }
    }

    #[test]
    fn errors_of_an_invalid_url_hide_the_password() {
        for text in [
            "postgres://u:pass-word@/d",
            "postgres://u:pass-word@h",
            "postgres://:pass-word@h/d",
            "postgres://u:pass-word@h:port/d",
            "mysql://u:pass-word@h/d",
        ] {
            let said = parsed(text).unwrap_err();
            assert!(!said.is_empty() && !said.contains("pass-word"), "{said}");
        }
        let url = parsed("postgres://u:pass-word@h/d").unwrap();
        assert!(!format!("{url:?}").contains("pass-word"));
    }
}
