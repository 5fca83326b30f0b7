//! What a text looks like: an e-mail address, a path, a duration. By form alone: a text that looks
//! like a user's name does so to a reader only.

use regex::RegexSet;

use super::Look;
use crate::error::{Code, Context, Result};

/// Forms of whole values; the first that fits counts.
const WHOLE: &[(Look, &str)] = &[
    (Look::Slot, r"^slot[0-9_]+@\S+$"),
    (Look::Principal, r"^[A-Za-z_][\w.-]*(?:/[\w.-]+)?@[A-Z][A-Z0-9-]*(?:\.[A-Z0-9-]+)+$"),
    (Look::Email, r"^[^@\s/:]+@[A-Za-z0-9][A-Za-z0-9.-]*$"),
    (Look::Address, r"^[\[<]?(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?:[:/][0-9]+)?>?$"),
    (Look::Mac, r"^(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$"),
    (
        Look::Address,
        r"^\[?[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:[0-9.]*)(?:%\w+)?(?:/[0-9]+)?\]?$",
    ),
    (Look::Uuid, r"^\{?[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}\}?$"),
    (Look::Url, r"^[A-Za-z][A-Za-z0-9+.-]*://\S+$"),
    (
        Look::DistinguishedName,
        r"(?i)^(?:/(?:dc|o|ou|cn|c|l|st|uid|email\w*)=[^/]*){2,}.*$|^(?:dc|o|ou|cn|c|l|st|uid|email\w*)\s?=[^,]*(?:,\s*(?:dc|o|ou|cn|c|l|st|uid|email\w*)\s?=[^,]*)+$",
    ),
    (Look::Path, r"^(?:~[\w.-]*|\.{1,2})?(?:/[^/\s]+)+/?$|^[A-Za-z]:\\\S*$|^\\\\\S+$"),
    (
        Look::Secret,
        r"^eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_.-]+$|^(?:AKIA|ASIA)[A-Z0-9]{16}$|^gh[pousr]_[A-Za-z0-9]{20,}$|^-----BEGIN .*$",
    ),
    (
        Look::Digest,
        r"^(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{56}|[0-9a-fA-F]{64}|[0-9a-fA-F]{96}|[0-9a-fA-F]{128})$",
    ),
    (Look::Iban, r"^[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{2,4}){3,9}$"),
    (Look::Card, r"^[2-6][0-9]{3}(?:[ -]?[0-9]{2,6}){2,4}$"),
    (Look::NationalId, r"^[0-9]{3}-[0-9]{2}-[0-9]{4}$"),
    (
        Look::Time,
        r"^[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?(?: ?(?:Z|UTC|[+-][0-9]{2}:?[0-9]{2}))?$|^[A-Z][a-z]{2},? [A-Z][a-z]{2} [ 0-9]?[0-9] [0-9]{2}:[0-9]{2}:[0-9]{2}(?: [A-Z]{3,4})?(?: [0-9]{4})?$|^[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{2,4} [0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?$",
    ),
    (
        Look::Day,
        r"^[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}$|^[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{2}(?:[0-9]{2})?$|^(?:18|19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])$",
    ),
    (Look::Duration, r"^(?:[0-9]+-)?[0-9]{1,4}:[0-9]{2}(?::[0-9]{2})?(?:\.[0-9]+)?$"),
    (Look::Pair, r"^-?[0-9]{1,4}:[0-9]{1,4}$"),
    (Look::Size, r"^[0-9]+(?:\.[0-9]+)? ?(?:[KMGTPE]i?[Bb]?|[kmgt]b)[nc]?$"),
    (
        Look::Resources,
        r"^[a-z][a-z0-9_]*(?:/[A-Za-z0-9_]+)?(?::[A-Za-z0-9_.-]+)?=[0-9.]+[A-Za-z]{0,2}(?:,[a-z][a-z0-9_]*(?:/[A-Za-z0-9_]+)?(?::[A-Za-z0-9_.-]+)?=[0-9.]+[A-Za-z]{0,2})*$",
    ),
    (Look::Whole, r"^[+-]?[0-9]+$"),
    (Look::Decimal, r"^[+-]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)(?:[eE][+-]?[0-9]+)?$"),
    (
        Look::Phone,
        r"^(?:\+|00)[0-9][0-9 ()./-]{5,18}[0-9]$|^\(?[0-9]{2,5}\)?[ ./-][0-9]{2,5}[ ./-][0-9]{2,6}(?:[ ./-][0-9]{2,5})*(?: ?(?:x|ext\.?) ?[0-9]+)?$",
    ),
    (Look::Json, r"(?s)^\s*(?:\{.*\}|\[.*\])\s*$"),
    (
        Look::Environment,
        r#"(?s)^[\s"']*[A-Za-z_]\w*=.*[\s;,"'][A-Za-z_]\w*=.*$|^[A-Z_][A-Z0-9_]{2,}=.+$"#,
    ),
    (
        Look::Command,
        r"(?s)^(?:\.{0,2}/|~/)\S*\s+\S.*$|^\S.*\s-{1,2}[A-Za-z].*$|^(?:python[0-9.]*|bash|sh|srun|sbatch|mpirun|mpiexec|singularity|apptainer|docker|Rscript|matlab|java|perl|cp|mv|rm)\s+\S.*$|^-{1,2}[A-Za-z].*$",
    ),
    (
        Look::NodeList,
        r"^[A-Za-z][\w.-]*\[[0-9,-]+\][\w.-]*(?:,[A-Za-z][\w.-]*(?:\[[0-9,-]+\])?[\w.-]*)*$|^[A-Za-z][\w.-]*[0-9][\w.-]*(?:/[0-9*-]+)?(?:[,+][A-Za-z][\w.-]*[0-9\]][\w.\[,-]*(?:\[[0-9,-]+\])?(?:/[0-9*-]+)?)+$|^[A-Za-z][\w.-]*/[0-9]+(?:[*-][0-9]+)?$",
    ),
    (
        Look::Host,
        r"^[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)+\.[A-Za-z]{2,}$",
    ),
    (Look::Flag, r"(?i)^(?:true|false|yes|no|y|n|t|f|on|off)$"),
    (Look::Code, r"^[A-Z][A-Z_]{1,30}$"),
    (Look::Word, r"^\p{L}[\p{L}\p{M}'_-]*$"),
    (Look::WordNumber, r"^[\p{L}_][\p{L}\p{M}\p{N}'._-]*$"),
];

