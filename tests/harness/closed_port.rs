//! A port on which nobody listens.

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

/// A port of loopback on which nobody listens, and which the system gives to nobody else as long as this lives: one that was only
/// free a moment ago may be another test's by now.
pub struct ClosedPort {
    pub address: SocketAddr,
    _bound: Socket,
}

impl ClosedPort {
    pub fn new() -> ClosedPort {
        let bound = bound();
        ClosedPort {
            address: bound.local_addr().unwrap().as_socket().unwrap(),
            _bound: bound,
        }
    }
}

/// A socket on a port of its own.
pub fn bound() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    socket
}
