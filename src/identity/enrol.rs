//! How partners come into being and change: adding, disabling, new tokens. For the command line; a
//! running server reads each record anew at each call, so a change counts from the next call on.

use chrono::NaiveDate;

use super::token::Token;
use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::policy::is_partner_name;
use crate::state::{PartnerRecord, Store};

/// A partner to be added.
#[derive(Debug, Clone, Default)]
pub struct Enrolment {
    /// The name that grants use.
    pub name: String,
    /// The last day (UTC) on which they may come.
    pub expires: Option<NaiveDate>,
    /// SHA-256 of certificates that prove them.
    pub certificates: Vec<[u8; 32]>,
    /// Subject names, see [`super::certificate::parse_subject`].
    pub subjects: Vec<String>,
    /// Refuse a token without a certificate.
    pub require_certificate: bool,
    /// Make no token: a certificate alone proves them.
    pub without_token: bool,
}

/// Adds a partner, and returns the token to hand over.
///
/// # Errors
/// [`Code::Usage`] when the name is no name or something is taken, [`Code::State`] when it cannot be
/// stored.
pub fn add(store: &dyn Store, clock: &dyn Clock, enrolment: Enrolment) -> Result<Option<Token>> {
    check_name(&enrolment.name)?;
    let has_certificate = !(enrolment.certificates.is_empty() && enrolment.subjects.is_empty());
    if !has_certificate && (enrolment.without_token || enrolment.require_certificate) {
        return Err(Error::new(
            Code::Usage,
            format!("`{}` would have no certificate to come with", enrolment.name),
        ));
    }
    let token = if enrolment.without_token { None } else { Some(Token::generate()?) };
    let added = store.add_partner(&PartnerRecord {
        name: enrolment.name.clone(),
        token_hash: token.as_ref().map(Token::hash),
        certificates: sorted(enrolment.certificates),
        subjects: sorted(enrolment.subjects),
        require_certificate: enrolment.require_certificate,
        expires: enrolment.expires,
        disabled: false,
        created_seconds: clock.now_seconds(),
    })?;
    if !added {
        return Err(Error::new(
            Code::Usage,
            format!(
                "the name `{}`, or a certificate or subject name given with it, is taken",
                enrolment.name
            ),
        ));
    }
    Ok(token)
}

/// Gives a partner a new token; the old one, and sessions that came from it, stop counting at once.
///
/// # Errors
/// [`Code::Usage`] when there is no such partner, [`Code::State`] when it cannot be stored.
pub fn rotate(store: &dyn Store, name: &str) -> Result<Token> {
    let token = Token::generate()?;
    change(store, name, &mut |record| record.token_hash = Some(token.hash()))?;
    Ok(token)
}

/// Lets a partner in, or no longer.
///
/// # Errors
/// [`Code::Usage`] when there is no such partner, [`Code::State`] when it cannot be stored.
pub fn set_disabled(store: &dyn Store, name: &str, disabled: bool) -> Result<()> {
    change(store, name, &mut |record| record.disabled = disabled)
}

fn change(store: &dyn Store, name: &str, edit: &mut dyn FnMut(&mut PartnerRecord)) -> Result<()> {
    if store.update_partner(name, edit)? {
        Ok(())
    } else {
        Err(Error::new(Code::Usage, format!("there is no partner `{name}`")))
    }
}

/// Whether a text can be a partner's name: it stands in grants, file names and logs.
///
/// # Errors
/// [`Code::Usage`] when it cannot.
pub fn check_name(name: &str) -> Result<()> {
    if is_partner_name(name) {
        return Ok(());
    }
    Err(Error::new(
        Code::Usage,
        format!(
            "`{name}` is not a partner's name: 1 to 63 of a-z, 0-9, `-` and `_`, \
             beginning with a letter or digit"
        ),
    ))
}

fn sorted<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort();
    values.dedup();
    values
}
