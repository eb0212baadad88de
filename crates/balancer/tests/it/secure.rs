//! Certificates, TLS clients and TLS targets of tests.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use longshore_balancer::config::{Certificate, Protocol};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::backend::{self, Backend};
use crate::rig::Rig;

/// A self-signed certificate, its key in a file.
pub fn certificate(folder: &Path, arn: &str, names: &[&str]) -> Certificate {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let private_key_file = folder.join(format!("{arn}.key"));
    std::fs::write(&private_key_file, made.signing_key.serialize_pem()).unwrap();
    Certificate { arn: arn.to_owned(), chain_pem: made.cert.pem(), private_key_file }
}

/// Makes the rig's listener an HTTPS listener.
pub async fn secure(rig: &mut Rig, certificates: Vec<Certificate>, policy: &str) {
    rig.change(|config| {
        // Another listener: what is accepted on a socket does not change under it.
        let listener = &mut config.load_balancers[0].listeners[0];
        listener.protocol = Protocol::Https;
        listener.certificates = certificates;
        listener.ssl_policy = Some(policy.to_owned());
    })
    .await;
}

pub struct Dial<'a> {
    pub trusted: &'a Certificate,
    pub name: &'a str,
    pub protocols: &'a [&'a str],
    pub versions: &'a [&'static SupportedProtocolVersion],
}

/// Connects and shakes hands.
pub async fn dial(address: SocketAddr, dial: Dial<'_>) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(dial.trusted.chain_pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(dial.versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = dial.protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let name = ServerName::try_from(dial.name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

pub const BOTH: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12, &rustls::version::TLS13];

fn server(folder: &Path, protocol: &str) -> TlsAcceptor {
    acceptor(&certificate(folder, "target", &["target.example"]), protocol)
}

/// For servers that have a certificate.
pub fn acceptor(certificate: &Certificate, protocol: &str) -> TlsAcceptor {
    let chain = vec![CertificateDer::from_pem_slice(certificate.chain_pem.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_file(&certificate.private_key_file).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// An echoing target that speaks TLS.
pub async fn echo(folder: &Path, name: &'static str) -> Backend {
    let acceptor = server(folder, "http/1.1");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    backend::custom(listener, Arc::default(), move |stream, behaviour| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                backend::echo_on(stream, behaviour, name).await;
            }
        }
    })
}

/// For targets that speak HTTP/2 over TLS.
pub fn http2_acceptor(folder: &Path) -> TlsAcceptor {
    server(folder, "h2")
}
