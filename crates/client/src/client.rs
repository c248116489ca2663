//! Configures and builds a client.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use reqwest::{Certificate, ClientBuilder, Identity, redirect};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::error::causes;

/// The certificate authorities that a client trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// Mozilla's list, compiled in. It works in an image without a CA bundle.
    Bundled,
    /// The list of the machine.
    System,
    /// Only the PEM files at these paths.
    Files(Vec<PathBuf>),
}

/// The configuration of a client.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The trusted authorities.
    pub roots: Roots,
    /// The PEM file with the client's own certificate and key, for servers that ask for one.
    pub identity: Option<PathBuf>,
    /// Longest wait for a connection, including DNS and TLS.
    pub connect_timeout: Duration,
    /// Longest wait for the whole answer.
    pub timeout: Duration,
}

/// An HTTP client with its connections. Clones share the connections.
#[derive(Clone, Debug)]
pub struct Client(pub(crate) reqwest::Client);

/// Maximum number of idle connections to one host. More concurrent calls open new connections.
const IDLE_CONNECTIONS_MAX: usize = 256;

/// The time after which an idle connection is closed. It is less than the 60 s after which common servers close idle connections.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// The content of the root files when they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RootFiles(Vec<(PathBuf, Vec<u8>)>);

impl RootFiles {
    /// Returns each file with its content.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(PathBuf, Vec<u8>)> {
        self.0.iter()
    }

    /// Reads the root files. Roots of other kinds have none.
    ///
    /// # Errors
    /// A sentence, when a file can't be read.
    pub(crate) fn read(roots: &Roots) -> Result<RootFiles, String> {
        let Roots::Files(paths) = roots else {
            return Ok(RootFiles::default());
        };
        let read = |path: &PathBuf| Ok((path.clone(), read_file(path)?));
        let files = paths.iter().map(read).collect::<Result<_, String>>()?;
        Ok(RootFiles(files))
    }
}

/// A future that is compiled in this crate, and not again in each crate that awaits it.
pub type BoxedFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Builds a client.
///
/// # Errors
/// A sentence, when the roots or the identity can't be read.
pub fn build(config: &ClientConfig) -> Result<Client, String> {
    finish(builder(config, &RootFiles::read(&config.roots)?)?)
}

pub(crate) fn builder(config: &ClientConfig, files: &RootFiles) -> Result<ClientBuilder, String> {
    let builder = reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        // With zero retries the client makes no copy of a request in advance.
        .retry(reqwest::retry::never().max_retries_per_request(0))
        .referer(false)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .connect_timeout(config.connect_timeout)
        .timeout(config.timeout);
    let builder = match &config.roots {
        Roots::System => builder,
        Roots::Bundled => builder.tls_certs_only(bundled_roots()),
        Roots::Files(_) => {
            let mut roots = Vec::new();
            for (path, pem) in files.iter() {
                for der in certificates(path, pem)? {
                    let root = Certificate::from_der(&der);
                    roots.push(root.map_err(|_| format!("{}: not PEM", path.display()))?);
                }
            }
            builder.tls_certs_only(roots)
        }
    };
    Ok(match &config.identity {
        None => builder,
        Some(path) => {
            let identity = Identity::from_pem(&read_file(path)?);
            builder.identity(identity.map_err(|_| format!("{}: not PEM", path.display()))?)
        }
    })
}

pub(crate) fn finish(builder: ClientBuilder) -> Result<Client, String> {
    let built = builder.build().map(Client);
    built.map_err(|error| format!("the HTTP client can't be built: {}", causes(error)))
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Returns the certificates of a file. At least one is required, because otherwise nobody would be trusted.
pub(crate) fn certificates(
    path: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(format!("{}: it has no PEM certificate", path.display())),
        Err(_) => Err(format!("{}: not PEM", path.display())),
    }
}

fn bundled_roots() -> Vec<Certificate> {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS
        .iter()
        .filter_map(|der| Certificate::from_der(der).ok())
        .collect()
}
