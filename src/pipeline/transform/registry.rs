//! The list of all transforms, and finding one by the words of a policy.

use super::{
    Spec, Transform, aes_siv, crypto_pan, drop, ff1, hmac, ip_truncate, ipcrypt_pfx, keep, token,
};

/// Every transform, in the order of the reference manual.
pub static ALL: &[&dyn Transform] = &[
    &keep::Keep,
    &drop::Drop,
    &hmac::HmacPseudonym,
    &token::TokenPseudonym,
    &ff1::Ff1Pseudonym,
    &aes_siv::AesSivPseudonym,
    &crypto_pan::CryptoPanAddress,
    &ipcrypt_pfx::IpcryptPfxAddress,
    &ip_truncate::TruncateAddress,
];

/// The transform for a verb and, where the verb has methods, a method.
pub fn find(verb: &str, method: Option<&str>) -> Option<&'static dyn Transform> {
    ALL.iter().copied().find(|transform| {
        let spec = transform.spec();
        spec.verb == verb && spec.method == method
    })
}

/// The specs of one verb: several for a verb with methods, none for an unknown word.
pub fn suggestions(verb: &str) -> Vec<&'static Spec> {
    ALL.iter().map(|transform| transform.spec()).filter(|spec| spec.verb == verb).collect()
}
