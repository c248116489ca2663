//! A connection, to one server or to a cluster.

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::{Cmd, Pipeline, RedisFuture, Value};

/// A connection that many calls use at the same time. A clone uses the same connection.
#[derive(Clone)]
pub(crate) enum ValkeyConnection {
    /// A connection to one server.
    Server(MultiplexedConnection),
    /// Connections to all nodes of a cluster.
    Cluster(ClusterConnection),
}

impl ConnectionLike for ValkeyConnection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            ValkeyConnection::Server(server) => server.req_packed_command(command),
            ValkeyConnection::Cluster(cluster) => cluster.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            ValkeyConnection::Server(server) => server.req_packed_commands(pipeline, offset, count),
            ValkeyConnection::Cluster(cluster) => {
                cluster.req_packed_commands(pipeline, offset, count)
            }
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            ValkeyConnection::Server(server) => server.get_db(),
            ValkeyConnection::Cluster(cluster) => cluster.get_db(),
        }
    }
}
