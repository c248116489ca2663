//! Handles the connections: accepts them, reads PROXY headers, makes TLS handshakes, speaks HTTP/1.1 and HTTP/2, and closes
//! connections whose peers are too slow or too many. A [`Dispatch`] decides what a request means.
//!
//! To follow a connection: `listener` → `permits` → `workers` → `connection` → `http1` or `http2`.

mod connection;
mod http1;
mod http2;
mod listener;
mod peer_input;

mod context;
mod dispatch;
mod peer;
mod policy;

mod connection_state;
mod deadline_stream;
mod paced_body;
mod permits;
mod socket;
mod timed_body;
mod workers;
mod write_deadline;

pub mod fd_limit;
pub mod proxy_protocol;
pub mod signals;
pub mod tls;

pub use dispatch::Dispatch;
pub use listener::{bind, serve};
pub use peer::{Peer, PeerAddr};
pub use policy::{ConnectionPolicy, Deadlines, HEAD_BYTES_MAX, Shutdown, ShutdownPhase};
pub use timed_body::RequestBodyError;
pub use workers::Workers;
