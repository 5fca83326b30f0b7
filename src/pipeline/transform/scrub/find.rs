//! What was found where, and what becomes of finds that overlap. Does not look for anything.

use super::words::{Text, joins_after, joins_before};

/// The kinds of things that detectors find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// `user@host` and `user@host.domain`.
    Email,
    /// A telephone number.
    Phone,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// A name of a host with its domain.
    Host,
    /// Anything with `://`.
    Url,
    /// The user in a path.
    PathUser,
    /// A payment card.
    Card,
    /// A bank account.
    Iban,
    /// A social security number of the United States.
    Ssn,
    /// A distinguished name.
    Dn,
    /// A principal of Kerberos.
    Kerberos,
    /// A password, a key, a token.
    Secret,
}

impl Kind {
    /// Every kind, in the order of the manual.
    pub(super) const ALL: [Self; 13] = [
        Self::Email,
        Self::Phone,
        Self::Ipv4,
        Self::Ipv6,
        Self::Host,
        Self::Url,
        Self::PathUser,
        Self::Card,
        Self::Iban,
        Self::Ssn,
        Self::Dn,
        Self::Kerberos,
        Self::Secret,
    ];

    /// The word in the policy.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Host => "host",
            Self::Url => "url",
            Self::PathUser => "path_user",
            Self::Card => "card",
            Self::Iban => "iban",
            Self::Ssn => "ssn",
            Self::Dn => "x509_dn",
            Self::Kerberos => "kerberos",
            Self::Secret => "secret",
        }
    }

    /// What stands in the text in its place.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ipv4 | Self::Ipv6 => "ip",
            Self::PathUser => "user",
            Self::Dn => "dn",
            Self::Kerberos => "principal",
            other => other.word(),
        }
    }

    /// Whether equal finds may be told to be equal. Numbers of people and secrets have no use for it, and
    /// who holds the key could try them all.
    pub(super) const fn has_pseudonym(self) -> bool {
        !matches!(self, Self::Card | Self::Iban | Self::Ssn | Self::Secret)
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// A set of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Kinds(u16);

impl Kinds {
    /// Those that the words of a policy name; `ip` names both families.
    pub(super) fn new(words: &[String]) -> Self {
        let mut kinds = Self::default();
        for kind in Kind::ALL {
            let both = matches!(kind, Kind::Ipv4 | Kind::Ipv6);
            if words.iter().any(|word| word == kind.word() || (both && word == "ip")) {
                kinds.0 |= kind.bit();
            }
        }
        kinds
    }

    /// Whether it has the kind.
    pub(super) const fn has(self, kind: Kind) -> bool {
        self.0 & kind.bit() != 0
    }

    /// Whether it has any.
    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the other has all of these.
    pub(super) const fn within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// An entry of the dictionary, by its place there.
    Entry(u32),
    /// Something that a detector knows.
    Kind(Kind),
}

/// A part of a text that does not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Find {
    /// The first byte.
    pub(super) start: usize,
    /// Past the last byte.
    pub(super) end: usize,
    /// What it is.
    pub(super) what: What,
}

/// Finds of one text as detectors add them.
#[derive(Debug, Default)]
pub(super) struct Finds {
    kinds: Kinds,
    list: Vec<Find>,
}

impl Finds {
    /// Starts anew for a text.
    pub(super) fn begin(&mut self, kinds: Kinds) {
        self.kinds = kinds;
        self.list.clear();
    }

    /// Whether this kind is looked for.
    pub(super) const fn wants(&self, kind: Kind) -> bool {
        self.kinds.has(kind)
    }

    /// Adds a find of a detector, if its kind is looked for.
    pub(super) fn add(&mut self, kind: Kind, start: usize, end: usize) {
        if self.wants(kind) && start < end {
            self.list.push(Find { start, end, what: What::Kind(kind) });
        }
    }

    /// Adds an entry of the dictionary.
    pub(super) fn add_entry(&mut self, place: u32, start: usize, end: usize) {
        self.list.push(Find { start, end, what: What::Entry(place) });
    }

    /// Widens what detectors found to whole words, so that no part of a word is left that looks like one of
    /// its own: of `ada@example.orgé` no `é`.
    pub(super) fn widen(&mut self, text: &Text<'_>) {
        for find in &mut self.list {
            if joins_before(text.text, find.end) && joins_after(text.text, find.end) {
                let at = text.words.partition_point(|word| word.end <= find.end);
                find.end = text.words.get(at).map_or(find.end, |word| word.end);
            }
            if joins_before(text.text, find.start) && joins_after(text.text, find.start) {
                let at = text.words.partition_point(|word| word.end <= find.start);
                find.start = text.words.get(at).map_or(find.start, |word| word.start);
            }
        }
    }

    /// The finds from left to right without overlaps: of those that begin together the longest counts, of
    /// equal ones the dictionary's; one that begins inside another is taken into it.
    ///
    /// INVARIANT: every byte of every find lies in a find that is left.
    pub(super) fn settle(&mut self) -> &[Find] {
        if self.list.len() > 1 {
            self.list
                .sort_unstable_by_key(|find| (find.start, std::cmp::Reverse(find.end), find.what));
            self.list.dedup_by(|later, earlier| {
                let overlaps = later.start < earlier.end;
                if overlaps {
                    earlier.end = earlier.end.max(later.end);
                }
                overlaps
            });
        }
        &self.list
    }

    /// All finds of one text, for tests of one detector.
    #[cfg(test)]
    pub(super) fn list(&self) -> &[Find] {
        &self.list
    }
}

/// One family of detectors.
pub(super) type Detector = fn(&Text<'_>, &mut Finds);

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(finds: &[(usize, usize, What)]) -> Vec<(usize, usize, What)> {
        let mut all = Finds::default();
        for &(start, end, what) in finds {
            all.list.push(Find { start, end, what });
        }
        all.settle().iter().map(|find| (find.start, find.end, find.what)).collect()
    }

    #[test]
    fn leftmost_longest_dictionary_first_and_no_byte_is_lost() {
        const MAIL: What = What::Kind(Kind::Email);
        const HOST: What = What::Kind(Kind::Host);
        const USER: What = What::Entry(7);
        assert_eq!(settled(&[(4, 9, HOST), (0, 9, MAIL)]), [(0, 9, MAIL)]);
        assert_eq!(settled(&[(0, 9, MAIL), (0, 9, USER)]), [(0, 9, USER)]);
        assert_eq!(settled(&[(0, 3, USER), (0, 9, MAIL)]), [(0, 9, MAIL)]);
        assert_eq!(settled(&[(0, 5, USER), (3, 9, MAIL), (8, 11, HOST)]), [(0, 11, USER)]);
        assert_eq!(settled(&[(5, 6, HOST), (0, 5, USER)]), [(0, 5, USER), (5, 6, HOST)]);
    }

    #[test]
    fn the_family_names_both_kinds_of_addresses() {
        let kinds =
            |words: &[&str]| Kinds::new(&words.iter().map(|&w| w.to_owned()).collect::<Vec<_>>());
        assert_eq!(kinds(&["ip"]), kinds(&["ipv4", "ipv6"]));
        assert!(kinds(&["ipv4"]).within(kinds(&["ip", "card"])));
        assert!(!kinds(&["ip"]).within(kinds(&["ipv4"])));
        assert!(kinds(&[]).is_empty());
    }
}
