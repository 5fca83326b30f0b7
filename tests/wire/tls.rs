//! TLS from outside: wrong certificates, changed certificates, partners who come with one.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tonic::Request;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};
use veilflight::identity::certificate::{fingerprint, parse_subject};
use veilflight::identity::enrol::{self, Enrolment};

use crate::site::{PATIENCE, Site, code, folder, info, path};

/// A certificate with its key, both in PEM, and in DER.
struct Pair {
    certificate: String,
    key: String,
    der: Vec<u8>,
}

fn self_signed(name: &str) -> Pair {
    let key = KeyPair::generate().unwrap();
    let names = vec![name.to_owned(), "localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    Pair {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
        der: certificate.der().to_vec(),
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn signed(name: &str, authority: &CertifiedIssuer<'static, KeyPair>) -> Pair {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    Pair {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
        der: certificate.der().to_vec(),
    }
}

struct Files {
    folder: TempDir,
    certificate: PathBuf,
    key: PathBuf,
}

fn files(pair: &Pair) -> Files {
    let folder = folder();
    let (certificate, key) = (folder.path().join("server.pem"), folder.path().join("server.key"));
    write(&certificate, &key, pair);
    Files { folder, certificate, key }
}

fn write(certificate: &Path, key: &Path, pair: &Pair) {
    std::fs::write(certificate, &pair.certificate).unwrap();
    std::fs::write(key, &pair.key).unwrap();
}

async fn start(files: Files, authority: Option<&str>) -> Site {
    start_with(files, authority, "60").await
}

/// A server that waits so many seconds for a handshake.
async fn start_with(files: Files, authority: Option<&str>, handshake: &str) -> Site {
    let (certificate, key) = (files.certificate.clone(), files.key.clone());
    let path = files.folder.path().join("clients.pem");
    let mut settings = vec![
        ("tls_certificate", certificate.to_str().unwrap()),
        ("tls_key", key.to_str().unwrap()),
        ("handshake_seconds", handshake),
    ];
    if let Some(authority) = authority {
        std::fs::write(&path, authority).unwrap();
        settings.push(("tls_client_authority", path.to_str().unwrap()));
    }
    Site::start_with(files.folder, &settings).await
}

fn trusting(pair: &Pair) -> ClientTlsConfig {
    ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(&pair.certificate))
        .domain_name("localhost")
}

fn as_client(server: &Pair, client: &Pair) -> ClientTlsConfig {
    trusting(server).identity(Identity::from_pem(&client.certificate, &client.key))
}

/// What a call with nothing but the client's certificate says: `ok`, our code, or `no connection`.
async fn call(site: &Site, tls: ClientTlsConfig) -> String {
    let Ok(mut client) = site.tls_client(tls).await else { return "no connection".to_owned() };
    match client.get_flight_info(Request::new(path("jobs"))).await {
        Ok(_) => "ok".to_owned(),
        Err(status) if code(&status) == "none" => "no connection".to_owned(),
        Err(status) => code(&status).to_owned(),
    }
}

fn enrol_certificate(site: &Site, name: &str, pair: &Pair, subjects: Vec<String>) {
    let certificates = if subjects.is_empty() { vec![fingerprint(&pair.der)] } else { Vec::new() };
    let enrolment = Enrolment {
        name: name.to_owned(),
        certificates,
        subjects,
        without_token: true,
        ..Enrolment::default()
    };
    enrol::add(site.store.as_ref(), &site.clock, enrolment).unwrap();
}

#[tokio::test]
async fn a_token_works_over_tls_and_a_stranger_to_the_certificate_stays_out() {
    let (server, other) = (self_signed("server"), self_signed("other"));
    let site = start(files(&server), None).await;
    let token = site.partner("cern");
    assert!(site.uri.starts_with("grpc+tls://127.0.0.1:"));
    let mut client = site.tls_client(trusting(&server)).await.unwrap();
    assert!(info(&mut client, &token, "jobs").await.is_ok());
    assert!(site.tls_client(trusting(&other)).await.is_err());
    let plain = site.uri.replace("grpc+tls", "http");
    let plain = tonic::transport::Endpoint::from_shared(plain).unwrap().connect().await;
    if let Ok(channel) = plain {
        let mut client = crate::site::Client::new(channel);
        assert!(info(&mut client, &token, "jobs").await.is_err());
    }
    site.stop().await;
}

#[tokio::test]
async fn a_new_certificate_is_used_without_a_restart_and_a_broken_one_is_not() {
    let (old, new) = (self_signed("server"), self_signed("server"));
    let files = files(&old);
    let (certificate, key) = (files.certificate.clone(), files.key.clone());
    let site = start(files, None).await;
    assert_eq!(call(&site, trusting(&old)).await, "I001");
    std::fs::write(&certificate, "broken").unwrap();
    site.look_until(|_| true).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(call(&site, trusting(&old)).await, "I001");
    write(&certificate, &key, &new);
    site.look_until(|_| true).await;
    let begun = Instant::now();
    while call(&site, trusting(&new)).await != "I001" {
        assert!(begun.elapsed() < PATIENCE, "the new certificate is not used");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(call(&site, trusting(&old)).await, "no connection");
    site.stop().await;
}

#[tokio::test]
async fn a_registered_certificate_is_enough_and_an_unknown_one_ends_the_handshake() {
    let (server, known, unknown) =
        (self_signed("server"), self_signed("cern.example"), self_signed("cern.example"));
    let site = start(files(&server), None).await;
    assert_eq!(call(&site, as_client(&server, &known)).await, "no connection");
    enrol_certificate(&site, "cern", &known, Vec::new());
    assert_eq!(call(&site, as_client(&server, &known)).await, "ok");
    assert_eq!(call(&site, as_client(&server, &unknown)).await, "no connection");
    assert_eq!(call(&site, trusting(&server)).await, "I001");
    enrol::set_disabled(site.store.as_ref(), "cern", true).unwrap();
    assert_eq!(call(&site, as_client(&server, &known)).await, "I002");
    site.stop().await;
}

#[tokio::test]
async fn an_authority_vouches_for_a_name_and_nobody_else_can() {
    let server = self_signed("server");
    let (ours, theirs) = (authority(), authority());
    let site = start(files(&server), Some(&ours.pem())).await;
    let name = parse_subject("dns:cern.example").unwrap();
    let genuine = signed("cern.example", &ours);
    enrol_certificate(&site, "cern", &genuine, vec![name]);
    assert_eq!(call(&site, as_client(&server, &genuine)).await, "ok");
    let other_name = signed("fnal.example", &ours);
    assert_eq!(call(&site, as_client(&server, &other_name)).await, "I002");
    let other_authority = signed("cern.example", &theirs);
    assert_eq!(call(&site, as_client(&server, &other_authority)).await, "no connection");
    // A certificate that is registered to one partner and claims another's name stays the first's.
    let liar = self_signed("cern.example");
    enrol_certificate(&site, "fnal", &liar, Vec::new());
    assert_eq!(call(&site, as_client(&server, &liar)).await, "D001");
    site.stop().await;
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_not_waited_for() {
    let site = start_with(files(&self_signed("server")), None, "1").await;
    let mut silent = TcpStream::connect(site.address()).await.unwrap();
    let mut sink = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, silent.read_to_end(&mut sink)).await;
    assert!(ended.is_ok(), "the connection is still open");
    site.stop().await;
}
