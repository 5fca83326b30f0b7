//! Detector of secrets: values behind words such as `password`, tokens of known forms, private keys, and
//! long runs of letters and digits that nobody writes by hand. A short or plain password that nothing
//! announces looks like any word and stays.

use super::find::{Finds, Kind};
use super::words::{
    DIGIT, LOWER, Text, UPPER, Word, back, byte, byte_before, forward, mark, part, spend,
};

/// Looks for secrets.
pub(super) fn find(text: &Text<'_>, finds: &mut Finds) {
    if !finds.wants(Kind::Secret) {
        return;
    }
    announced(text, finds);
    shaped(text, finds);
    if text.marks & mark(b'-') != 0 {
        private_keys(text, finds);
    }
}

/// Words behind which a secret stands.
const WORDS: [&[u8]; 12] = [
    b"password",
    b"passwd",
    b"passphrase",
    b"passcode",
    b"secret",
    b"token",
    b"apikey",
    b"accesskey",
    b"secretkey",
    b"privatekey",
    b"credential",
    b"credentials",
];

/// Words that make a `key` a secret one.
const KEYS: [&[u8]; 6] = [b"api", b"access", b"secret", b"private", b"auth", b"encryption"];

/// Whether a key, such as `AWS_SECRET_ACCESS_KEY`, names a secret by its last words.
pub(super) fn is_secret_key(key: &[u8]) -> bool {
    let mut words =
        key.rsplit(|byte| !byte.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let Some(last) = words.next() else { return false };
    names_secret(last, words.next())
}

fn names_secret(last: &[u8], before: Option<&[u8]>) -> bool {
    let is =
        |word: &[u8], known: &[&[u8]]| known.iter().any(|known| word.eq_ignore_ascii_case(known));
    is(last, &WORDS)
        || (last.eq_ignore_ascii_case(b"key") && before.is_some_and(|before| is(before, &KEYS)))
}

/// The lengths of words that announce secrets, to pass over all others.
fn may_announce(word: &Word) -> bool {
    word.made_of & (DIGIT | 128) == 0 && (3..=11).contains(&word.len())
}

fn announced(text: &Text<'_>, finds: &mut Finds) {
    let bytes = text.bytes;
    for (at, word) in text.words.iter().enumerate() {
        if !may_announce(word) || !b"pPsStTaAcCkKbB".contains(&byte(bytes, word.start)) {
            continue;
        }
        let name = part(bytes, word.start, word.end);
        let before = at.checked_sub(1).and_then(|at| text.words.get(at));
        let before = before.filter(|before| before.end + 1 == word.start);
        if names_secret(name, before.map(|before| part(bytes, before.start, before.end))) {
            let flag = byte_before(bytes, word.start) == b'-';
            if let Some(start) = value(bytes, word.end, flag) {
                finds.add(Kind::Secret, start, value_end(bytes, start));
            }
        } else if name.eq_ignore_ascii_case(b"bearer") && byte(bytes, word.end) == b' ' {
            let start = word.end + 1;
            let end = value_end(bytes, start);
            if end - start >= 8 {
                finds.add(Kind::Secret, start, end);
            }
        }
    }
}

/// Where the value begins behind `password`: after `=` or `:`, quotes and blanks; after a blank alone for
/// the flag of a command.
fn value(bytes: &[u8], end: usize, flag: bool) -> Option<usize> {
    let quoted = forward(bytes, end, |byte| matches!(byte, b'"' | b'\''));
    let blanks = forward(bytes, quoted, |byte| byte == b' ');
    let start = match byte(bytes, blanks) {
        b'=' | b':' if byte(bytes, blanks + 1) != b'/' || byte(bytes, blanks) == b'=' => blanks + 1,
        _ if flag && blanks > end => blanks,
        _ => return None,
    };
    let start = forward(bytes, start, |byte| byte == b' ');
    let start = forward(bytes, start, |byte| matches!(byte, b'"' | b'\''));
    (start < bytes.len()).then_some(start)
}

fn value_end(bytes: &[u8], start: usize) -> usize {
    let quote = byte_before(bytes, start);
    if matches!(quote, b'"' | b'\'') {
        return forward(bytes, start, |byte| byte != quote && byte != b'\n');
    }
    forward(bytes, start, |byte| {
        !matches!(byte, 0..=b' ' | b'"' | b'\'' | b';' | b'&' | b'<' | b'>' | b'|' | b'`')
    })
}

/// Known beginnings of tokens, and how many characters follow at least.
const HEADS: [(&[u8], usize); 14] = [
    (b"AKIA", 16),
    (b"ASIA", 16),
    (b"ghp_", 36),
    (b"gho_", 36),
    (b"ghu_", 36),
    (b"ghs_", 36),
    (b"ghr_", 36),
    (b"github_pat_", 22),
    (b"glpat-", 20),
    (b"xoxb-", 10),
    (b"xoxp-", 10),
    (b"xoxa-", 10),
    (b"AIza", 35),
    (b"sk-", 20),
];

/// A hexadecimal run from here on is a digest or a key.
const HEX_MIN: usize = 32;
/// A run of mixed characters from here on may be a key.
const MIXED_MIN: usize = 32;

fn shaped(text: &Text<'_>, finds: &mut Finds) {
    let bytes = text.bytes;
    let mut taken = 0;
    for word in text.words {
        if word.start < taken {
            continue;
        }
        let first = byte(bytes, word.start);
        if first == b'e' && part(bytes, word.start, word.start + 3) == b"eyJ" {
            // A JSON Web Token: three runs of Base64 with dots.
            let end = forward(bytes, word.start, |byte| of_run(byte) || byte == b'.');
            if end - word.start >= 24 {
                finds.add(Kind::Secret, word.start, end);
                taken = end;
                continue;
            }
        }
        if matches!(first, b'A' | b'g' | b'x' | b's') {
            let rest = part(bytes, word.start, bytes.len());
            let head = HEADS.iter().find(|(head, _)| rest.starts_with(head));
            if let Some((head, more)) = head {
                let end = forward(bytes, word.start, of_run);
                if end - word.start >= head.len() + more {
                    finds.add(Kind::Secret, word.start, end);
                    taken = end;
                    continue;
                }
            }
        }
        if word.is_hex() && word.len() >= HEX_MIN && varied(part(bytes, word.start, word.end)) {
            finds.add(Kind::Secret, word.start, word.end);
            taken = word.end;
            continue;
        }
        if word.len() >= 12 && word.made_of & 128 == 0 {
            let start = back(bytes, word.start, of_run).max(taken);
            let end = forward(bytes, word.end, of_run);
            taken = end;
            if end - start >= MIXED_MIN && is_mixed(part(bytes, start, end)) {
                let end = forward(bytes, end, |byte| byte == b'=');
                finds.add(Kind::Secret, start, end);
            }
        }
    }
}

/// What Base64 for URLs is made of, and `+`. A slash is none: paths have too many.
const fn of_run(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+')
}

/// Whether a run has at least eight different characters.
fn varied(run: &[u8]) -> bool {
    let seen = run.iter().fold(0_u128, |seen, byte| seen | 1 << (byte & 127));
    seen.count_ones() >= 8
}

/// Whether a run changes between small, capital and digit as often as chance does and no hand: in more than
/// two of five places. Names in `CamelCase_v09` do in one of five.
fn is_mixed(run: &[u8]) -> bool {
    let class = |byte: &u8| match byte {
        b'0'..=b'9' => DIGIT,
        b'A'..=b'Z' => UPPER,
        b'a'..=b'z' => LOWER,
        _ => 0,
    };
    let all = run.iter().fold(0, |all, byte| all | class(byte));
    let changes = run
        .windows(2)
        .filter(|pair| matches!(pair, [one, next] if class(one) != class(next)))
        .count();
    all & (DIGIT | UPPER | LOWER) == DIGIT | UPPER | LOWER && changes * 5 > run.len() * 2
}

const BEGIN: &str = "-----BEGIN ";

/// Blocks of private keys; one without an end goes to the end of the text.
fn private_keys(text: &Text<'_>, finds: &mut Finds) {
    let mut from = 0;
    while let Some(start) = text.text.get(from..).and_then(|rest| rest.find(BEGIN)) {
        let start = from + start;
        let rest = text.text.get(start..).unwrap_or_default();
        let label = rest.get(BEGIN.len()..).and_then(|rest| rest.split_once("-----"));
        let is_key = label.is_some_and(|(label, _)| label.ends_with("PRIVATE KEY"));
        if !is_key {
            from = start + BEGIN.len();
            continue;
        }
        spend(rest.len());
        let length = rest.find("-----END ").map_or(rest.len(), |end| {
            let after = rest.get(end + 9..).unwrap_or_default();
            after.find("-----").map_or(rest.len(), |more| end + 9 + more + 5)
        });
        finds.add(Kind::Secret, start, start + length);
        from = start + length;
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::found;
    use super::*;

    #[test]
    fn what_is_announced_is_found_whatever_it_looks_like() {
        for (text, expected) in [
            ("DB_PASSWORD=hunter2 X=1", vec!["hunter2"]),
            ("password: 'a b', \"token\": \"q1\"", vec!["a b", "q1"]),
            ("run --token abc --secret=x;y", vec!["abc", "x"]),
            ("AWS_SECRET_ACCESS_KEY=wJalr KEY=plain SSH_KEY_ID=3", vec!["wJalr"]),
            ("Authorization: Bearer abcdefgh12", vec!["abcdefgh12"]),
            ("PWD=/x TOKEN_FILE=a.use a token ring; bearer of", vec![]),
        ] {
            assert_eq!(found(find, Kind::Secret, text), expected, "{text}");
        }
        assert!(is_secret_key(b"GITHUB_TOKEN") && is_secret_key(b"api-key"));
        assert!(
            !is_secret_key(b"BEARER_TOKEN_FILE") && !is_secret_key(b"KEY") && !is_secret_key(b"")
        );
    }

    #[test]
    fn tokens_of_known_forms_and_runs_of_chance_are_found() {
        let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2ln";
        let hex = "6795daa7dc0123456789abcdef6795da";
        let mixed = "Zx81kQp9LmT3vB7nR2sW5yE8uI0oA4dF";
        for (text, expected) in [
            (format!("t={jwt}, AKIAIOSFODNN7EXAMPLE"), vec![jwt, "AKIAIOSFODNN7EXAMPLE"]),
            (format!("{hex} {mixed}== /a/{mixed}/b"), vec![hex, &format!("{mixed}=="), mixed]),
            ("00000000000000000000000000000000 AKIA eyJ sk-1".to_owned(), vec![]),
            ("uboone_Production_2024_MC_overlay_NuMI_v08_00_00_55_Run4b".to_owned(), vec![]),
            ("thisIsAVeryLongCamelCaseIdentifierWithNumber12345".to_owned(), vec![]),
        ] {
            assert_eq!(found(find, Kind::Secret, &text), expected, "{text}");
        }
    }

    #[test]
    fn a_private_key_is_found_even_without_its_end() {
        let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----";
        assert_eq!(found(find, Kind::Secret, &format!("a {key} b")), [key]);
        assert_eq!(
            found(find, Kind::Secret, "x -----BEGIN PRIVATE KEY-----\nMI"),
            ["-----BEGIN PRIVATE KEY-----\nMI"]
        );
        let none = "-----BEGIN CERTIFICATE-----\nMI\n-----END CERTIFICATE-----";
        assert_eq!(found(find, Kind::Secret, none), [""; 0]);
    }
}
