//! A link between a gateway and PostgreSQL that fails as networks do: it passes bytes on, loses them, or breaks.

use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

/// The treatment of connections and their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    Passes,
    /// Drops all bytes without notice. The dropped bytes of a connection are lost forever.
    Swallows,
    /// Ends all connections; new ones end immediately.
    Closes,
}

/// A link to a server's socket. It runs on its own thread, so that tests may block theirs.
pub struct Link {
    pub address: SocketAddr,
    state: watch::Sender<LinkState>,
}

impl Link {
    pub fn to(socket: PathBuf) -> Link {
        let (state, is_so) = watch::channel(LinkState::Passes);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let serving =
                async { accept(TcpListener::from_std(listener).unwrap(), socket, is_so).await };
            runtime.unwrap().block_on(serving);
        });
        Link { address, state }
    }

    /// Sets the state from now on, also for existing connections.
    pub fn set(&self, state: LinkState) {
        self.state.send_replace(state);
    }
}

/// Accepts connections until the link is dropped.
async fn accept(listener: TcpListener, socket: PathBuf, state: watch::Receiver<LinkState>) {
    let mut ends = state.clone();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (socket, state) = (socket.clone(), state.clone());
                let (client, _) = accepted.unwrap();
                tokio::spawn(async move { pass_on(client, socket, state).await });
            }
            changed = ends.changed() => if changed.is_err() { return },
        }
    }
}

async fn pass_on(client: TcpStream, socket: PathBuf, state: watch::Receiver<LinkState>) {
    let mut closes = state.clone();
    let both = async {
        let Ok(server) = UnixStream::connect(socket).await else {
            return;
        };
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::select! {
            () = copy(from_client, to_server, &state) => {}
            () = copy(from_server, to_client, &state) => {}
        }
    };
    tokio::select! {
        () = both => {}
        _ = closes.wait_for(|state| *state == LinkState::Closes) => {}
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    state: &watch::Receiver<LinkState>,
) {
    let (mut piece, mut is_lost) = (vec![0; 64 * 1024], false);
    while let Ok(length) = from.read(&mut piece).await {
        let now = *state.borrow();
        is_lost |= now == LinkState::Swallows;
        if length == 0 {
            return;
        }
        if !is_lost && to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
}
