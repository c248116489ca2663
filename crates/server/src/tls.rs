//! TLS of a listener: what it shows and what it demands, read from files, and read again when they change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{Context, SHA256, SHA256_OUTPUT_LEN};
use rustls::crypto::{CryptoProvider, aws_lc_rs::default_provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

/// How often the files are looked at: whoever renews a certificate does so days before it ends.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// What is spoken, by its name in ALPN. A client that offers nothing of that is refused in the handshake.
const HTTP_1: &[u8] = b"http/1.1";
pub(crate) const HTTP_2: &[u8] = b"h2";

/// Where a listener's certificate is, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and after it those between it and its authority.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities of client certificates. With them, a client without a certificate of theirs is turned away.
    pub client_ca: Option<PathBuf>,
    /// Whether HTTP/2 is spoken with who asks for it in the handshake.
    pub h2: bool,
}

/// What stood in the files at one moment.
struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// What tells one content from another without keeping a second copy of the key.
type Fingerprint = [u8; SHA256_OUTPUT_LEN];

/// The TLS of one listener.
pub struct Tls {
    files: TlsFiles,
    /// Swapped as a whole, so that sessions made under an old certificate or an old authority can't be resumed.
    config: ArcSwap<ServerConfig>,
    /// The content that was last tried, whether it was taken or not; `None` when it could not be read.
    tried: Mutex<Option<Fingerprint>>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tls").field(&self.files).finish()
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// A sentence that says which file is wrong, or that they do not fit together.
    pub fn open(files: &TlsFiles) -> Result<Tls, String> {
        let contents = Contents::read(files)?;
        Ok(Tls {
            files: files.clone(),
            config: ArcSwap::from_pointee(contents.config(files)?),
            tried: Mutex::new(Some(contents.fingerprint())),
        })
    }

    /// What shakes hands with the next connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.load_full())
    }

    /// Reads the files again, if they have changed. What can't be used leaves the old in place, and is told once.
    fn renew(&self) {
        let contents = Contents::read(&self.files);
        let fingerprint = contents.as_ref().ok().map(Contents::fingerprint);
        let before = std::mem::replace(
            &mut *self.tried.lock().unwrap_or_else(PoisonError::into_inner),
            fingerprint,
        );
        if fingerprint == before {
            return;
        }
        let cert = self.files.cert.display();
        match contents.and_then(|contents| contents.config(&self.files)) {
            Ok(config) => {
                self.config.store(Arc::new(config));
                tracing::info!(%cert, "certificate read again");
            }
            Err(error) => {
                tracing::warn!(%cert, %error, "certificate not read again, the old one stays")
            }
        }
    }
}

/// Keeps the certificates that are served those of the files, until the task is ended. `served` is asked each time what is.
pub async fn keep_fresh(served: impl Fn() -> Vec<Arc<Tls>>) {
    let mut interval = tokio::time::interval(POLL_INTERVAL);
    loop {
        interval.tick().await;
        for tls in served() {
            // A panic has been told by the runtime; the old certificate stays.
            let _ = tokio::task::spawn_blocking(move || tls.renew()).await;
        }
    }
}

impl Contents {
    fn read(files: &TlsFiles) -> Result<Contents, String> {
        Ok(Contents {
            cert: read(&files.cert)?,
            key: read(&files.key)?,
            client_ca: files.client_ca.as_deref().map(read).transpose()?,
        })
    }

    fn fingerprint(&self) -> Fingerprint {
        let mut context = Context::new(&SHA256);
        for piece in [&self.cert, &self.key].into_iter().chain(&self.client_ca) {
            context.update(&piece.len().to_be_bytes());
            context.update(piece);
        }
        let mut fingerprint = [0; SHA256_OUTPUT_LEN];
        fingerprint.copy_from_slice(context.finish().as_ref());
        fingerprint
    }

    fn config(&self, files: &TlsFiles) -> Result<ServerConfig, String> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .map_err(|error| error.to_string())?;
        let builder = match files.client_ca.as_deref().zip(self.client_ca.as_ref()) {
            None => builder.with_no_client_auth(),
            Some((path, pem)) => {
                builder.with_client_cert_verifier(at(path, client_authorities(pem))?)
            }
        };
        let cert = at(&files.cert, certificates(&self.cert))?;
        let key = at(&files.key, private_key(&self.key))?;
        let mut config = builder
            .with_single_cert(cert, key)
            .map_err(|error| unusable(&error))?;
        config.alpn_protocols = vec![HTTP_1.to_vec()];
        if files.h2 {
            config.alpn_protocols.insert(0, HTTP_2.to_vec());
        }
        Ok(config)
    }
}

/// The one provider of cryptography, named each time: with a process-wide default, whoever comes first would choose.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(default_provider())
}

/// How the URL of a listener begins.
pub fn scheme(files: Option<&TlsFiles>) -> &'static str {
    match files {
        Some(_) => "https",
        None => "http",
    }
}

/// The certificates of a PEM text, at least one.
///
/// # Errors
/// A sentence.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err("there is no PEM certificate in it".to_owned()),
        Err(error) => Err(format!("it is no PEM: {error}")),
    }
}

/// The first private key of a PEM text.
///
/// # Errors
/// A sentence.
pub fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| "there is no PEM private key in it".to_owned())
}

/// The certificates of a PEM text as the authorities whose clients may come in.
///
/// # Errors
/// A sentence.
pub fn client_authorities(pem: &[u8]) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| error.to_string())
}

fn unusable(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InconsistentKeys(_) => {
            "the key is not the one that the certificate is for".to_owned()
        }
        error => format!("certificate and key can't be used: {error}"),
    }
}

/// What stands in a file.
///
/// # Errors
/// One sentence with its path.
pub fn in_file<T>(path: &Path, parse: impl Fn(&[u8]) -> Result<T, String>) -> Result<T, String> {
    at(path, parse(&read(path)?))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    at(path, std::fs::read(path).map_err(|error| error.to_string()))
}

fn at<T>(path: &Path, result: Result<T, String>) -> Result<T, String> {
    result.map_err(|error| format!("{}: {error}", path.display()))
}
