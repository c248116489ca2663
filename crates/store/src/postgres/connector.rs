//! Making connections.

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

/// How long connecting may take over all hosts: a second less than a caller waits.
const CONNECTED_MAX: Duration = Duration::from_millis(2_500);

/// What a connection that listens passes on: that something is to be read.
pub(super) type Notified = Receiver<()>;

/// Notifications that wait: a second one says no more than the first.
const NOTIFIED_MAX: usize = 1;

/// How often hosts are tried in another order when one is a former primary that can still be written.
const OTHER_ORDERS: u32 = 8;

/// Makes connections to one database.
pub(super) struct PgConnector {
    url: PostgresUrl,
    tls: MakeRustlsConnect,
    primary: Arc<Primary>,
    /// Whether statements may be prepared.
    prepares: Arc<AtomicBool>,
}

impl PgConnector {
    /// Connects to nothing yet. The URL leads to the server itself, so that statements may be prepared.
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

    /// Connects to nothing yet. A pooler may hand each transaction to another connection: no statement is prepared.
    ///
    /// # Errors
    /// When the machine's list of authorities can't be read.
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

    /// The same for a command, which sends nothing: whether a standby has what is written is of no account to it.
    ///
    /// # Errors
    /// As [`PgConnector::new`].
    pub(super) fn for_command(url: &PostgresUrl) -> Result<PgConnector, StoreError> {
        PgConnector::new(url.clone(), &Arc::new(Primary::new(false)))
    }

    /// Whether statements may be prepared.
    pub(super) fn prepares(&self) -> bool {
        self.prepares.load(Ordering::Relaxed)
    }

    /// A connection to the first host that can be written.
    ///
    /// # Errors
    /// When there is none in time.
    pub(super) async fn connect(&self) -> Result<PgSession, PgError> {
        self.open(None).await
    }

    /// A connection like it, and what it is notified of.
    ///
    /// # Errors
    /// When there is none in time.
    pub(super) async fn connect_to_listen(&self) -> Result<(PgSession, Notified), PgError> {
        let (passes_on, notified) = channel(NOTIFIED_MAX);
        Ok((self.open(Some(passes_on)).await?, notified))
    }

    /// Boxed, so that it is compiled here and not once more by each crate that awaits it.
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
                        // What does not fit says what those that wait say.
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
