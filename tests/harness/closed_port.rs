//! A port on which nothing listens.

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

/// A loopback port on which nothing listens and which the system gives to nobody else while this value lives. A port that was
/// merely free a moment ago may belong to another test by now.
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

/// Returns a socket that is bound to its own port.
pub fn bound() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    socket
}
