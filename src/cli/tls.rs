//! `veilflight tls`: certificates for trials and closed networks, from an authority of one's own. It
//! does not talk to a public authority; for a server that the world reaches, bring certificates from
//! one.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use chrono::{Datelike, Days};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::identity::certificate::fingerprint;
use crate::identity::enrol::check_name;

/// Make TLS certificates for trials and closed networks
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Make an authority, a server certificate, and certificates for partners
    #[command(alias = "init")]
    SelfSigned(SelfSigned),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  veilflight tls self-signed --host localhost --out tls\n  \
                  veilflight tls self-signed --client cern --out tls      later, for one more partner\n\n\
                  Files: ca.pem (for partners), ca.key, server.pem, server.key, client-NAME.pem, \
                  client-NAME.key.\nWhat is there is kept and used, never overwritten. Keys have mode 0600.")]
struct SelfSigned {
    /// A host name or address of the server; may be given several times
    #[arg(long, value_name = "HOST", default_value = "localhost")]
    host: Vec<String>,
    /// A partner to make a client certificate for; may be given several times
    #[arg(long, value_name = "NAME")]
    client: Vec<String>,
    /// The folder to write to
    #[arg(long, value_name = "FOLDER", default_value = "tls")]
    out: PathBuf,
    /// How long certificates count
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u64).range(1..=3650))]
    days: u64,
}

/// Runs the verb and returns the exit code.
///
/// # Errors
/// When a name is malformed or a file cannot be made.
pub(super) fn run(args: Args, clock: Arc<dyn Clock>, out: &mut dyn Write) -> anyhow::Result<u8> {
    let Verb::SelfSigned(wanted) = args.verb;
    for name in &wanted.client {
        check_name(name)?;
    }
    if !wanted.out.exists() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&wanted.out)
            .with_context(|| format!("the folder `{}` cannot be made", wanted.out.display()))?;
    }
    let maker = Maker { folder: &wanted.out, days: wanted.days, clock: &*clock };
    let authority = maker.authority(out)?;
    if maker.path("server.pem").exists() {
        writeln!(out, "kept `{}`", maker.path("server.pem").display())?;
    } else {
        maker.server(&wanted.host, &authority, out)?;
    }
    for name in &wanted.client {
        maker.client(name, &authority, out)?;
    }
    Ok(0)
}

/// Makes files in one folder.
struct Maker<'a> {
    folder: &'a Path,
    days: u64,
    clock: &'a dyn Clock,
}

impl Maker<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The authority: the one in the folder, or a new one.
    fn authority(&self, out: &mut dyn Write) -> anyhow::Result<Issuer<'static, KeyPair>> {
        let (certificate, key) = (self.path("ca.pem"), self.path("ca.key"));
        match (certificate.exists(), key.exists()) {
            (true, true) => {
                let pem = std::fs::read_to_string(&key)
                    .map(Zeroizing::new)
                    .with_context(|| format!("`{}` cannot be read", key.display()))?;
                let pair = KeyPair::from_pem(&pem)
                    .with_context(|| format!("`{}` holds no key", key.display()))?;
                writeln!(out, "kept `{}`", certificate.display())?;
                // Name and key are all that an issuer puts into what it signs; both are known.
                Ok(Issuer::new(authority_params(), pair))
            }
            (false, false) => {
                let mut params = authority_params();
                self.set_validity(&mut params)?;
                let pair = KeyPair::generate()?;
                let made = params.self_signed(&pair)?;
                self.write("ca.key", &pair.serialize_pem(), 0o600, out)?;
                self.write("ca.pem", &made.pem(), 0o644, out)?;
                Ok(Issuer::new(params, pair))
            }
            _ => bail!(
                "one of `{}` and `{}` is missing; put it back, or choose another folder",
                certificate.display(),
                key.display()
            ),
        }
    }

    fn server(
        &self,
        hosts: &[String],
        authority: &Issuer<'_, KeyPair>,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let mut names = hosts.to_vec();
        if names.iter().any(|name| name == "localhost") {
            names.extend(["127.0.0.1", "::1"].map(str::to_owned));
        }
        let mut params = CertificateParams::default();
        for name in names {
            params.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(
                    name.as_str()
                        .try_into()
                        .with_context(|| format!("`{name}` is no host name"))?,
                ),
            });
        }
        let first = hosts.first().map_or("server", String::as_str);
        self.issue("server", first, params, ExtendedKeyUsagePurpose::ServerAuth, authority, out)?;
        Ok(())
    }

    fn client(
        &self,
        name: &str,
        authority: &Issuer<'_, KeyPair>,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        // The name as a subject too, so that a partner can be registered by it where the server is
        // told to take what this authority signs.
        let params = CertificateParams::new(vec![name.to_owned()])
            .with_context(|| format!("`{name}` is no name for a certificate"))?;
        let usage = ExtendedKeyUsagePurpose::ClientAuth;
        let der = self.issue(&format!("client-{name}"), name, params, usage, authority, out)?;
        let hex = data_encoding::HEXLOWER.encode(&fingerprint(&der));
        writeln!(out, "to let it in: veilflight partner add {name} --fingerprint {hex}")?;
        Ok(())
    }

    /// Signs a certificate, writes it with its key, and returns its DER.
    fn issue(
        &self,
        file: &str,
        common_name: &str,
        mut params: CertificateParams,
        usage: ExtendedKeyUsagePurpose,
        authority: &Issuer<'_, KeyPair>,
        out: &mut dyn Write,
    ) -> anyhow::Result<Vec<u8>> {
        self.set_validity(&mut params)?;
        params.distinguished_name.remove(DnType::CommonName);
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let pair = KeyPair::generate()?;
        let made = params.signed_by(&pair, authority)?;
        self.write(&format!("{file}.key"), &Zeroizing::new(pair.serialize_pem()), 0o600, out)?;
        self.write(&format!("{file}.pem"), &made.pem(), 0o644, out)?;
        Ok(made.der().to_vec())
    }

    /// From yesterday, because clocks differ, to so many days from now.
    fn set_validity(&self, params: &mut CertificateParams) -> anyhow::Result<()> {
        let today = self.clock.today();
        let date = |day: Option<chrono::NaiveDate>| {
            let day = day.context("the date is out of range")?;
            let month = u8::try_from(day.month())?;
            anyhow::Ok(rcgen::date_time_ymd(day.year(), month, u8::try_from(day.day())?))
        };
        params.not_before = date(today.checked_sub_days(Days::new(1)))?;
        params.not_after = date(today.checked_add_days(Days::new(self.days)))?;
        Ok(())
    }

    fn write(&self, name: &str, text: &str, mode: u32, out: &mut dyn Write) -> anyhow::Result<()> {
        let path = self.path(name);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path)
            .with_context(|| format!("`{}` cannot be made", path.display()))?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .with_context(|| format!("`{}` cannot be written", path.display()))?;
        writeln!(out, "made `{}`", path.display())?;
        Ok(())
    }
}

