//! Detectors of what has an `@`: addresses of e-mail, `user@host`, principals of Kerberos. Looks at the
//! form alone and asks nobody whether the domain exists.

use super::find::{Finds, Kind};
use super::words::{Text, back, byte, byte_before, forward, mark, part};

/// Looks for both.
pub(super) fn find(text: &Text<'_>, finds: &mut Finds) {
    if text.marks & mark(b'@') == 0 || !(finds.wants(Kind::Email) || finds.wants(Kind::Kerberos)) {
        return;
    }
    for (at, _) in text.text.match_indices('@') {
        at_sign(text.bytes, at, finds);
    }
}

/// A part of what stands before the `@`. Bytes beyond ASCII belong to letters of any script.
const fn of_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-' | b'\'' | 0x80..)
}

const fn of_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')
}

fn at_sign(bytes: &[u8], at: usize, finds: &mut Finds) {
    let mut start = back(bytes, at, of_local);
    while start < at && matches!(byte(bytes, start), b'.' | b'%' | b'+' | b'-' | b'\'') {
        start += 1;
    }
    let mut end = forward(bytes, at + 1, of_host);
    while end > at + 1 && matches!(byte_before(bytes, end), b'.' | b'-') {
        end -= 1;
    }
    let host = part(bytes, at + 1, end);
    let starts_well = host.first().is_some_and(u8::is_ascii_alphanumeric);
    // `gcc@11.2.0` is a version.
    if start == at || !starts_well || !host.iter().any(u8::is_ascii_alphabetic) {
        return;
    }
    let realm = host.iter().any(u8::is_ascii_uppercase) && !host.iter().any(u8::is_ascii_lowercase);
    if realm && finds.wants(Kind::Kerberos) {
        let primary = match byte_before(bytes, start) {
            b'/' => back(bytes, start - 1, |byte| of_local(byte) && byte != b'%'),
            _ => start,
        };
        let instance = primary < start && primary + 1 < start;
        let lower = part(bytes, start, at).iter().any(u8::is_ascii_lowercase);
        if instance || lower || !finds.wants(Kind::Email) {
            finds.add(Kind::Kerberos, if instance { primary } else { start }, end);
            return;
        }
    }
    finds.add(Kind::Email, start, end);
}

#[cfg(test)]
mod tests {
    use super::super::testing::found;
    use super::*;

    #[test]
    fn addresses_and_users_at_hosts_are_found_with_what_belongs_to_them() {
        for (text, expected) in [
            ("User=ada.lovelace+x@fnal.gov, cc", vec!["ada.lovelace+x@fnal.gov"]),
            ("<o'brien@example.ORG>.", vec!["o'brien@example.ORG"]),
            ("ssh ada@lxplus; scp bob@node-1:/x", vec!["ada@lxplus", "bob@node-1"]),
            ("zoë@example.org a@b@c.de", vec!["zoë@example.org", "a@b", "b@c.de"]),
            ("gcc@11.2.0 @scope x@ @ foo@.bar a@-b", vec![]),
            ("17.0@jobsub05.fnal.gov", vec!["17.0@jobsub05.fnal.gov"]),
        ] {
            assert_eq!(found(find, Kind::Email, text), expected, "{text}");
        }
    }

    #[test]
    fn principals_are_found_with_their_instance() {
        for (text, expected) in [
            ("klist: ada@FNAL.GOV", vec!["ada@FNAL.GOV"]),
            ("ada/cron/x.fnal.gov@FNAL.GOV", vec!["cron/x.fnal.gov@FNAL.GOV"]),
            ("for user/admin@REALM.", vec!["user/admin@REALM"]),
            ("ada@fnal.gov", vec![]),
        ] {
            assert_eq!(found(find, Kind::Kerberos, text), expected, "{text}");
        }
    }
}
