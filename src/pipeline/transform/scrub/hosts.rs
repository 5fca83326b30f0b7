//! Detectors of URLs and of names of hosts with their domain. A host's name without a domain looks like
//! any word: only the dictionary finds it.

use super::find::{Finds, Kind};
use super::words::{Text, back, byte_before, forward, mark, part};

/// Looks for both.
pub(super) fn find(text: &Text<'_>, finds: &mut Finds) {
    if finds.wants(Kind::Url) && text.marks & mark(b':') != 0 {
        urls(text, finds);
    }
    if finds.wants(Kind::Host) && text.marks & mark(b'.') != 0 {
        hosts(text, finds);
    }
}

fn urls(text: &Text<'_>, finds: &mut Finds) {
    let bytes = text.bytes;
    let mut from = 0;
    while let Some(colon) = text.text.get(from..).and_then(|rest| rest.find("://")) {
        let colon = from + colon;
        let of_scheme =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'.' | b'-');
        let start = back(part(bytes, 0, colon), colon, of_scheme).max(from);
        let start = forward(bytes, start, |byte| !byte.is_ascii_alphabetic()).min(colon);
        let mut end = forward(bytes, colon + 3, of_url);
        from = end.max(colon + 3);
        while end > colon + 3
            && matches!(
                byte_before(bytes, end),
                b'.' | b',' | b';' | b':' | b'!' | b'?' | b')' | b']'
            )
        {
            end -= 1;
        }
        if start < colon && end > colon + 3 {
            finds.add(Kind::Url, start, end);
        }
    }
}

const fn of_url(byte: u8) -> bool {
    !matches!(
        byte,
        0..=b' ' | b'"' | b'\'' | b'<' | b'>' | b'`' | b'|' | b'\\' | b'^' | b'{' | b'}' | 0x7f
    )
}

const fn of_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

fn hosts(text: &Text<'_>, finds: &mut Finds) {
    let bytes = text.bytes;
    let mut from = 0;
    while let Some(dot) = text.text.get(from..).and_then(|rest| rest.find('.')) {
        let dot = from + dot;
        let start = back(part(bytes, 0, dot), dot, of_host).max(from);
        let end = forward(bytes, dot, of_host);
        from = end.max(dot + 1);
        in_run(bytes, start, end, finds);
    }
}

/// The hosts in a run of letters, digits, dots, hyphens and underscores: each the most labels that end in a
/// top-level domain. Behind one may stand more (`node.example.org.log`), if it has three labels.
fn in_run(bytes: &[u8], start: usize, end: usize, finds: &mut Finds) {
    let mut at = start;
    let mut host = Host::default();
    for label in part(bytes, start, end).split(|byte| *byte == b'.') {
        let from = at;
        at += label.len() + 1;
        let good = !label.is_empty() && label.len() <= 63 && label.last() != Some(&b'-');
        if !good {
            host.take(finds);
            continue;
        }
        host.add(label, from);
    }
    host.take(finds);
}

/// A host while its labels are read.
#[derive(Default)]
struct Host<'a> {
    start: usize,
    labels: usize,
    last: &'a [u8],
    /// Where it ends if nothing more comes, and if more does.
    whole: Option<usize>,
    sure: Option<usize>,
}

impl<'a> Host<'a> {
    fn add(&mut self, label: &'a [u8], from: usize) {
        if self.labels == 0 {
            let skipped = label.iter().take_while(|byte| matches!(byte, b'-' | b'_')).count();
            self.start = from + skipped;
        }
        self.labels += 1;
        let top = self.labels >= 2 && is_top(label, self.last, self.labels);
        self.whole = top.then_some(from + label.len());
        // `node.example.org_17`: what the underscore begins is no part of the domain.
        let cut = label.iter().position(|byte| *byte == b'_').map(|at| part(label, 0, at));
        let cut = cut.filter(|cut| self.labels >= 3 && is_top(cut, self.last, self.labels));
        if let Some(end) = cut.map(<[u8]>::len).or(top.then_some(label.len()))
            && self.labels >= 3
        {
            self.sure = Some(from + end);
        }
        self.last = label;
    }

    /// Adds what there is, and begins anew.
    fn take(&mut self, finds: &mut Finds) {
        if let Some(end) = self.whole.or(self.sure) {
            finds.add(Kind::Host, self.start, end);
        }
        *self = Self::default();
    }
}

/// Whether a label is a top-level domain behind the one before it. Where it is the ending of a kind of
/// file too, only a domain such as `edu.pl` counts, and a whole URL or address.
fn is_top(top: &[u8], second: &[u8], labels: usize) -> bool {
    if !may_be_top(top) {
        return false;
    }
    let packed = pack(top);
    if PACKED_FILES.contains(&packed) {
        let under = [&b"edu"[..], b"ac", b"com", b"gov", b"org", b"net", b"co"];
        return labels >= 3 && under.iter().any(|known| known.eq_ignore_ascii_case(second));
    }
    PACKED_TOPS.binary_search(&packed).is_ok()
}

