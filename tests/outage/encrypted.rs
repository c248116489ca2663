//! Tests of TLS between replicas and the database.

use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::stage::Stage;
use crate::harness::{Answer, Cluster, Process, skipped};

/// Returns the certificate of an authority, a certificate that it issued for this machine, and the key of the latter.
fn certificates() -> (String, String, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap().pem();
    (authority, certificate, key.serialize_pem())
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_use_tls_to_the_database_and_reject_an_untrusted_certificate() {
    let Some(mut cluster) = Cluster::start().await else {
        return skipped("PostgreSQL");
    };
    let (authority, certificate, key) = certificates();
    cluster.write("data/server.crt", &certificate);
    cluster.write("data/server.key", &key);
    let known = cluster.write("authority.crt", &authority);
    let port = cluster.over_tls().await;
    let url = format!("postgres://chatgate@localhost:{port}/chatgate?sslmode=verify-full");
    let known = [("SSL_CERT_FILE", known.to_str().unwrap())];
    let stage = Stage::over(&[(url.clone(), &known)]).await;
    stage.upstream.think(Duration::from_millis(1));
    let sent = Answer::of(stage.keyed(0, "over-tls")).await;
    assert_eq!(stage.upstream.taken("over-tls"), 1, "{}", sent.body);
    let encrypted = "SELECT bool_and(s.ssl) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.application_name = 'chatgate'";
    assert_eq!(cluster.sql(encrypted), "t");
    // With the machine's own authorities, or with another server name, the replica does not start.
    let other = url.replace("localhost", "127.0.0.1");
    for (url, more) in [(url, &[][..]), (other, &known)] {
        let process: Process = stage.try_replica(&url, more);
        process.wait_for("the reason", |line| line.contains("certificate"));
        assert_eq!(process.ended().0, Some(1));
    }
}
