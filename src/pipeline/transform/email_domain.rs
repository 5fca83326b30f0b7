//! `email_domain`: the part of an e-mail address after the `@`. It does not shorten the domain: a person
//! who owns a domain is named by it.

use std::borrow::Cow;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use super::{Bind, Exposure, Kernel, Spec, Transform, text};
use crate::error::Result;
use crate::policy::args::Args;

/// Who provides the mailbox.
///
/// - What it does: keeps the text after the one `@`; whatever is no address becomes null.
/// - What it hides: the mailbox, and every value that is no address.
/// - What still leaks: the domain, which names a person where the domain is theirs alone.
/// - Example: `email_domain` makes `ada@example.org` into `example.org`.
#[derive(Debug)]
pub(super) struct EmailDomain;

static SPEC: Spec = Spec {
    verb: "email_domain",
    method: None,
    primary: None,
    params: &[],
    does: "Keeps the domain of an e-mail address, the text after its one `@`; what is no address \
           becomes null.",
    hides: "The mailbox before the `@`, and every value that is not an address.",
    leaks: "The domain: a rare one (a person's own, a small institute's) can name its owner.",
    takes: "text",
    example: "email_domain",
    references: &["RFC 5321, section 4.1.2: mailbox = local part, `@`, domain"],
};

impl Transform for EmailDomain {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn output(&self, _args: &Args, input: &DataType) -> Result<Option<DataType>, String> {
        text::only(input)?;
        Ok(Some(DataType::Utf8))
    }

    fn adds_nulls(&self, _args: &Args) -> bool {
        true
    }

    fn exposure(&self, _args: &Args) -> Exposure {
        Exposure::Coarse
    }

    fn explain(&self, _args: &Args) -> String {
        "Leaves as the domain of the e-mail address; a value that is no address leaves as null."
            .to_owned()
    }

    fn kernel(&self, _args: &Args, _bind: &Bind<'_>) -> Result<Box<dyn Kernel>> {
        Ok(Box::new(Domain))
    }
}

struct Domain;

impl Kernel for Domain {
    fn apply(&mut self, values: &ArrayRef, _reads: &[ArrayRef]) -> Result<ArrayRef> {
        Ok(text::map(text::strings(values)?, |value| domain(value).map(Cow::Borrowed)))
    }
}

/// The domain of an address with one `@`, something before it, and a host name after it.
// PRIVACY: a column of addresses may hold sentences. Only what can be a host name passes: no blanks,
// and a last label that is no number, so that no network address passes either.
fn domain(value: &str) -> Option<&str> {
    let (mailbox, domain) = value.split_once('@')?;
    let label =
        |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-');
    let host = domain.len() <= 253 && domain.split('.').all(label);
    let named = domain.rsplit('.').next()?.chars().any(char::is_alphabetic);
    (!mailbox.is_empty() && host && named).then_some(domain)
}

#[cfg(test)]
mod tests {
    use super::super::testing::apply_texts;
    use super::*;

    #[test]
    fn the_text_after_the_one_at_sign_leaves() {
        let raw = ["ada@example.org", "a.b+c@Sub.Example.ORG", "x@localhost", "ż@żółw.pl"];
        let expected = ["example.org", "Sub.Example.ORG", "localhost", "żółw.pl"];
        assert_eq!(apply_texts(&EmailDomain, &[], &raw), expected);
    }

    #[test]
    fn what_is_no_address_becomes_null() {
        let raw = [
            "",
            "ada",
            "@",
            "ada@",
            "@example.org",
            "a@b@example.org",
            "ask @ the front desk",
            "ada@10.0.0.1",
            "ada@[10.0.0.1]",
            "ada@example..org",
            "ada@example.org ",
        ];
        assert_eq!(apply_texts(&EmailDomain, &[], &raw), ["(null)"; 11]);
    }
}