/// What may stand somewhere in a value.
const INSIDE: &[(Look, &str)] = &[
    (Look::Email, r"[^\s@]@[^\s@]"),
    (Look::Address, r"(?:^|[^0-9.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?:$|[^0-9.])"),
    (Look::Address, r"(?i)(?:^|[^0-9a-z:])[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){3,7}(?:$|[^0-9a-z:])"),
    (Look::Url, r"[A-Za-z][A-Za-z0-9+.-]*://"),
    (Look::Path, r#"(?:^|[\s=:"'(,;\[<])(?:/[^/\s]+){2,}|(?:^|[\s=:"'(,;])~/?\w"#),
    (Look::DistinguishedName, r"(?i)(?:^|[/,\s])cn\s?="),
    (Look::Uuid, r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"),
    (
        Look::Secret,
        r"eyJ[A-Za-z0-9_-]{8,}\.|-----BEGIN |(?i:password|passwd|secret|token|apikey|api_key)\s?[=:]",
    ),
    (Look::NationalId, r"(?:^|[^0-9-])[0-9]{3}-[0-9]{2}-[0-9]{4}(?:$|[^0-9-])"),
    (Look::Phone, r"(?:^|[^\w.+-])\+[0-9][0-9 ()./-]{6,18}[0-9]"),
    (Look::Digest, r"(?:^|[^0-9a-zA-Z])(?:[0-9a-f]{40}|[0-9a-f]{64})(?:$|[^0-9a-zA-Z])"),
];

/// Texts longer than this are looked at up to here.
const BYTES_MAX: usize = 4096;

/// Tells what texts look like.
#[derive(Debug)]
pub(super) struct Looks {
    whole: RegexSet,
    inside: RegexSet,
}

impl Looks {
    /// Compiles the forms.
    pub(super) fn new() -> Result<Self> {
        let set = |forms: &[(Look, &str)]| {
            RegexSet::new(forms.iter().map(|(_, form)| form))
                .context(Code::Internal, || "compile the forms of values".to_owned())
        };
        Ok(Self { whole: set(WHOLE)?, inside: set(INSIDE)? })
    }

    /// The most telling look of a whole text that is not blank.
    pub(super) fn whole(&self, text: &str) -> Look {
        let text = cut(text.trim());
        let forms = self.whole.matches(text);
        let fits = forms.iter().filter_map(|at| WHOLE.get(at)).map(|(look, _)| *look);
        let checked = fits.into_iter().find(|look| match look {
            Look::Address => is_address(text),
            Look::Card => is_card(text),
            Look::Iban => is_iban(text),
            Look::Phone => (7..=15).contains(&digits(text)),
            _ => true,
        });
        match checked {
            None => otherwise(text),
            Some(Look::NodeList | Look::Word | Look::WordNumber) if looks_random(text) => {
                Look::Secret
            }
            Some(look) => look,
        }
    }

    /// What stands somewhere in a text.
    pub(super) fn inside(&self, text: &str) -> impl Iterator<Item = Look> {
        let found = self.inside.matches(cut(text));
        let mut looks: Vec<Look> =
            found.iter().filter_map(|at| INSIDE.get(at)).map(|(look, _)| *look).collect();
        looks.dedup();
        looks.into_iter()
    }
}

/// What no form fits.
fn otherwise(text: &str) -> Look {
    let words =
        text.split_whitespace().filter(|word| word.chars().any(char::is_alphabetic)).count();
    if text.contains('\n') || words >= 6 {
        Look::Prose
    } else if looks_random(text) {
        Look::Secret
    } else if words >= 2 {
        Look::Words
    } else {
        Look::Other
    }
}

/// A long run of letters and digits in both cases, as keys in Base64 are.
fn looks_random(text: &str) -> bool {
    text.len() >= 32
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+/=_-".contains(c))
        && text.chars().any(|c| c.is_ascii_digit())
        && text.chars().any(|c| c.is_ascii_uppercase())
        && text.chars().any(|c| c.is_ascii_lowercase())
}

/// Words that stand for nothing.
pub(super) fn is_blank(text: &str) -> bool {
    const WORDS: [&str; 14] = [
        "",
        "-",
        "?",
        "*",
        "null",
        "none",
        "nan",
        "na",
        "n/a",
        "unknown",
        "undefined",
        "invalid",
        "(null)",
        "not set",
    ];
    let text = text.trim();
    text.len() <= 9 && WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

fn cut(text: &str) -> &str {
    let end = (0..=text.len().min(BYTES_MAX)).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

fn digits(text: &str) -> usize {
    text.chars().filter(char::is_ascii_digit).count()
}

fn is_address(text: &str) -> bool {
    let bare = text.trim_matches(['[', ']', '<', '>']);
    let bare = bare.split(['/', '%']).next().unwrap_or_default();
    let v4 = bare.split(':').next().unwrap_or_default();
    let octets = |text: &str| {
        let parts: Vec<&str> = text.split('.').collect();
        parts.len() == 4 && parts.iter().all(|part| part.len() <= 3 && part.parse::<u8>().is_ok())
    };
    octets(v4) || bare.parse::<std::net::Ipv6Addr>().is_ok()
}

/// 13 to 19 digits whose Luhn sum is right.
pub(super) fn is_card(text: &str) -> bool {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match at % 2 {
            0 => *digit,
            _ => digit * 2 - if *digit > 4 { 9 } else { 0 },
        })
        .sum();
    (13..=19).contains(&digits.len()) && sum.is_multiple_of(10) && sum > 0
}

/// The check digits of ISO 13616.
fn is_iban(text: &str) -> bool {
    let plain: String = text.chars().filter(|c| *c != ' ').collect();
    let Some((head, tail)) = plain.split_at_checked(4) else { return false };
    let rest = tail.chars().chain(head.chars()).try_fold(0_u32, |rest, c| {
        let value = c.to_digit(36)?;
        Some(if value > 9 { rest * 100 + value } else { rest * 10 + value } % 97)
    });
    (15..=34).contains(&plain.len()) && rest == Some(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_look_like_what_they_are() {
        let looks = Looks::new().unwrap();
        let table = [
            ("ada@example.org", Look::Email),
            ("alice@node1", Look::Email),
            ("ada@EXAMPLE.ORG", Look::Principal),
            ("host/n1.example.org@EXAMPLE.ORG", Look::Principal),
            ("slot1_2@n1.example.org", Look::Slot),
            ("131.225.10.7", Look::Address),
            ("131.225.10.7:9618", Look::Address),
            ("2001:db8::1", Look::Address),
            ("300.1.1.1", Look::Other),
            ("00:1b:63:84:45:e6", Look::Mac),
            ("7d444840-9dc0-11d1-b245-5ffdce74fad2", Look::Uuid),
            ("https://example.org/~ada", Look::Url),
            ("/DC=org/DC=cilogon/CN=Ada Byron UID:ada", Look::DistinguishedName),
            ("CN=Ada Byron, O=Example", Look::DistinguishedName),
            ("/home/ada/run.sh", Look::Path),
            ("/home/ada/run.sh --fast", Look::Command),
            ("python train.py", Look::Command),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.sig", Look::Secret),
            ("qX3+f9Lk2mVb8Zt1Rw7Yp0Hs5Dg4Jc6N", Look::Secret),
            ("2e2286be72fb6b55707844ad4eb572c18c5ac25be9e0f93d3cf50b88806addbb", Look::Digest),
            ("DE89 3704 0044 0532 0130 00", Look::Iban),
            ("DE88 3704 0044 0532 0130 00", Look::Other),
            ("4111 1111 1111 1111", Look::Card),
            ("4111111111111111", Look::Card),
            ("4111111111111112", Look::Whole),
            ("078-05-1120", Look::NationalId),
            ("2016-12-21T21:43:34", Look::Time),
            ("Mon Jan 15 08:00:00 2024", Look::Time),
            ("1915-11-11", Look::Day),
            ("19151111", Look::Day),
            ("7-20:39:39", Look::Duration),
            ("02:14:22", Look::Duration),
            ("0:0", Look::Pair),
            ("48000Mn", Look::Size),
            ("65536K", Look::Size),
            ("cpu=12,mem=48000M,node=1,gres/gpu:v100=2", Look::Resources),
            ("17", Look::Whole),
            ("17.25", Look::Decimal),
            ("+41 22 767 61 11", Look::Phone),
            ("(202) 224-3121", Look::Phone),
            ("202-224-3121", Look::Phone),
            ("17-000003", Look::Other),
            ("{\"a\": 1}", Look::Json),
            ("HOME=/home/ada TOKEN=abc", Look::Environment),
            ("cpn-f13-03-[01-02],cpn-f13-04-[01-02]", Look::NodeList),
            ("node101/0-31+node102/0-31", Look::NodeList),
            ("gpu-node01.cluster.example.edu", Look::Host),
            ("YES", Look::Flag),
            ("COMPLETED", Look::Code),
            ("physics", Look::Word),
            ("gpu001", Look::WordNumber),
            ("Cedar Riverside", Look::Words),
            ("the quick brown fox jumps over it", Look::Prose),
        ];
        let wrong = table.into_iter().filter(|(text, look)| looks.whole(text) != *look);
        let wrong: Vec<_> = wrong.map(|(text, look)| (text, look, looks.whole(text))).collect();
        assert_eq!(wrong, [], "text, what it should be, what it is said to be");
    }

    #[test]
    fn what_stands_inside_is_found() {
        let looks = Looks::new().unwrap();
        for (text, look) in [
            ("mail ada@example.org now", Look::Email),
            ("<131.225.1.1:9618?x=1>", Look::Address),
            ("from fe80:0:0:0:1::2 on", Look::Address),
            ("see https://example.org", Look::Url),
            ("HOME=/home/ada", Look::Path),
            ("password=x", Look::Secret),
        ] {
            assert!(looks.inside(text).any(|found| found == look), "{text}");
        }
        for text in ["COMPLETED", "7-20:39:39", "48000Mn", "cpu=12,mem=48000M,gres/gpu=2", "1.2.3"]
        {
            assert_eq!(looks.inside(text).next(), None, "{text}");
        }
    }
}
