//! TLS with certificates that can change under way, and clients that may prove themselves with a
//! certificate: one that a configured authority vouches for, or one whose fingerprint is registered.
//! Does not say which partner a certificate belongs to; that is `identity`.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error as TlsError, RootCertStore,
    ServerConfig, SignatureScheme,
};
use tokio_rustls::server::TlsStream;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

use crate::error::{Code, Context, Error, Result};

/// Whether a certificate with this SHA-256 fingerprint is registered to a partner.
pub type Registered = Arc<dyn Fn(&[u8; 32]) -> bool + Send + Sync>;

/// Where the certificates are, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate chain, its own first.
    pub certificate: PathBuf,
    /// The server's private key.
    pub key: PathBuf,
    /// Authorities that vouch for clients.
    pub client_authority: Option<PathBuf>,
}

/// The server's side of TLS.
pub struct Tls {
    files: TlsFiles,
    registered: Registered,
    material: ArcSwap<Material>,
    seen: Mutex<Contents>,
}

/// What handshakes use.
struct Material {
    config: Arc<ServerConfig>,
    verifier: Arc<Verifier>,
}

/// The bytes of the files, as last looked at; the key as a digest.
#[derive(PartialEq, Eq)]
struct Contents([u8; 32]);

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`Code::Config`] when one cannot be read, or certificate and key do not belong together.
    pub fn load(files: TlsFiles, registered: Registered) -> Result<Self> {
        let (contents, material) = read(&files, &registered)?;
        let material = ArcSwap::from_pointee(material);
        Ok(Self { files, registered, material, seen: Mutex::new(contents) })
    }

    /// Reads the files again if they changed; new connections use them from then on. Says whether they
    /// changed. Files that cannot be used leave what was in force, and are not reported twice.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn reload(&self) -> Result<bool> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = digest(&self.files)?;
        if *seen == now {
            return Ok(false);
        }
        *seen = now;
        let (contents, material) = read(&self.files, &self.registered)?;
        *seen = contents;
        self.material.store(Arc::new(material));
        Ok(true)
    }

    /// Shakes hands. Gives the client's certificate chain, and whether an authority vouched for it.
    ///
    /// # Errors
    /// When the handshake fails.
    pub async fn accept(
        &self,
        tcp: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, Vec<Vec<u8>>, bool)> {
        let material = self.material.load_full();
        let stream = TlsAcceptor::from(Arc::clone(&material.config)).accept(tcp).await?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let chained = match chain {
            [own, others @ ..] => material.verifier.vouched(own, others, UnixTime::now()).is_ok(),
            [] => false,
        };
        let certificates = chain.iter().map(|der| der.as_ref().to_vec()).collect();
        Ok((stream, certificates, chained))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

fn unusable(path: &Path) -> String {
    format!("TLS: `{}` cannot be used", path.display())
}

fn digest(files: &TlsFiles) -> Result<Contents> {
    let mut digest = Sha256::new();
    for path in [Some(&files.certificate), Some(&files.key), files.client_authority.as_ref()] {
        let Some(path) = path else { continue };
        let bytes = std::fs::read(path).context(Code::Config, || unusable(path))?;
        let bytes = zeroize::Zeroizing::new(bytes);
        digest.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(&bytes);
    }
    Ok(Contents(digest.finalize().into()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let chain = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .context(Code::Config, || unusable(path))?;
    if chain.is_empty() {
        return Err(Error::new(Code::Config, format!("{}: no certificate in it", unusable(path))));
    }
    Ok(chain)
}

fn read(files: &TlsFiles, registered: &Registered) -> Result<(Contents, Material)> {
    let contents = digest(files)?;
    let provider = Arc::new(ring::default_provider());
    let chain = certificates(&files.certificate)?;
    let key =
        PrivateKeyDer::from_pem_file(&files.key).context(Code::Config, || unusable(&files.key))?;
    let authority = match &files.client_authority {
        None => None,
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for root in certificates(path)? {
                roots.add(root).context(Code::Config, || unusable(path))?;
            }
            let verifier =
                WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
                    .build()
                    .context(Code::Config, || unusable(path))?;
            Some(verifier)
        }
    };
    let verifier = Arc::new(Verifier {
        authority,
        registered: Arc::clone(registered),
        provider: Arc::clone(&provider),
    });
    let client_verifier: Arc<dyn ClientCertVerifier> = Arc::<Verifier>::clone(&verifier);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context(Code::Config, || "TLS: no protocol versions".to_owned())?
        .with_client_cert_verifier(client_verifier)
        .with_single_cert(chain, key)
        .context(Code::Config, || unusable(&files.certificate))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A resumed session would bring a client's certificate back without a look at it.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok((contents, Material { config: Arc::new(config), verifier }))
}

/// Takes clients without a certificate, and those whose certificate is vouched for or registered. In
/// all cases TLS itself proves that the client holds the certificate's key.
struct Verifier {
    authority: Option<Arc<dyn ClientCertVerifier>>,
    registered: Registered,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    /// Whether a configured authority vouches for the chain.
    fn vouched(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        match &self.authority {
            Some(authority) => authority.verify_client_cert(own, others, now),
            None => Err(CertificateError::UnknownIssuer.into()),
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("authority", &self.authority).finish_non_exhaustive()
    }
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // No hints: a client with a registered certificate of its own making must offer it too.
        &[]
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        let refused = match self.vouched(own, others, now) {
            Ok(verified) => return Ok(verified),
            Err(refused) => refused,
        };
        if !(self.registered)(&Sha256::digest(own).into()) {
            return Err(refused);
        }
        let (_, parsed) =
            X509Certificate::from_der(own).map_err(|_| CertificateError::BadEncoding)?;
        let now = i64::try_from(now.as_secs()).map_err(|_| CertificateError::Expired)?;
        let now = ASN1Time::from_timestamp(now).map_err(|_| CertificateError::Expired)?;
        if parsed.validity().is_valid_at(now) {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(CertificateError::Expired.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, own, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, own, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
