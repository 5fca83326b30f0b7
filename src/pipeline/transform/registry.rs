//! The list of all transforms, and finding one by the words of a policy.

use super::{
    Spec, Transform, aes_siv, age_band, bucket, clamp, constant, crypto_pan, drop, email_domain,
    ff1, geo_grid, geo_laplace, hierarchy, hmac, ip_truncate, ipcrypt_pfx, keep, laplace, mask,
    null, randomized_response, rappor, rare, regex_replace, round, scrub, shift_time, token,
    truncate,
};

/// Every transform, in the order of the reference manual.
pub static ALL: &[&dyn Transform] = &[
    &keep::Keep,
    &drop::Drop,
    &null::Null,
    &constant::Constant,
    &mask::Mask,
    &email_domain::EmailDomain,
    &round::Round,
    &bucket::Bucket,
    &clamp::Clamp::TOP,
    &clamp::Clamp::BOTTOM,
    &clamp::Clamp::BOTH,
    &rare::Rare,
    &hierarchy::Hierarchy,
    &truncate::Truncate,
    &shift_time::ShiftTime,
    &age_band::AgeBand,
    &geo_grid::GeoGrid,
    &geo_laplace::GeoLaplace,
    &randomized_response::RandomizedResponse,
    &laplace::Laplace,
    &rappor::Rappor,
    &regex_replace::RegexReplace,
    &scrub::Scrub,
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
