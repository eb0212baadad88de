//! TLS towards targets: encrypted, and not verified, as an Application Load Balancer has it. The network
//! between load balancer and targets is the VPC's, where a packet's source is who it says it is.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Handshakes with targets, for one application protocol.
#[derive(Clone)]
pub(crate) struct TargetTls(TlsConnector);

impl std::fmt::Debug for TargetTls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("TargetTls")
    }
}

impl TargetTls {
    /// `protocol` is what is asked for in the handshake: `http/1.1` or `h2`.
    pub(crate) fn new(protocol: &str) -> TargetTls {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for the default versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        TargetTls(TlsConnector::from(Arc::new(config)))
    }

    /// Shakes hands; the caller bounds the time.
    pub(crate) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        target: IpAddr,
        stream: S,
    ) -> io::Result<TlsStream<S>> {
        self.0.connect(ServerName::IpAddress(target.into()), stream).await
    }
}

/// For whoever has no handshakes of his own.
pub(crate) fn http1() -> &'static TargetTls {
    static SHARED: OnceLock<TargetTls> = OnceLock::new();
    SHARED.get_or_init(|| TargetTls::new("http/1.1"))
}

/// Likewise.
pub(crate) fn http2() -> &'static TargetTls {
    static SHARED: OnceLock<TargetTls> = OnceLock::new();
    SHARED.get_or_init(|| TargetTls::new("h2"))
}

/// Takes every certificate, yet only from who has its key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
