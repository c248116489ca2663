//! The embedded upstream: a real chat service over SQLite that speaks the upstream's own HTTP dialect on loopback.
//!
//! `/api/http/` and `/api/basic/` are the chat API (`api`). `/sandbox/…` acts as the other side of a chat, sets faults and lists
//! arrivals (`control`). `/chat/` and `/operator/` are pages for people (`web`). A call passes through `server` → `api` → `chats`;
//! `fault_injection` breaks the answer if a [`Fault`] requires it.

mod account;
mod answer;
mod api;
mod app_state;
mod arrivals;
mod bomb;
mod call;
mod chats;
mod clock;
mod connection_handle;
mod control;
mod database;
mod fault_injection;
mod faults;
mod rows;
mod samples;
mod server;
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

use account::SandboxAccount;
use app_state::{AppState, WATCHERS_MAX};
use arrivals::ArrivalLog;
use chats::Chats;
use faults::Faults;

/// The configuration of a sandbox.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// The address to listen on. Port 0 selects a free port.
    pub listen: SocketAddr,
    /// The SQLite database file, whose folder must exist. `None` stores everything in memory.
    pub data: Option<PathBuf>,
    /// The user name of the only account.
    pub user: String,
    /// The password of the account.
    pub password: SecretString,
    /// The faults that apply from the start.
    pub faults: Vec<Fault>,
    /// True if the pages of the web chat are enabled. They require no credentials, so they are meant for loopback.
    pub pages: bool,
    /// True if the control paths are enabled. They do not require credentials either.
    pub control: bool,
}

/// The reason why a sandbox did not start.
#[derive(Debug)]
pub enum SandboxError {
    /// The sandbox can't listen on the address.
    Listen(SocketAddr, std::io::Error),
    /// The database can't be opened or prepared.
    Database(Box<dyn std::error::Error + Send + Sync>),
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

/// A running sandbox. Dropping it also stops it, but does not wait.
pub struct Sandbox {
    address: SocketAddr,
    state: Arc<AppState>,
    stop: watch::Sender<()>,
    server: JoinHandle<()>,
}

impl Sandbox {
    /// Listens, prepares the database, adds sample channels to an empty one, and serves in separate tasks.
    ///
    /// # Errors
    /// Returns an error if the address is taken or the database can't be used.
    pub async fn start(config: SandboxConfig) -> Result<Sandbox, SandboxError> {
        let cannot_listen = |error| SandboxError::Listen(config.listen, error);
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(cannot_listen)?;
        let address = listener.local_addr().map_err(cannot_listen)?;
        let chats = Chats::open(config.data.as_deref()).map_err(SandboxError::Database)?;
        let state = Arc::new(AppState {
            account: SandboxAccount::new(config.user, config.password),
            chats,
            faults: Faults::new(config.faults),
            arrivals: ArrivalLog::default(),
            pages: config.pages,
            control: config.control,
            watchers: Arc::new(Semaphore::new(WATCHERS_MAX)),
        });
        let (stop, stopped) = watch::channel(());
        let server = server::start(listener, Arc::clone(&state), stopped);
        tracing::info!(%address, "sandbox started");
        Ok(Sandbox {
            address,
            state,
            stop,
            server,
        })
    }

    /// Returns the actual address that the sandbox listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the base URL under which the sandbox can be reached, without a trailing slash.
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

    /// Stops accepting connections, gives requests in progress a moment to end, and closes all connections and the database.
    pub async fn stop(self) {
        drop(self.stop);
        if let Err(error) = self.server.await {
            tracing::error!(%error, "the sandbox's server task failed");
        }
        // Dropping the last handle closes the database.
        drop(self.state);
    }
}
