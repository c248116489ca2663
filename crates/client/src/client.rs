//! How a client is configured and built.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use reqwest::{Certificate, ClientBuilder, Identity, redirect};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::error::causes;

/// Which certificate authorities a server's certificate may come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// Mozilla's list, built in: works in an image without a CA bundle.
    Bundled,
    /// The machine's own list.
    System,
    /// The PEM files at these paths and nothing else.
    Files(Vec<PathBuf>),
}

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Whom to trust.
    pub roots: Roots,
    /// The PEM file with the client's own certificate and key, for servers that ask for one.
    pub identity: Option<PathBuf>,
    /// Longest wait for a connection, TLS and DNS included.
    pub connect_timeout: Duration,
    /// Longest wait for the whole answer.
    pub timeout: Duration,
}

/// An HTTP client with its connections; clones share them.
#[derive(Clone, Debug)]
pub struct Client(pub(crate) reqwest::Client);

/// Idle connections kept to one host; more calls than this at once open new ones.
const IDLE_CONNECTIONS_MAX: usize = 256;

/// How long an idle connection is kept: under the 60 s after which common servers close it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// What the files of roots held when they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RootFiles(Vec<(PathBuf, Vec<u8>)>);

impl RootFiles {
    /// Each file with what it held.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(PathBuf, Vec<u8>)> {
        self.0.iter()
    }

    /// Reads the files; other roots have none.
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

/// A future that is compiled in this crate, and not once more by each crate that awaits it.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

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
        // With none at all it makes no copy of a request beforehand.
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
                    roots.push(root.map_err(|_| format!("{}: no PEM", path.display()))?);
                }
            }
            builder.tls_certs_only(roots)
        }
    };
    Ok(match &config.identity {
        None => builder,
        Some(path) => {
            let identity = Identity::from_pem(&read_file(path)?);
            builder.identity(identity.map_err(|_| format!("{}: no PEM", path.display()))?)
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

/// The certificates of a file, at least one: with none, nobody would be trusted.
pub(crate) fn certificates(
    path: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(format!(
            "{}: there is no PEM certificate in it",
            path.display()
        )),
        Err(_) => Err(format!("{}: no PEM", path.display())),
    }
}

fn bundled_roots() -> Vec<Certificate> {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS
        .iter()
        .filter_map(|der| Certificate::from_der(der).ok())
        .collect()
}
