//! Makes connections to the database.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;
use tokio_postgres::AsyncMessage;
use tokio_postgres::config::LoadBalanceHosts;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::PgError;
use super::options::PostgresUrl;
use super::primary::Primary;
use super::session::PgSession;
use crate::StoreError;

/// Time limit for connecting over all hosts. It is shorter than the three seconds that a caller waits.
const CONNECTED_MAX: Duration = Duration::from_millis(2_500);

/// The receiver of a listening connection. A message means that there is something to read.
pub(super) type NotificationReceiver = Receiver<()>;

/// Maximum number of waiting notifications. A second one would add nothing to the first.
const NOTIFIED_MAX: usize = 1;

/// Maximum number of attempts with the hosts in another order, after a former primary that still accepts writes has answered.
const OTHER_ORDERS: u32 = 8;

/// Makes connections to one database.
pub(super) struct PgConnector {
    url: PostgresUrl,
    tls: MakeRustlsConnect,
    primary: Arc<Primary>,
    /// True if statements may be prepared.
    prepares: Arc<AtomicBool>,
}

impl PgConnector {
    /// Makes a connector without connecting. The URL leads to the server itself, so statements may be prepared.
    ///
    /// # Errors
    /// As [`PgConnector::new`].
    pub(super) fn direct(
        url: PostgresUrl,
        primary: &Arc<Primary>,
    ) -> Result<PgConnector, StoreError> {
        let connector = PgConnector::new(url, primary)?;
        Ok(PgConnector {
            prepares: Arc::new(AtomicBool::new(true)),
            ..connector
        })
    }

    /// Makes a connector without connecting. A pooler may use another connection for each transaction, so no statement is prepared.
    ///
    /// # Errors
    /// When the machine's list of certificate authorities can't be read.
    pub(super) fn new(url: PostgresUrl, primary: &Arc<Primary>) -> Result<PgConnector, StoreError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_platform_verifier())
            .map_err(|error| StoreError::new(error.to_string()))?;
        let tls = MakeRustlsConnect::new(tls.with_no_client_auth());
        Ok(PgConnector {
            url,
            tls,
            primary: Arc::clone(primary),
            prepares: Arc::default(),
        })
    }

    /// Makes a connector for a command. A command sends no messages, so it does not matter whether a standby has the written data.
    ///
    /// # Errors
    /// As [`PgConnector::new`].
    pub(super) fn for_command(url: &PostgresUrl) -> Result<PgConnector, StoreError> {
        PgConnector::new(url.clone(), &Arc::new(Primary::new(false)))
    }

    /// Returns whether statements may be prepared.
    pub(super) fn prepares(&self) -> bool {
        self.prepares.load(Ordering::Relaxed)
    }

    /// Connects to the first host that accepts writes.
    ///
    /// # Errors
    /// When no host accepts the connection in time.
    pub(super) async fn connect(&self) -> Result<PgSession, PgError> {
        self.open(None).await
    }

    /// Connects like [`PgConnector::connect`]. Also returns the receiver of the connection's notifications.
    ///
    /// # Errors
    /// When no host accepts the connection in time.
    pub(super) async fn connect_to_listen(
        &self,
    ) -> Result<(PgSession, NotificationReceiver), PgError> {
        let (passes_on, notified) = channel(NOTIFIED_MAX);
        Ok((self.open(Some(passes_on)).await?, notified))
    }

    /// Boxed, so that the future is compiled once here and not again in each crate that awaits it.
    fn open(
        &self,
        passes_on: Option<Sender<()>>,
    ) -> Pin<Box<dyn Future<Output = Result<PgSession, PgError>> + Send + '_>> {
        Box::pin(async {
            let opened = timeout(CONNECTED_MAX, self.find_primary(passes_on)).await;
            opened.map_err(|_| PgError::no_connection("no database answered"))?
        })
    }

    async fn find_primary(&self, passes_on: Option<Sender<()>>) -> Result<PgSession, PgError> {
        let mut config = self.url.config().clone();
        let mut orders = match config.get_hosts() {
            [_, _, ..] => OTHER_ORDERS,
            _ => 0,
        };
        loop {
            let (client, mut connection) = config.connect(self.tls.clone()).await?;
            let passes_on = passes_on.clone();
            tokio::spawn(async move {
                while let Some(Ok(message)) =
                    poll_fn(|context| connection.poll_message(context)).await
                {
                    if let AsyncMessage::Notification(_) = message
                        && let Some(passes_on) = &passes_on
                    {
                        // If the channel is full, the waiting notification already has the same meaning.
                        let _ = passes_on.try_send(());
                    }
                }
            });
            let of_all = (Arc::clone(&self.primary), Arc::clone(&self.prepares));
            match PgSession::begin_with(client, of_all).await {
                Err(error) if error.is_of_former_primary() && orders > 0 => {
                    orders -= 1;
                    config.load_balance_hosts(LoadBalanceHosts::Random);
                }
                begun => return begun,
            }
        }
    }
}
