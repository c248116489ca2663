//! Reads the TLS settings of both listeners. The files are opened here once, so that their errors are reported together with all
//! other errors.

use std::path::PathBuf;

use server::tls::{self, Tls, TlsFiles};
use settings::{Reader, read_trusted_bytes};

/// Reads the TLS of the public and of the admin listener, with a warning for each certificate that is not valid now.
pub(super) fn of_both_listeners(
    reader: &mut Reader<'_>,
) -> (Option<TlsFiles>, Option<TlsFiles>, Vec<String>) {
    let mut warnings = Vec::new();
    let public = public(reader, &mut warnings);
    let admin = admin(reader, &mut warnings);
    (public, admin, warnings)
}

/// Reads the TLS of the public listener. Its callers authenticate with their credentials, not with certificates.
fn public(reader: &mut Reader<'_>, warnings: &mut Vec<String>) -> Option<TlsFiles> {
    let h2 = reader.boolean("server.h2", "true");
    files(reader, ("server.tls", None, h2), warnings)
}

/// Reads the TLS of the admin listener, which may require client certificates.
fn admin(reader: &mut Reader<'_>, warnings: &mut Vec<String>) -> Option<TlsFiles> {
    let key = "server.admin_tls.client_ca";
    let client_ca = reader.optional_text(key, |text| checked(text, tls::client_authorities));
    let files = files(reader, ("server.admin_tls", client_ca, false), warnings);
    if reader.is_set(key) && !reader.is_set("server.admin_tls.cert") {
        reader.reject(key, "client certificates require server.admin_tls.cert");
    }
    files
}

fn files(
    reader: &mut Reader<'_>,
    (section, client_ca, h2): (&str, Option<PathBuf>, bool),
    warnings: &mut Vec<String>,
) -> Option<TlsFiles> {
    let names = ["cert", "key"].map(|name| format!("{section}.{name}"));
    let [cert_name, key_name] = &names;
    let cert = reader.optional_text(cert_name, |text| checked(text, tls::certificates));
    let key = reader.optional_text(key_name, |text| checked(text, tls::private_key));
    for (name, other) in [(cert_name, key_name), (key_name, cert_name)] {
        if reader.is_set(name) && !reader.is_set(other) {
            reader.reject(other, &format!("{name} requires it"));
        }
    }
    let files = TlsFiles {
        cert: cert?,
        key: key?,
        client_ca,
        h2,
    };
    reader.secret_files.push(files.key.clone());
    match Tls::open(&files, read_trusted_bytes) {
        Ok(tls) => {
            let cert = files.cert.display();
            let invalidity = tls.invalidity();
            warnings.extend(invalidity.map(|text| format!("{cert_name}: {cert}: {text}")));
            Some(files)
        }
        Err(error) => {
            reader.reject(key_name, &error);
            None
        }
    }
}

/// Returns the path of a file after checking that its content can be parsed.
fn checked<T>(text: &str, parse: impl Fn(&[u8]) -> Result<T, String>) -> Result<PathBuf, String> {
    let path = settings::parse::path(text)?;
    let contents = read_trusted_bytes(&path)?;
    parse(&contents).map_err(|error| format!("{text}: {error}"))?;
    Ok(path)
}