/// What an authority of ours looks like, always the same but for its key and dates.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, "Veilflight private authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
    use tokio_rustls::rustls::server::WebPkiClientVerifier;
    use tokio_rustls::rustls::{RootCertStore, crypto};
    use x509_parser::extensions::GeneralName;
    use x509_parser::prelude::{FromDer, X509Certificate};

    use super::*;
    use crate::cli::place::parse;
    use crate::clock::ManualClock;

    fn call(folder: &Path, words: &[&str]) -> Result<String, String> {
        let mut all = vec!["self-signed", "--out", folder.to_str().unwrap()];
        all.extend(words);
        let mut out = Vec::new();
        let clock = Arc::new(ManualClock::new(1_800_000_000_000_000));
        run(parse(&all)?, clock, &mut out).map_err(|error| format!("{error:#}"))?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn read(folder: &Path, name: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(folder.join(name)).unwrap()
    }

    fn roots(folder: &Path) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(read(folder, "ca.pem")).unwrap();
        Arc::new(roots)
    }

    fn now() -> UnixTime {
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_800_000_000))
    }

    #[test]
    fn a_server_certificate_is_accepted_for_its_hosts_only() {
        use tokio_rustls::rustls::client::WebPkiServerVerifier;
        use tokio_rustls::rustls::client::danger::ServerCertVerifier;
        let folder = tempfile::tempdir().unwrap();
        call(folder.path(), &["--host", "localhost", "--host", "data.example.org"]).unwrap();
        let provider = Arc::new(crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(roots(folder.path()), provider)
            .build()
            .unwrap();
        let server = read(folder.path(), "server.pem");
        let accepted = |name: &str| {
            let name = ServerName::try_from(name.to_owned()).unwrap();
            verifier.verify_server_cert(&server, &[], &name, &[], now()).is_ok()
        };
        for name in ["localhost", "127.0.0.1", "::1", "data.example.org"] {
            assert!(accepted(name), "{name}");
        }
        assert!(!accepted("example.org"));
        PrivateKeyDer::from_pem_file(folder.path().join("server.key")).unwrap();
    }

    #[test]
    fn a_partner_added_later_is_signed_by_the_same_authority() {
        let folder = tempfile::tempdir().unwrap();
        call(folder.path(), &[]).unwrap();
        let before = std::fs::read(folder.path().join("server.pem")).unwrap();
        let said = call(folder.path(), &["--client", "cern"]).unwrap();
        assert_eq!(std::fs::read(folder.path().join("server.pem")).unwrap(), before);
        let der = read(folder.path(), "client-cern.pem");
        let hex = data_encoding::HEXLOWER.encode(&fingerprint(&der));
        assert!(
            said.ends_with(&format!("veilflight partner add cern --fingerprint {hex}\n")),
            "{said}"
        );
        let provider = Arc::new(crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots(folder.path()), provider)
            .build()
            .unwrap();
        verifier.verify_client_cert(&der, &[], now()).unwrap();
        let (_, parsed) = X509Certificate::from_der(&der).unwrap();
        let names = &parsed.subject_alternative_name().unwrap().unwrap().value.general_names;
        assert_eq!(*names, [GeneralName::DNSName("cern")]);
        // A server's certificate is no partner's.
        let server = read(folder.path(), "server.pem");
        assert!(verifier.verify_client_cert(&server, &[], now()).is_err());
    }

    #[test]
    fn keys_have_mode_0600_and_nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        call(folder.path(), &["--client", "cern"]).unwrap();
        for name in ["ca.key", "server.key", "client-cern.key"] {
            let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o600, "{name}");
        }
        let error = call(folder.path(), &["--client", "cern"]).unwrap_err();
        assert!(error.contains("client-cern.key` cannot be made"), "{error}");
        let error = call(folder.path(), &["--client", "../cern"]).unwrap_err();
        assert!(error.contains("is not a partner's name"), "{error}");
        std::fs::remove_file(folder.path().join("ca.key")).unwrap();
        let error = call(folder.path(), &["--client", "b"]).unwrap_err();
        assert!(error.starts_with("one of `"), "{error}");
    }
}
