//! A service as in Kubernetes: each new connection goes to one of its endpoints, and an ending endpoint is removed some time after
//! its signal. Existing connections stay where they are.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::site::Site;

/// Time after SIGTERM during which an endpoint still gets connections.
pub(super) const LEARNS_AFTER: Duration = Duration::from_secs(1);

pub(super) struct Service {
    pub(super) address: SocketAddr,
    endpoints: Arc<Mutex<Vec<SocketAddr>>>,
    accepting: JoinHandle<()>,
}

impl Service {
    pub(super) async fn before(site: &Site) -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let endpoints = site.gateways.iter().map(|gateway| gateway.public);
        let endpoints = Arc::new(Mutex::new(endpoints.collect::<Vec<_>>()));
        let (served, next) = (Arc::clone(&endpoints), AtomicUsize::new(0));
        let accepting = tokio::spawn(async move {
            while let Ok((mut caller, _)) = listener.accept().await {
                let endpoint = {
                    let endpoints = served.lock().unwrap();
                    endpoints[next.fetch_add(1, Ordering::Relaxed) % endpoints.len()]
                };
                tokio::spawn(async move {
                    if let Ok(mut gateway) = TcpStream::connect(endpoint).await {
                        let _ = copy_bidirectional(&mut caller, &mut gateway).await;
                    }
                });
            }
        });
        Service {
            address,
            endpoints,
            accepting,
        }
    }

    pub(super) fn add(&self, endpoint: SocketAddr) {
        self.endpoints.lock().unwrap().push(endpoint);
    }

    pub(super) fn remove(&self, endpoint: SocketAddr) {
        self.endpoints
            .lock()
            .unwrap()
            .retain(|known| *known != endpoint);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
