//! Making connections.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, Client, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::PgError;
use super::options::PostgresUrl;
use super::session::PgSession;
use crate::StoreError;

/// How long connecting may take over all hosts: a second less than a caller waits.
const CONNECTED_MAX: Duration = Duration::from_millis(2_500);

/// What a connection that listens passes on: the payload of a notification.
pub(super) type Notified = Receiver<String>;

/// Notifications that wait; each only says that something is to be read, so that more of them say no more.
const NOTIFIED_MAX: usize = 64;

/// Makes connections to one database.
pub(super) struct PgConnector {
    url: PostgresUrl,
    tls: MakeRustlsConnect,
}

impl PgConnector {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// When the machine's list of authorities can't be read.
    pub(super) fn new(url: PostgresUrl) -> Result<PgConnector, StoreError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_platform_verifier())
            .map_err(|error| StoreError::new(error.to_string()))?;
        let tls = MakeRustlsConnect::new(tls.with_no_client_auth());
        Ok(PgConnector { url, tls })
    }

    /// A connection to the first host that can be written.
    ///
    /// # Errors
    /// When there is none in time.
    pub(super) async fn connect(&self) -> Result<PgSession, PgError> {
        let (client, connection) = self.open().await?;
        tokio::spawn(connection);
        Ok(PgSession::new(client))
    }

    /// A connection like it, and what it is notified of.
    ///
    /// # Errors
    /// When there is none in time.
    pub(super) async fn connect_to_listen(&self) -> Result<(PgSession, Notified), PgError> {
        let (client, mut connection) = self.open().await?;
        let (passes_on, notified) = channel(NOTIFIED_MAX);
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await
            {
                if let AsyncMessage::Notification(notification) = message {
                    // What does not fit says what those that wait say.
                    let _ = passes_on.try_send(notification.payload().to_owned());
                }
            }
        });
        Ok((PgSession::new(client), notified))
    }

    async fn open(&self) -> Result<(Client, Connection<Socket, PgStream>), PgError> {
        let connected = timeout(CONNECTED_MAX, self.url.config().connect(self.tls.clone())).await;
        let connected = connected.map_err(|_| PgError::no_connection("no database answered"))?;
        Ok(connected?)
    }
}

/// A connection's bytes, encrypted or not.
type PgStream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;
