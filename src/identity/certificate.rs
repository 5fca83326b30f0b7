//! What a client certificate says: its fingerprint, its subject alternative names, and when it counts.
//! It does not verify the chain; TLS did that, and says so in `ca_verified`.

use sha2::{Digest, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The parts of a certificate that matter here.
#[derive(Debug)]
pub(super) struct Certificate {
    /// SHA-256 of the DER.
    pub(super) fingerprint: [u8; 32],
    /// Subject alternative names with `dns:`, `uri:` or `email:` before each.
    pub(super) subjects: Vec<String>,
    /// The first second at which it counts.
    pub(super) from_seconds: i64,
    /// The last second at which it counts.
    pub(super) until_seconds: i64,
}

/// Reads a certificate; `None` where it is not one.
pub(super) fn read(der: &[u8]) -> Option<Certificate> {
    let (rest, certificate) = X509Certificate::from_der(der).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let names = match certificate.subject_alternative_name() {
        Ok(Some(extension)) => extension.value.general_names.as_slice(),
        Ok(None) => &[],
        // Stands twice or cannot be read.
        Err(_) => return None,
    };
    let subjects = names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(dns(name)),
            GeneralName::RFC822Name(name) => Some(email(name)),
            GeneralName::URI(name) => Some(format!("uri:{name}")),
            _ => None,
        })
        .collect();
    Some(Certificate {
        fingerprint: Sha256::digest(der).into(),
        subjects,
        from_seconds: certificate.validity().not_before.timestamp(),
        until_seconds: certificate.validity().not_after.timestamp(),
    })
}

/// A name as an operator writes it, in the form in which certificates are compared: with its kind
/// before it, or told from its shape (`://` or `urn:` a URI, `@` an e-mail address, else a host).
///
/// # Errors
/// What is wrong with it, in lower case without a full stop.
pub fn parse_subject(text: &str) -> Result<String, String> {
    let (kind, name) = match text.split_once(':') {
        Some((kind @ ("dns" | "uri" | "email"), name)) => (kind, name),
        _ if text.contains("://") || text.starts_with("urn:") => ("uri", text),
        _ if text.contains('@') => ("email", text),
        _ => ("dns", text),
    };
    if name.is_empty() || name.len() > 256 || name.chars().any(|c| c.is_control() || c == ' ') {
        return Err(format!("`{text}` is not a subject name"));
    }
    if kind == "dns" && name.contains('*') {
        return Err(format!("`{text}` has a wildcard; a partner is named by a whole name"));
    }
    Ok(match kind {
        "dns" => dns(name),
        "email" => email(name),
        _ => format!("uri:{name}"),
    })
}

/// A fingerprint as an operator writes it: 64 hexadecimal digits, with or without colons between.
///
/// # Errors
/// What is wrong with it, in lower case without a full stop.
pub fn parse_fingerprint(text: &str) -> Result<[u8; 32], String> {
    let digits: String = text.chars().filter(|character| *character != ':').collect();
    data_encoding::HEXLOWER_PERMISSIVE
        .decode(digits.as_bytes())
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| format!("`{text}` is not a SHA-256 fingerprint of 64 hexadecimal digits"))
}

/// The fingerprint of a certificate.
pub fn fingerprint(der: &[u8]) -> [u8; 32] {
    Sha256::digest(der).into()
}

fn dns(name: &str) -> String {
    format!("dns:{}", name.trim_end_matches('.').to_ascii_lowercase())
}

/// The part before the `@` may tell upper from lower case, the domain does not.
fn email(name: &str) -> String {
    match name.rsplit_once('@') {
        Some((local, domain)) => format!("email:{local}@{}", domain.to_ascii_lowercase()),
        None => format!("email:{name}"),
    }
}
