//! The TLS of a listener: its certificate and the authorities of client certificates. Both are read from files, and read again when
//! the files change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{Context, SHA256, SHA256_OUTPUT_LEN};
use parking_lot::Mutex;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::time::MissedTickBehavior;
use tokio_rustls::TlsAcceptor;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::time::Validity;

/// How often the files are checked. Certificates are renewed days before they expire, so this is often enough.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// The ALPN names of the supported protocols. A client that offers only other protocols is rejected in the handshake.
const HTTP_1: [&[u8]; 2] = [b"http/1.1", b"http/1.0"];
pub(crate) const HTTP_2: &[u8] = b"h2";

/// The paths of a listener's certificate files, in PEM format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by the intermediate certificates.
    pub cert: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
    /// The authorities of client certificates. If set, a client without a certificate from one of them is rejected.
    pub client_ca: Option<PathBuf>,
    /// True if a client may negotiate HTTP/2 in the handshake.
    pub h2: bool,
}

/// A function that reads a file at the start and again after it may have changed. Its error is a line that names the file.
pub type ReadFile = fn(&Path) -> Result<Vec<u8>, String>;

/// The contents of the files at one moment.
struct FileContents {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// A hash of the contents. Comparing hashes keeps no second copy of the key in memory.
type Fingerprint = [u8; SHA256_OUTPUT_LEN];

/// The TLS configuration of one listener.
pub struct Tls {
    files: TlsFiles,
    read: ReadFile,
    /// The pair is replaced as a whole, so that sessions of an old certificate or an old authority can't be resumed.
    current: ArcSwap<TlsPair>,
    tried: Mutex<TriedFiles>,
}

/// A usable certificate with its key.
struct TlsPair {
    config: Arc<ServerConfig>,
    /// The earliest time at which a certificate of the chain expires, in seconds since 1970, UTC.
    expires: i64,
    /// The time in which the first certificate is valid, if it can be read.
    validity: Option<Validity>,
}

/// The files that were tried last.
struct TriedFiles {
    /// The hash of the contents, usable or not; `None` if they could not be read.
    fingerprint: Option<Fingerprint>,
    /// The pair in the files, if it is not valid now and therefore has not replaced a valid pair.
    postponed: Option<Arc<TlsPair>>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tls").field(&self.files).finish()
    }
}

impl Tls {
    /// Reads the files. They are read again when they change.
    ///
    /// # Errors
    /// A sentence that names the wrong file, or states that the files do not belong together.
    pub fn open(files: &TlsFiles, read: ReadFile) -> Result<Tls, String> {
        let contents = FileContents::read(files, read)?;
        Ok(Tls {
            files: files.clone(),
            read,
            current: ArcSwap::from_pointee(contents.pair(files)?),
            tried: Mutex::new(TriedFiles {
                fingerprint: Some(contents.fingerprint()),
                postponed: None,
            }),
        })
    }

    /// Returns the files.
    pub fn files(&self) -> &TlsFiles {
        &self.files
    }

    /// Returns the acceptor for the next handshake.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.load().config))
    }

    /// Returns the earliest time at which a certificate of the current chain expires, in seconds since 1970, UTC.
    pub fn expires(&self) -> i64 {
        self.current.load().expires
    }

    /// Returns a sentence if the current certificate is not valid now.
    pub fn invalidity(&self) -> Option<String> {
        self.current.load().invalidity()
    }

    /// Reads the files again if they have changed. Files that are unusable, or not valid while the old certificate is, are logged
    /// once, and the old certificate stays.
    pub fn renew(&self) {
        let contents = FileContents::read(&self.files, self.read);
        let fingerprint = contents.as_ref().ok().map(FileContents::fingerprint);
        let mut tried = self.tried.lock();
        let is_known = tried.fingerprint == fingerprint;
        let postponed = tried.postponed.take();
        let read = match postponed {
            Some(pair) if is_known => Ok(pair),
            None if is_known => return,
            _ => contents.and_then(|contents| contents.pair(&self.files).map(Arc::new)),
        };
        tried.fingerprint = fingerprint;
        let cert = self.files.cert.display();
        let pair = match read {
            Ok(pair) => pair,
            Err(error) => {
                tracing::warn!(%cert, %error, "certificate not reloaded, the old one stays");
                return;
            }
        };
        let invalidity = pair.invalidity();
        if let (Some(error), None) = (&invalidity, self.invalidity()) {
            if !is_known {
                tracing::warn!(%cert, error, "certificate not reloaded, the old one stays");
            }
            tried.postponed = Some(pair);
            return;
        }
        self.current.store(pair);
        match invalidity {
            None => tracing::info!(%cert, "certificate reloaded"),
            Some(error) => tracing::warn!(%cert, error, "certificate reloaded"),
        }
    }
}

