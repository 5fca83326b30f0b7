//! What a value can look like, in words. Which value does is found in `looks.rs`.

/// What a value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Look {
    /// `ada@example.org`, and whatever else has an `@` between two names.
    Email,
    /// `ada@EXAMPLE.ORG`, `host/node1@EXAMPLE.ORG`.
    Principal,
    /// `slot1@node01.example.org`.
    Slot,
    /// An IPv4 or IPv6 address, perhaps with a port or a prefix length.
    Address,
    /// A hardware address.
    Mac,
    /// A UUID.
    Uuid,
    /// `https://...`.
    Url,
    /// `/DC=org/CN=Ada`, `CN=Ada,O=Org`.
    DistinguishedName,
    /// An absolute path.
    Path,
    /// A token or key: random, or in a known form.
    Secret,
    /// Hexadecimal of a digest's length.
    Digest,
    /// A bank account's number with its check digits.
    Iban,
    /// A payment card's number with its check digit.
    Card,
    /// A social security number as written in the United States.
    NationalId,
    /// `2026-01-31T12:00:00` and like forms.
    Time,
    /// A day.
    Day,
    /// `1-02:03:04`.
    Duration,
    /// `0:15`: two small numbers.
    Pair,
    /// `48000Mn`, `64 GB`.
    Size,
    /// `cpu=12,mem=48000M`.
    Resources,
    /// A whole number.
    Whole,
    /// A number with a point.
    Decimal,
    /// A phone number.
    Phone,
    /// `KEY=value OTHER=value`.
    Environment,
    /// JSON.
    Json,
    /// A command with arguments.
    Command,
    /// `node[01-04]`, `node1,node2`.
    NodeList,
    /// A name with two dots or more.
    Host,
    /// `true`, `no`.
    Flag,
    /// One word in capitals, as states and codes are.
    Code,
    /// One word of letters.
    Word,
    /// One word with digits.
    WordNumber,
    /// Two to five words.
    Words,
    /// Six words or more, or several lines.
    Prose,
    /// Anything else.
    Other,
}

impl Look {
    /// In words, for reasons: "98 % of the values look like ...".
    pub const fn words(self) -> &'static str {
        match self {
            Self::Email => "e-mail addresses",
            Self::Principal => "Kerberos principals",
            Self::Slot => "slots of hosts",
            Self::Address => "IP addresses",
            Self::Mac => "hardware addresses",
            Self::Uuid => "UUIDs",
            Self::Url => "URLs",
            Self::DistinguishedName => "distinguished names of certificates",
            Self::Path => "paths",
            Self::Secret => "tokens or keys",
            Self::Digest => "digests",
            Self::Iban => "bank accounts",
            Self::Card => "payment cards",
            Self::NationalId => "social security numbers",
            Self::Time => "times",
            Self::Day => "days",
            Self::Duration => "durations",
            Self::Pair => "pairs of numbers",
            Self::Size => "sizes",
            Self::Resources => "lists of resources",
            Self::Whole => "whole numbers",
            Self::Decimal => "numbers",
            Self::Phone => "phone numbers",
            Self::Environment => "environments",
            Self::Json => "JSON",
            Self::Command => "commands",
            Self::NodeList => "lists of hosts",
            Self::Host => "names of hosts",
            Self::Flag => "flags",
            Self::Code => "codes in capitals",
            Self::Word => "single words",
            Self::WordNumber => "words with digits",
            Self::Words => "a few words",
            Self::Prose => "sentences",
            Self::Other => "nothing known",
        }
    }

    /// Whether a value of this look can name a person or a machine by itself.
    pub const fn identifies(self) -> bool {
        matches!(
            self,
            Self::Email
                | Self::Principal
                | Self::Slot
                | Self::Address
                | Self::Mac
                | Self::Uuid
                | Self::Url
                | Self::DistinguishedName
                | Self::Path
                | Self::Secret
                | Self::Digest
                | Self::Iban
                | Self::Card
                | Self::NationalId
                | Self::Phone
                | Self::Environment
                | Self::Json
                | Self::Command
                | Self::NodeList
                | Self::Host
                | Self::Prose
        )
    }
}