/// A label of up to sixteen bytes in small letters as one number, so that numbers are ordered as labels.
const fn pack(label: &[u8]) -> u128 {
    let (mut packed, mut left, mut rest) = (0, 16, label);
    while let [first, more @ ..] = rest {
        packed = packed << 8 | first.to_ascii_lowercase() as u128;
        rest = more;
        left -= 1;
    }
    packed << (8 * left)
}

#[expect(clippy::indexing_slicing, reason = "a table is filled when this is compiled")]
const fn pack_all<const N: usize>(labels: &[&str]) -> [u128; N] {
    let mut packed = [0; N];
    let mut at = 0;
    while at < N {
        packed[at] = pack(labels[at].as_bytes());
        at += 1;
    }
    packed
}

static PACKED_TOPS: [u128; TOPS.len()] = pack_all(TOPS);
static PACKED_FILES: [u128; FILES.len()] = pack_all(&FILES);

/// Whether there is a top-level domain of this length that begins so: nearly all endings of files are told
/// apart by it alone.
fn may_be_top(label: &[u8]) -> bool {
    let Some(first) = label.first().map(u8::to_ascii_lowercase) else { return false };
    let letter = usize::from(first.wrapping_sub(b'a'));
    let lengths = TOP_LENGTHS.get(letter).copied().unwrap_or(0);
    label.len() < 16 && lengths >> label.len() & 1 != 0
}

/// For each first letter the lengths of the top-level domains and endings of files, a bit each.
#[expect(clippy::indexing_slicing, reason = "a table is filled when this is compiled")]
const TOP_LENGTHS: [u16; 26] = {
    let mut lengths = [0; 26];
    let mut at = 0;
    while at < TOPS.len() {
        let top = TOPS[at].as_bytes();
        lengths[(top[0] - b'a') as usize] |= 1 << top.len();
        at += 1;
    }
    at = 0;
    while at < FILES.len() {
        let top = FILES[at].as_bytes();
        lengths[(top[0] - b'a') as usize] |= 1 << top.len();
        at += 1;
    }
    lengths
};

/// Countries whose domain is the ending of a kind of file.
const FILES: [&str; 13] =
    ["cc", "gz", "in", "la", "md", "mk", "pl", "ps", "py", "rs", "sc", "sh", "so"];

