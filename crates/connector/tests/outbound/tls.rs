//! Encrypted connections: HTTP/2 and HTTP/1.1, and certificates that are not to be trusted.

use crate::{PATIENT, address, client, get, settings};
use bytes::Bytes;
use connector::{Client, ClientTls, Full, Resolver, Roots};
use http::{Response, Version};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

fn acceptor(protocol: &[u8], wants_certificate: bool) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("server.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("server.key.pem")).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("the provider has them");
    let builder = if wants_certificate {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(include_bytes!("client-ca.pem")).expect("a certificate");
        roots.add(authority).expect("an authority");
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
        builder.with_client_cert_verifier(verifier.expect("it has a root"))
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder
        .with_single_cert(vec![certificate], key)
        .expect("they belong together");
    config.alpn_protocols = vec![protocol.to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// A server that speaks one protocol and counts its connections.
async fn serve(protocol: &'static [u8]) -> (SocketAddr, Arc<AtomicUsize>) {
    serve_as(protocol, acceptor(protocol, false)).await
}

async fn serve_as(protocol: &'static [u8], acceptor: TlsAcceptor) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (bound, connections) = (
        listener.local_addr().expect("it is bound"),
        Arc::new(AtomicUsize::new(0)),
    );
    let counter = connections.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::Relaxed);
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let service = service_fn(|request: http::Request<Incoming>| async move {
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(format!(
                        "{:?}",
                        request.version()
                    )))))
                });
                let io = TokioIo::new(stream);
                let _ = match protocol {
                    b"h2" => {
                        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                            .serve_connection(io, service)
                            .await
                    }
                    _ => {
                        hyper::server::conn::http1::Builder::new()
                            .serve_connection(io, service)
                            .await
                    }
                };
            });
        }
    });
    (bound, connections)
}

fn names() -> Resolver {
    Resolver::table([
        ("hook.test", &[address("127.0.0.1")][..]),
        ("other.test", &[address("127.0.0.1")][..]),
    ])
}

#[tokio::test]
async fn http_2_is_spoken_where_it_is_offered_and_http_1_where_not() {
    for (protocol, version) in [(&b"h2"[..], Version::HTTP_2), (b"http/1.1", Version::HTTP_11)] {
        let (server, connections) = serve(protocol).await;
        let client = client("127.0.0.0/8", names());
        for host in ["hook.test", "hook.test", "hook.test"] {
            let url = format!("https://{host}:{}/", server.port());
            let answer = client.send(get(&url), PATIENT, 100).await.expect("an answer");
            assert_eq!(&answer.body[..], format!("{version:?}").as_bytes());
        }
        assert_eq!(connections.load(Ordering::Relaxed), 1);
        let answer = client.send(get(&format!("https://{server}/")), PATIENT, 100).await;
        answer.expect("the certificate holds the address as well");
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_or_from_a_stranger_is_refused() {
    let (server, _) = serve(b"h2").await;
    let trusting = client("127.0.0.0/8", names());
    let error = trusting
        .send(get(&format!("https://other.test:{}/", server.port())), PATIENT, 0)
        .await;
    assert_eq!(error.expect_err("another name").code(), "tls");
    let mut settings = settings("127.0.0.0/8", names());
    settings.roots = Roots::default();
    let strict = Client::new(settings).expect("the settings are fine");
    let error = strict
        .send(get(&format!("https://hook.test:{}/", server.port())), PATIENT, 0)
        .await;
    let error = error.expect_err("a stranger");
    assert_eq!(error.code(), "tls");
    assert!(error.to_string().contains("no authority that is trusted"), "{error}");
}

#[test]
fn broken_certificate_authorities_and_proxies_are_refused_at_start() {
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let mut own = settings("", names());
    own.roots.extra_pem = broken.into();
    assert!(Client::new(own).is_err());
    for url in ["https://proxy.test:3128", "socks5://proxy.test:1080"] {
        let mut own = settings("", names());
        own.egress_proxy = Some(url.parse().expect("a URL"));
        assert!(Client::new(own).is_err(), "{url}");
    }
}

#[tokio::test]
async fn a_connection_shows_its_own_certificate_and_trusts_its_own_authorities() {
    let (server, _) = serve_as(b"h2", acceptor(b"h2", true)).await;
    let mut settings = settings("127.0.0.0/8", names());
    settings.roots = Roots::default();
    let common = Client::new(settings).expect("the settings are fine");
    let own = ClientTls {
        identity_pem: Some((
            include_str!("client.pem").to_owned(),
            include_str!("client.key.pem").to_owned(),
        )),
        ca_pem: Some(include_str!("ca.pem").to_owned()),
        server_name: None,
    };
    let url = format!("https://hook.test:{}/", server.port());
    let client = common.with_tls(&own).expect("it can be used");
    let answer = client.send(get(&url), PATIENT, 100).await.expect("an answer");
    assert!(answer.status.is_success());
    let without = ClientTls {
        identity_pem: None,
        ..own.clone()
    };
    let nameless = common.with_tls(&without).expect("it can be used");
    assert!(
        nameless.send(get(&url), PATIENT, 100).await.is_err(),
        "the server wants a certificate"
    );
    let error = common.send(get(&url), PATIENT, 100).await.expect_err("a stranger");
    assert_eq!(error.code(), "tls", "the common client trusts as before");
}

#[tokio::test]
async fn the_name_that_the_certificate_is_for_may_be_another_than_the_hosts() {
    let (server, _) = serve(b"http/1.1").await;
    let client = client("127.0.0.0/8", names());
    let named = |name: &str| {
        let tls = ClientTls {
            ca_pem: Some(include_str!("ca.pem").to_owned()),
            server_name: Some(name.to_owned()),
            ..ClientTls::default()
        };
        client.with_tls(&tls).expect("it can be used")
    };
    let url = format!("https://other.test:{}/", server.port());
    let answer = named("hook.test").send(get(&url), PATIENT, 100).await;
    assert!(answer.expect("an answer").status.is_success());
    let error = named("third.test")
        .send(get(&url), PATIENT, 100)
        .await
        .expect_err("another name");
    assert_eq!(error.code(), "tls");
    assert!(error.to_string().contains("not for third.test"), "{error}");
}

#[test]
fn a_certificate_that_does_not_belong_to_its_key_is_refused() {
    let tls = ClientTls {
        identity_pem: Some((
            include_str!("client.pem").to_owned(),
            include_str!("server.key.pem").to_owned(),
        )),
        ..ClientTls::default()
    };
    assert_eq!(tls.check().expect_err("another key").0, "certificate");
}