impl TlsPair {
    /// Returns a sentence if the first certificate is not valid now.
    fn invalidity(&self) -> Option<String> {
        let validity = self.validity?;
        let now = SystemTime::now();
        if now > validity.not_after.to_system_time() {
            return Some(format!("it expired at {}", validity.not_after));
        }
        let is_early = now < validity.not_before.to_system_time();
        is_early.then(|| format!("it is not valid before {}", validity.not_before))
    }
}

/// Reads the current certificates again whenever their files change, until the task is aborted. `in_use` returns the current
/// certificates.
pub async fn keep_fresh(in_use: impl Fn() -> Vec<Arc<Tls>>) {
    let mut interval = tokio::time::interval(POLL_INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        for tls in in_use() {
            // A panic is logged, and the old certificate stays.
            let _ = tokio::task::spawn_blocking(move || tls.renew()).await;
        }
    }
}

impl FileContents {
    fn read(files: &TlsFiles, read: ReadFile) -> Result<FileContents, String> {
        Ok(FileContents {
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

    fn pair(&self, files: &TlsFiles) -> Result<TlsPair, String> {
        let (expires, validity) = validities(&self.cert);
        Ok(TlsPair {
            config: Arc::new(self.config(files)?),
            expires,
            validity,
        })
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
        // Sessions are resumed by tickets, so this server stores nothing for them, however many clients there are. The key of the
        // tickets rotates every six hours and ends with this configuration.
        config.ticketer = Ticketer::new().map_err(|error| error.to_string())?;
        config.alpn_protocols = HTTP_1.map(<[u8]>::to_vec).into();
        if files.h2 {
            config.alpn_protocols.insert(0, HTTP_2.to_vec());
        }
        Ok(config)
    }
}

/// Returns the only provider of cryptography. It is named in each call, because a process-wide default would be chosen by the first
/// caller that needs one.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(default_provider())
}

/// Returns the scheme of a listener's URL.
pub fn scheme(files: Option<&TlsFiles>) -> &'static str {
    match files {
        Some(_) => "https",
        None => "http",
    }
}

/// Parses the certificates of a PEM text. There must be at least one.
///
/// # Errors
/// A sentence that states the mistake.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err("it has no PEM certificate".to_owned()),
        Err(error) => Err(format!("it is not PEM: {error}")),
    }
}

/// Returns the earliest time at which a certificate of a PEM text expires, in seconds since 1970, UTC, and the validity of the first
/// certificate. The time is `i64::MAX` if no certificate can be read.
fn validities(pem: &[u8]) -> (i64, Option<Validity>) {
    let certificates = certificates(pem).unwrap_or_default();
    let validities = certificates.iter().map(|certificate| {
        let certificate = Certificate::from_der(certificate).ok()?;
        Some(certificate.tbs_certificate.validity)
    });
    let validities: Vec<_> = validities.collect();
    let ends = validities
        .iter()
        .flatten()
        .filter_map(|validity| i64::try_from(validity.not_after.to_unix_duration().as_secs()).ok());
    let first = validities.first().copied().flatten();
    (ends.min().unwrap_or(i64::MAX), first)
}

/// Parses the first private key of a PEM text.
///
/// # Errors
/// A sentence that states the mistake.
pub fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| "it has no PEM private key".to_owned())
}

/// Parses the certificates of a PEM text as authorities of client certificates.
///
/// # Errors
/// A sentence that states the mistake.
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
            "the key does not belong to the certificate".to_owned()
        }
        error => format!("certificate and key can't be used: {error}"),
    }
}

fn at<T>(path: &Path, result: Result<T, String>) -> Result<T, String> {
    result.map_err(|error| format!("{}: {error}", path.display()))
}
