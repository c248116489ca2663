//! Starts and ends what a test needs: gateways and sandboxes as real processes on their own ports, callers as HTTP clients with any
//! source address of the loopback network, and the first operator.

mod caller;
mod chance;
mod closed_port;
mod cluster;
mod command;
mod fleet;
mod gateway;
pub mod http2;
mod http_sink;
mod issuer;
mod link;
mod operator;
mod postgres;
mod process;
mod shared_store;
mod skipped;
mod trace;
#[expect(dead_code, reason = "the tests of shared counts use the rest")]
mod valkey;
mod wait;

pub use caller::{Answer, callers_id, client, client_from, envelope, escaped, has_line};
pub(crate) use chance::SplitMix64;
pub use closed_port::{ClosedPort, bound};
pub use cluster::Cluster;
pub use command::{CommandOutput, on_a_terminal, run, run_on, start_on};
pub use fleet::Fleet;
pub use gateway::{
    Demo, Gateway, Sandbox, UPSTREAM_ENVIRONMENT, UPSTREAM_PASSWORD, UPSTREAM_USER, upstream,
};
pub use http_sink::{HttpSink, SunkRequest};
pub use issuer::{ISSUER, Issuer};
pub use link::{Link, LinkState};
pub use operator::{admin, admin_request, exported, import_accesses, made, rows};
pub(crate) use postgres::SERVER;
pub use process::{Process, assert_within, binary, load, repository};
pub use shared_store::is_postgres;
pub(crate) use shared_store::{ADMIN_KEY, SEAL, is_of_files, new_listen};
pub(crate) use skipped::skipped;
pub(crate) use trace::Trace;
pub(crate) use valkey::Valkey;
pub use wait::{PATIENCE, accepted, as_soon_as, pass, stays, until};
