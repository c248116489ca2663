//! Tests of TLS on both listeners: handshakes, certificates that change, client certificates, and refusals.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use reqwest::{Certificate, Identity};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::configuration::mistakes;
use crate::first_start::{paste, printed_calls};
use crate::harness::{Answer, Gateway, binary, until};

/// A self-signed certificate for this machine, and its key.
pub struct Pair {
    pub cert: String,
    key: String,
}

impl Pair {
    pub fn new() -> Pair {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        Pair {
            cert: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
        }
    }

    /// Makes a pair whose certificate expires after this time.
    pub fn ending_in(left: Duration) -> Pair {
        Pair::ending_at(SystemTime::now() + left)
    }

    fn ending_at(end: SystemTime) -> Pair {
        let mut certificate = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        certificate.not_after = end.into();
        Pair::of(&certificate)
    }

    fn of(certificate: &CertificateParams) -> Pair {
        let key = rcgen::KeyPair::generate().unwrap();
        Pair {
            cert: certificate.self_signed(&key).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.cert.as_bytes()).unwrap()
    }
}

/// A folder with the files that a configuration names.
pub struct Files(Arc<TempDir>);

impl Files {
    pub fn new() -> Files {
        Files(Arc::new(TempDir::new().unwrap()))
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Writes the pair under this name and returns the configuration section that names it.
    pub fn section(&self, name: &str, pair: &Pair) -> String {
        let cert = self.write(&format!("{name}.crt"), &pair.cert);
        let key = self.write(&format!("{name}.key"), &pair.key);
        format!("[server.{name}]\ncert = {cert:?}\nkey = {key:?}\n")
    }

    fn start(&self, toml: &str) -> Gateway {
        self.start_with(toml, &[])
    }

    pub fn start_with(&self, toml: &str, environment: &[(&str, &str)]) -> Gateway {
        Gateway::over(Arc::clone(&self.0), toml, environment)
    }
}

/// Starts a gateway with TLS on the callers' side.
pub fn gateway(pair: &Pair, more: &str) -> (Gateway, Files) {
    let files = Files::new();
    let toml = format!("{more}{}", files.section("tls", pair));
    (files.start(&toml), files)
}

pub fn trusting(pair: &Pair) -> reqwest::ClientBuilder {
    let root = Certificate::from_pem(pair.cert.as_bytes()).unwrap();
    reqwest::Client::builder().no_proxy().tls_certs_only([root])
}

pub fn connector(trusted: &[&Pair]) -> TlsConnector {
    connector_of(trusted, rustls::ALL_VERSIONS)
}

fn connector_of(
    trusted: &[&Pair],
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for pair in trusted {
        roots.add(pair.der()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config).into()
}

async fn connect(connector: &TlsConnector, gateway: &Gateway) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(gateway.public).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    connector.connect(name, stream).await.unwrap()
}

/// Sends one request on a kept connection and reads the answer's head; a session ticket arrives in the meantime.
async fn ask(stream: &mut TlsStream<TcpStream>) -> String {
    let request = b"HEAD /nothing HTTP/1.1\r\nHost: x\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    let certificates = stream.get_ref().1.peer_certificates().unwrap();
    certificates[0].clone().into_owned()
}

/// Returns all bytes that arrive on a plain connection until it ends. A reset counts as an end as well.
async fn plain(gateway: &Gateway, sent: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(gateway.public).await.unwrap();
    stream.write_all(sent).await.unwrap();
    let mut back = Vec::new();
    let _ = stream.read_to_end(&mut back).await;
    back
}

/// Number of clients, more than a server would store sessions of.
const CLIENTS: usize = 300;

#[tokio::test]
async fn a_tls_session_resumes_by_its_ticket_after_many_other_clients() {
    use rustls::HandshakeKind::{Full, Resumed};
    let pair = Pair::new();
    let (gateway, files) = gateway(&pair, "[limits]\nper_address_per_minute = 100000\n");
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let first = connector_of(&[&pair], &[version]);
        let handshake = async |connector: &TlsConnector| {
            let mut stream = connect(connector, &gateway).await;
            ask(&mut stream).await;
            stream.get_ref().1.handshake_kind().unwrap()
        };
        assert_eq!(handshake(&first).await, Full);
        for _ in 0..CLIENTS {
            assert_eq!(handshake(&connector_of(&[&pair], &[version])).await, Full);
        }
        assert_eq!(handshake(&first).await, Resumed, "{version:?}");
    }
    drop(files);
}