/// Countries, the old generic domains, some new ones, and those of inner networks. In order.
const TOPS: &[&str] = &[
    "ac",
    "academy",
    "ad",
    "ae",
    "aero",
    "af",
    "ag",
    "agency",
    "ai",
    "al",
    "am",
    "ao",
    "app",
    "aq",
    "ar",
    "arpa",
    "as",
    "asia",
    "at",
    "au",
    "aw",
    "ax",
    "az",
    "ba",
    "bb",
    "bd",
    "be",
    "berlin",
    "bf",
    "bg",
    "bh",
    "bi",
    "biz",
    "bj",
    "blog",
    "bm",
    "bn",
    "bo",
    "br",
    "bs",
    "bt",
    "bw",
    "by",
    "bz",
    "ca",
    "cat",
    "cd",
    "center",
    "cf",
    "cg",
    "ch",
    "ci",
    "ck",
    "cl",
    "cloud",
    "club",
    "cm",
    "cn",
    "co",
    "com",
    "company",
    "coop",
    "corp",
    "cr",
    "cu",
    "cv",
    "cw",
    "cx",
    "cy",
    "cz",
    "de",
    "dev",
    "digital",
    "dj",
    "dk",
    "dm",
    "do",
    "dz",
    "earth",
    "ec",
    "edu",
    "education",
    "ee",
    "eg",
    "email",
    "er",
    "es",
    "et",
    "eu",
    "example",
    "fi",
    "fj",
    "fk",
    "fm",
    "fo",
    "foundation",
    "fr",
    "ga",
    "gb",
    "gd",
    "ge",
    "gf",
    "gg",
    "gh",
    "gi",
    "gl",
    "global",
    "gm",
    "gn",
    "gov",
    "gp",
    "gq",
    "gr",
    "group",
    "gs",
    "gt",
    "gu",
    "gw",
    "gy",
    "hk",
    "hm",
    "hn",
    "home",
    "host",
    "hr",
    "ht",
    "hu",
    "id",
    "ie",
    "il",
    "im",
    "info",
    "ink",
    "institute",
    "int",
    "internal",
    "international",
    "invalid",
    "io",
    "iq",
    "ir",
    "is",
    "it",
    "je",
    "jm",
    "jo",
    "jobs",
    "jp",
    "ke",
    "kg",
    "kh",
    "ki",
    "km",
    "kn",
    "kp",
    "kr",
    "kw",
    "ky",
    "kz",
    "lan",
    "lb",
    "lc",
    "li",
    "life",
    "live",
    "lk",
    "local",
    "localdomain",
    "localhost",
    "london",
    "lr",
    "ls",
    "lt",
    "lu",
    "lv",
    "ly",
    "ma",
    "mc",
    "me",
    "media",
    "mg",
    "mh",
    "mil",
    "ml",
    "mm",
    "mn",
    "mo",
    "mobi",
    "mp",
    "mq",
    "mr",
    "ms",
    "mt",
    "mu",
    "museum",
    "mv",
    "mw",
    "mx",
    "my",
    "mz",
    "na",
    "name",
    "nc",
    "ne",
    "net",
    "network",
    "nf",
    "ng",
    "ni",
    "nl",
    "no",
    "np",
    "nr",
    "nu",
    "nz",
    "om",
    "one",
    "onion",
    "online",
    "org",
    "pa",
    "paris",
    "pe",
    "pf",
    "pg",
    "ph",
    "pk",
    "pm",
    "pn",
    "post",
    "pr",
    "pro",
    "pt",
    "pw",
    "pwr",
    "qa",
    "re",
    "ro",
    "ru",
    "rw",
    "sa",
    "sb",
    "school",
    "science",
    "sd",
    "se",
    "services",
    "sg",
    "si",
    "site",
    "sk",
    "sl",
    "sm",
    "sn",
    "solutions",
    "space",
    "sr",
    "ss",
    "st",
    "store",
    "su",
    "support",
    "sv",
    "swiss",
    "sx",
    "sy",
    "systems",
    "sz",
    "tc",
    "td",
    "tech",
    "technology",
    "tel",
    "test",
    "tf",
    "tg",
    "th",
    "tj",
    "tk",
    "tl",
    "tm",
    "tn",
    "to",
    "today",
    "tools",
    "top",
    "tr",
    "travel",
    "tt",
    "tv",
    "tw",
    "tz",
    "ua",
    "ug",
    "uk",
    "us",
    "uy",
    "uz",
    "va",
    "vc",
    "ve",
    "vg",
    "vi",
    "vn",
    "vu",
    "wang",
    "wf",
    "wiki",
    "work",
    "world",
    "ws",
    "xyz",
    "ye",
    "yt",
    "za",
    "zm",
    "zw",
];

#[cfg(test)]
mod tests {
    use super::super::testing::found;
    use super::*;

    #[test]
    fn the_list_is_in_order() {
        assert!(TOPS.is_sorted());
        assert!(FILES.iter().all(|file| !TOPS.contains(file)));
        assert!(PACKED_TOPS.is_sorted());
        assert!(TOPS.iter().all(|top| is_top(top.to_uppercase().as_bytes(), b"x", 2)));
        for label in ["", "log", "comm", "c", "1a", "international1", "abcdefghijklmnopq"] {
            assert!(!is_top(label.as_bytes(), b"x", 3), "{label}");
        }
    }

    #[test]
    fn names_with_a_domain_are_found_and_files_are_not() {
        for (text, expected) in [
            ("on fnpc17.fnal.gov:9618 or www.CERN.ch.", vec!["fnpc17.fnal.gov", "www.CERN.ch"]),
            ("--host=x.cyf-kr.edu.pl", vec!["x.cyf-kr.edu.pl"]),
            (
                "job_1.node-7.example.org_17 c.d.org.log",
                vec!["job_1.node-7.example.org", "c.d.org"],
            ),
            ("run.sh a.fcl setup.py libm.so.6 x.tar.gz v1.2.3 a..de e.g. main.rs o.txt", vec![]),
            (". .. .org org. 3.14", vec![]),
        ] {
            assert_eq!(found(find, Kind::Host, text), expected, "{text}");
        }
    }

    #[test]
    fn a_url_ends_where_blanks_quotes_and_punctuation_begin() {
        for (text, expected) in [
            ("see <https://u:p@x.org/~ada?t=1>, then", vec!["https://u:p@x.org/~ada?t=1"]),
            (
                "root://fndca1.fnal.gov:1094//pnfs/usr/ada.",
                vec!["root://fndca1.fnal.gov:1094//pnfs/usr/ada"],
            ),
            ("(http://a.de/) 1http://b.de: x", vec!["http://a.de/", "http://b.de"]),
            ("://x a:// \"s3://b/k\"", vec!["s3://b/k"]),
        ] {
            assert_eq!(found(find, Kind::Url, text), expected, "{text}");
        }
    }
}
