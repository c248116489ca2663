//! The embedded upstream: a real chat service over SQLite that speaks the upstream's own HTTP dialect on loopback.
//!
//! `/api/http/` and `/api/basic/` are the chat API (`api`), `/sandbox/…` plays the other side, sets faults and tells
//! what arrived (`control`), `/chat/` and `/operator/` are pages for people (`web`). A call runs through `server` → `api`
//! → `chats`; `spoil` breaks the answer when a [`Fault`] says so.

mod answer;
mod api;
mod bomb;
mod chats;
mod control;
mod faults;
mod rows;
mod samples;
mod sent;
mod server;
mod spoil;
#[cfg(test)]
mod tests;
mod web;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

pub use bomb::gzip_bomb;
pub use faults::{Fault, FaultKind};

use api::Account;
use chats::Chats;
use faults::Faults;
use sent::Sent;

/// What a sandbox needs to start.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The SQLite database file; its folder must exist. `None` keeps everything in memory.
    pub data: Option<PathBuf>,
    /// The name of the one account.
    pub user: String,
    /// Its password.
    pub password: SecretString,
    /// The faults in force from the start.
    pub faults: Vec<Fault>,
    /// Whether the pages of the web chat answer. They ask nobody who they are, so that they are for loopback.
    pub pages: bool,
    /// Whether the control paths answer. They ask nobody either.
    pub control: bool,
}

/// Why a sandbox did not start.
#[derive(Debug)]
pub enum SandboxError {
    /// The address can't be listened on.
    Listen(SocketAddr, std::io::Error),
    /// The database can't be opened or prepared.
    Database(sqlx::Error),
}

impl fmt::Display for SandboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SandboxError::Listen(address, error) => {
                write!(
                    f,
                    "the sandbox can't listen on {address}: {error}; name another address with --listen, or port 0"
                )
            }
            SandboxError::Database(error) => {
                write!(f, "the sandbox can't open its database: {error}")
            }
        }
    }
}

impl std::error::Error for SandboxError {}

/// What every connection shares.
struct Desk {
    account: Account,
    chats: Chats,
    faults: Faults,
    sent: Sent,
    pages: bool,
    control: bool,
    onlookers: Arc<Semaphore>,
}

/// A running sandbox. Dropping it stops it too, without waiting.
pub struct Sandbox {
    address: SocketAddr,
    desk: Arc<Desk>,
    stop: watch::Sender<()>,
    server: JoinHandle<()>,
}

impl Sandbox {
    /// Binds, prepares the database, seeds sample channels into an empty one, and serves in tasks of its own.
    ///
    /// # Errors
    /// The address is taken, or the database can't be used.
    pub async fn start(config: SandboxConfig) -> Result<Sandbox, SandboxError> {
        let cannot_listen = |error| SandboxError::Listen(config.listen, error);
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(cannot_listen)?;
        let address = listener.local_addr().map_err(cannot_listen)?;
        let chats = Chats::open(config.data.as_deref())
            .await
            .map_err(SandboxError::Database)?;
        let desk = Arc::new(Desk {
            account: Account::new(config.user, config.password),
            chats,
            faults: Faults::new(config.faults),
            sent: Sent::default(),
            pages: config.pages,
            control: config.control,
            onlookers: web::places(),
        });
        let (stop, stopped) = watch::channel(());
        let server = tokio::spawn(server::serve(listener, Arc::clone(&desk), stopped));
        tracing::info!(%address, "sandbox started");
        Ok(Sandbox {
            address,
            desk,
            stop,
            server,
        })
    }

    /// The address it really listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL under which it can be reached, without a last slash.
    #[must_use]
    pub fn url(&self) -> String {
        let mut reachable = self.address;
        if reachable.ip().is_unspecified() {
            reachable.set_ip(match reachable {
                SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
                SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
            });
        }
        format!("http://{reachable}")
    }

    /// Stops accepting, lets requests under way end for a moment, closes all connections and the database.
    pub async fn stop(self) {
        drop(self.stop);
        if let Err(error) = self.server.await {
            tracing::error!(%error, "the sandbox's server task failed");
        }
        self.desk.chats.close().await;
    }
}