#[test]
fn printed_calls_work_over_tls_and_the_public_url_is_https() {
    let (public, admin) = (Pair::new(), Pair::new());
    let files = Files::new();
    let sections = [
        files.section("tls", &public),
        files.section("admin_tls", &admin),
    ];
    let gateway = files.start(&sections.concat());
    let calls = printed_calls(&gateway);
    assert_eq!(calls.len(), 5, "{calls:#?}");
    let answers: Vec<_> = calls.iter().map(|line| paste(line)).collect();
    for way in ["http", "basic", "jwt", "soap"] {
        let message = format!("Hello by {way}");
        assert!(answers[4].contains(&message), "{way}: {answers:#?}");
    }
    let metadata = format!(
        "curl -sS --cacert {} https://{}/.well-known/oauth-authorization-server",
        files.0.path().join("tls.crt").display(),
        gateway.public
    );
    let issuer = format!("\"issuer\":\"https://{}\"", gateway.public);
    assert!(paste(&metadata).contains(&issuer));
}

#[tokio::test]
async fn plain_http_and_old_tls_get_an_alert_and_others_are_served() {
    let pair = Pair::new();
    let (gateway, _files) = gateway(&pair, "");
    let alert = plain(&gateway, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(alert.first(), Some(&0x15), "{alert:?}");
    // A ClientHello of TLS 1.1, with one cipher, one group and one signature algorithm.
    let mut hello = vec![0x16, 3, 1, 0, 63, 1, 0, 0, 59, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x09, 1, 0]);
    hello.extend([0, 16, 0, 10, 0, 4, 0, 2, 0, 23, 0, 13, 0, 4, 0, 2, 4, 3]);
    let alert = plain(&gateway, &hello).await;
    // Fatal, protocol_version.
    assert_eq!(alert.get(5..), Some(&[2, 70][..]), "{alert:?}");
    assert!(
        ask(&mut connect(&connector(&[&pair]), &gateway).await)
            .await
            .starts_with("HTTP/1.1 404")
    );
}

