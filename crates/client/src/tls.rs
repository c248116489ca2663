//! The TLS configuration of the connections that this crate makes without reqwest.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

use crate::client::{RootFiles, Roots, certificates};

/// The protocols offered in the handshake (ALPN), the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Returns the TLS configuration of a client that trusts these roots.
///
/// # Errors
/// A sentence, when a file contains no certificate or the machine's own list can't be read.
pub(crate) fn tls_config(roots: &Roots, files: &RootFiles) -> Result<Arc<ClientConfig>, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match roots {
        Roots::System => builder
            .with_platform_verifier()
            .map_err(|error| error.to_string())?,
        Roots::Bundled => {
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(
                webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned(),
            );
            builder.with_root_certificates(store)
        }
        Roots::Files(_) => builder.with_root_certificates(from_files(files)?),
    };
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
    Ok(Arc::new(config))
}

fn from_files(files: &RootFiles) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for (path, pem) in files.iter() {
        for certificate in certificates(path, pem)? {
            let unusable = |_| format!("{}: a certificate in the file is invalid", path.display());
            store.add(certificate).map_err(unusable)?;
        }
    }
    Ok(store)
}