#[tokio::test]
async fn with_http_2_disabled_alpn_selects_http_1_and_rejects_h2_only_clients() {
    let pair = Pair::new();
    let (gateway, _files) = gateway(&pair, "[server]\nh2 = false\n");
    for (offered, agreed) in [
        (&["h2", "http/1.1"][..], Some("http/1.1")),
        (&["http/1.0"], Some("http/1.0")),
        (&["h2"], None),
    ] {
        let connector = connector(&[&pair]);
        let mut config = ClientConfig::clone(connector.config());
        config.alpn_protocols = offered
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        let stream = TcpStream::connect(gateway.public).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let shaken = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await;
        let shaken = shaken.ok();
        let spoken = shaken
            .as_ref()
            .and_then(|stream| stream.get_ref().1.alpn_protocol());
        assert_eq!(spoken, agreed.map(str::as_bytes), "{offered:?}");
        if let Some(mut stream) = shaken {
            assert!(
                ask(&mut stream).await.starts_with("HTTP/1.1 "),
                "{offered:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_changed_certificate_applies_to_new_connections_and_open_ones_continue() {
    let (old, new) = (Pair::new(), Pair::new());
    let (gateway, files) = gateway(&old, "");
    // One connector for all connections, because a resumed session would show the old certificate.
    let connector = connector(&[&old, &new]);
    let mut kept = connect(&connector, &gateway).await;
    ask(&mut kept).await;
    assert_eq!(shown(&kept), old.der());

    files.section("tls", &new);
    gateway.process.signal("HUP");
    gateway.process.wait_for("the new certificate", |line| {
        line.contains("configuration reloaded")
    });
    let mut later = connect(&connector, &gateway).await;
    ask(&mut later).await;
    assert_eq!(shown(&later), new.der());
    assert!(ask(&mut kept).await.starts_with("HTTP/1.1 404"));

    files.write("tls.key", &old.key);
    gateway.process.signal("HUP");
    let reported = gateway
        .process
        .wait_for("the refusal", |line| line.contains("configuration refused"));
    assert!(reported.contains("the key does not belong"), "{reported}");
    assert_eq!(shown(&connect(&connector, &gateway).await), new.der());
}

#[tokio::test]
async fn a_changed_certificate_is_loaded_without_a_signal() {
    let (old, new) = (Pair::new(), Pair::new());
    let (gateway, files) = gateway(&old, "");
    files.section("tls", &new);
    gateway.process.wait_for("the new certificate", |line| {
        line.contains("certificate reloaded")
    });
    let stream = connect(&connector(&[&new]), &gateway).await;
    assert_eq!(shown(&stream), new.der());
}

#[tokio::test]
async fn an_expired_certificate_does_not_replace_a_valid_one_and_is_reported() {
    let day = Duration::from_secs(86_400);
    let (old, new) = (Pair::new(), Pair::new());
    let expired = Pair::ending_at(SystemTime::now() - day);
    let (gateway, files) = gateway(&old, "");
    let connector = connector(&[&old, &new]);
    let toml = files.section("tls", &expired);
    let line = gateway.process.wait_for("the refusal", |line| {
        line.contains("certificate not reloaded")
    });
    assert!(line.contains("it expired at"), "{line}");
    gateway.process.signal("HUP");
    gateway
        .process
        .wait_for("the reload", |line| line.contains("configuration reloaded"));
    let is_warning =
        |line: &str| line.contains("server.tls.cert") && line.contains("it expired at");
    gateway.process.wait_for("the warning", is_warning);
    assert_eq!(shown(&connect(&connector, &gateway).await), old.der());
    files.section("tls", &new);
    gateway.process.wait_for("the new certificate", |line| {
        line.contains("certificate reloaded")
    });
    assert_eq!(shown(&connect(&connector, &gateway).await), new.der());
    // A certificate that becomes valid later is used then.
    let mut early = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    early.not_before = (SystemTime::now() + Duration::from_secs(3)).into();
    let early = Pair::of(&early);
    files.section("tls", &early);
    gateway.process.signal("HUP");
    gateway.process.wait_for("the early certificate", |line| {
        line.contains("certificate not reloaded") && line.contains("it is not valid before")
    });
    until("the early certificate is used", async || {
        let connector = connector_of(&[&new, &early], rustls::ALL_VERSIONS);
        shown(&connect(&connector, &gateway).await) == early.der()
    })
    .await;
    // If there is no valid certificate, the gateway starts all the same.
    drop(gateway);
    files.section("tls", &expired);
    let check = Command::new(binary())
        .args(["check", "--config"])
        .arg(files.write("check.toml", &toml))
        .output();
    let check = check.unwrap();
    let warned = String::from_utf8_lossy(&check.stderr);
    assert!(
        check.status.success() && warned.lines().any(is_warning),
        "{warned}"
    );
    files
        .start(&toml)
        .process
        .wait_for("the warning", is_warning);
}

#[tokio::test]
async fn a_changed_certificate_that_everybody_may_write_is_not_loaded() {
    let (old, new) = (Pair::new(), Pair::new());
    let (gateway, files) = gateway(&old, "");
    for name in ["tls.crt", "tls.key"] {
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        std::fs::set_permissions(files.0.path().join(name), open).unwrap();
    }
    files.section("tls", &new);
    let line = gateway.process.wait_for("the refusal", |line| {
        line.contains("certificate not reloaded")
    });
    assert!(line.contains("every user may write"), "{line}");
    let connector = connector(&[&old, &new]);
    assert_eq!(shown(&connect(&connector, &gateway).await), old.der());
}

#[tokio::test]
async fn a_slow_handshake_times_out_and_does_not_delay_shutdown() {
    let pair = Pair::new();
    let (short, _files) = gateway(&pair, "[limits]\nheader_timeout = \"1s\"\n");
    let began = Instant::now();
    plain(&short, &[0x16, 3, 1, 2, 0, 1]).await;
    let took = began.elapsed();
    assert!(
        took >= Duration::from_millis(900) && took < Duration::from_secs(5),
        "{took:?}"
    );

    let (long, _files) = gateway(&pair, "[limits]\nheader_timeout = \"1h\"\n");
    let mut slow = TcpStream::connect(long.public).await.unwrap();
    slow.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
    // Connections are accepted in order, so when this one is served, the slow one is in its handshake.
    ask(&mut connect(&connector(&[&pair]), &long).await).await;
    long.process.signal("TERM");
    let began = Instant::now();
    assert_eq!(long.process.ended().0, Some(0));
    assert!(began.elapsed() < Duration::from_secs(5));
}

/// Returns the certificate of an authority, and a client's certificate and key in one text.
fn authority() -> (String, String) {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let root = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let mut params = CertificateParams::new(["operator".to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    let client = params.signed_by(&key, &issuer).unwrap();
    (root, format!("{}{}", client.pem(), key.serialize_pem()))
}

#[tokio::test]
async fn the_admin_listener_can_require_a_client_certificate() {
    let (pair, (root, client), (_, stranger)) = (Pair::new(), authority(), authority());
    let files = Files::new();
    let root = files.write("ca.crt", &root);
    let section = files.section("admin_tls", &pair);
    let gateway = files.start(&format!("{section}client_ca = {root:?}\n"));
    let livez = format!("https://{}/livez", gateway.admin);
    let with = |identity: &str| {
        let identity = Identity::from_pem(identity.as_bytes()).unwrap();
        trusting(&pair).identity(identity).build().unwrap()
    };
    let nobody = trusting(&pair).build().unwrap();
    assert!(nobody.get(&livez).send().await.is_err());
    assert!(with(&stranger).get(&livez).send().await.is_err());
    assert_eq!(Answer::of(with(&client).get(&livez)).await.status, 200);

    let token = |identity: &str, cacert: &str| {
        let identity = files.write("client.pem", identity);
        std::process::Command::new(crate::harness::binary())
            .args([
                "token",
                "--admin",
                &format!("https://{}", gateway.admin),
                "--data",
            ])
            .arg(gateway.data())
            .arg("--cacert")
            .arg(files.0.path().join(cacert))
            .arg("--cert")
            .arg(identity)
            .output()
            .unwrap()
    };
    let got = token(&client, "admin_tls.crt");
    assert!(got.status.success(), "{got:?}");
    for (identity, cacert, mend) in [
        (&stranger, "admin_tls.crt", "with --cert\n"),
        (&client, "ca.crt", "with --cacert\n"),
    ] {
        let refused = token(identity, cacert);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && said.ends_with(mend), "{said}");
    }
}

#[test]
fn tls_configuration_mistakes_are_reported_with_their_position() {
    let files = Files::new();
    let (one, other) = (Pair::new(), Pair::new());
    let folder = files.0.path().display().to_string();
    let reported = |toml: &str| mistakes(toml).join("\n").replace(&folder, "DIR");
    files.section("tls", &one);
    let no_pem = files.write("no.pem", "nothing");
    let other_key = files.write("other.key", &other.key);
    insta::assert_snapshot!(reported("[server.tls]\ncert = \"DIR/absent.crt\"\n"), @r"
    line 2, column 8: server.tls.cert: DIR/absent.crt: No such file or directory (os error 2)
    server.tls.key: server.tls.cert requires it
    ");
    let wrong = format!(
        "[server.tls]\ncert = {no_pem:?}\nkey = {no_pem:?}\n[server.admin_tls]\nclient_ca = {no_pem:?}\n"
    );
    insta::assert_snapshot!(reported(&wrong), @r"
    line 2, column 8: server.tls.cert: DIR/no.pem: it has no PEM certificate
    line 3, column 7: server.tls.key: DIR/no.pem: it has no PEM private key
    line 5, column 13: server.admin_tls.client_ca: DIR/no.pem: it has no PEM certificate
    line 5, column 13: server.admin_tls.client_ca: client certificates require server.admin_tls.cert
    ");
    // Without any authority no server would be trusted, and the reload would cut off the upstream.
    let roots = format!(
        "[upstream]\nurl = \"https://x/\"\nroots = \"file:DIR/no.pem\"\n[webhooks]\nroots = \"file:DIR/no.pem\"\n\
         [tracing]\nendpoint = \"https://x/\"\nroots = \"file:DIR/no.pem\"\n[shared]\nurl = \"rediss://x/\"\nca = {no_pem:?}\n"
    );
    let roots = reported(&roots.replace("DIR", &folder));
    for key in [
        "upstream.roots",
        "webhooks.roots",
        "tracing.roots",
        "shared.ca",
    ] {
        let line = roots.lines().find(|line| line.contains(key)).unwrap();
        assert!(line.ends_with("it has no PEM certificate"), "{line}");
    }
    let cert = files.0.path().join("tls.crt");
    let mismatch = format!(
        "[server.tls]\ncert = {cert:?}\nkey = {other_key:?}\n[server.admin_tls]\nclient_ca = {cert:?}\n"
    );
    insta::assert_snapshot!(reported(&mismatch), @r"
    line 3, column 7: server.tls.key: the key does not belong to the certificate
    line 5, column 13: server.admin_tls.client_ca: client certificates require server.admin_tls.cert
    ");
    insta::assert_snapshot!(reported("[server]\nproxy_protocol = true\n"), @"line 2, column 18: server.proxy_protocol: without server.trusted_proxies no client could connect");
}
