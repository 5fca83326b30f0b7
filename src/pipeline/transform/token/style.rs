//! How numbers of a token map are written, and read back: prefix, digits filled up to a width, or
//! letters. Knows no value and no state.

use super::super::normalize::Normalization;
use crate::policy::args::Args;

/// The way a policy writes the tokens of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenStyle {
    prefix: String,
    letters: bool,
    width: usize,
    normalization: Normalization,
}

/// No number is higher, so that every one fits the state and has at most 18 digits.
const NUMBER_MAX: u64 = 999_999_999_999_999_999;

impl TokenStyle {
    /// As the parameters of `pseudonym: token` say.
    pub fn new(args: &Args) -> Self {
        Self {
            prefix: args.text("prefix").unwrap_or("ID_").to_owned(),
            letters: super::is_letters(args),
            width: args.integer("width").and_then(|width| usize::try_from(width).ok()).unwrap_or(1),
            normalization: Normalization::new(args),
        }
    }

    /// Text before each number.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The value that a token stands for, evened out as the policy says.
    pub fn normalized(&self, value: &str) -> String {
        let mut scratch = String::new();
        let bytes = self.normalization.apply(value.as_bytes(), &mut scratch);
        String::from_utf8_lossy(bytes).into_owned()
    }

    /// A token.
    pub fn text(&self, number: u64) -> String {
        let mut out = Vec::new();
        self.write(number, &mut out);
        // The prefix is text, what follows is ASCII.
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Writes from the last character on, then turns it round. Letters count without a zero (after Z
    /// comes AA), so that number 0, the stand-in of null, is a zero in both styles.
    pub(super) fn write(&self, number: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(self.prefix.as_bytes());
        let start = out.len();
        let mut rest = number;
        if self.letters && number > 0 {
            while rest > 0 {
                rest -= 1;
                out.push(b'A' + u8::try_from(rest % 26).unwrap_or(0));
                rest /= 26;
            }
        } else {
            while rest > 0 || out.len() - start < self.width {
                out.push(b'0' + u8::try_from(rest % 10).unwrap_or(0));
                rest /= 10;
            }
        }
        if let Some(written) = out.get_mut(start..) {
            written.reverse();
        }
    }

    /// The number of a token.
    ///
    /// INVARIANT: only a text that [`Self::text`] writes has one, so that no two texts name one number.
    ///
    /// # Errors
    /// Why it is no token of this style, as the rest of a sentence that begins with it.
    pub fn number(&self, token: &str) -> Result<u64, String> {
        let rest = token
            .strip_prefix(&self.prefix)
            .ok_or_else(|| format!("does not begin with `{}`", self.prefix))?;
        let number = if self.letters && rest != "0" {
            letters(rest)?
        } else {
            let digits = !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
            let number = rest.parse::<u64>().ok().filter(|number| *number <= NUMBER_MAX);
            match number {
                _ if !digits => {
                    return Err(format!("has no number after `{}`", self.prefix));
                }
                Some(number) => number,
                None => return Err("has a number with more than 18 digits".to_owned()),
            }
        };
        match self.text(number) {
            same if same == token => Ok(number),
            other => Err(format!("is written `{other}` by the policy")),
        }
    }
}

/// The number of a group of letters.
fn letters(text: &str) -> Result<u64, String> {
    if text.is_empty() {
        return Err("has no letters".to_owned());
    }
    // The old script left the alphabet after `ZZ`: `[A` where `AAA` should stand.
    if text.bytes().any(|byte| matches!(byte, b'['..=b'`')) {
        return Err(
            "has a character that comes after Z: the old script wrote such tokens from the 703rd \
                    group on, where `AAA` should stand; write the right letters into the file"
                .to_owned(),
        );
    }
    text.bytes()
        .try_fold(0_u64, |number, byte| {
            let letter = byte.is_ascii_uppercase().then(|| u64::from(byte - b'A') + 1)?;
            number.checked_mul(26)?.checked_add(letter).filter(|number| *number <= NUMBER_MAX)
        })
        .ok_or_else(|| "is not written in letters A to Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::TokenPseudonym;
    use super::*;
    use crate::pipeline::transform::testing::{args, word};
    use crate::policy::args::Value;

    fn numbers(prefix: &str, width: i64) -> TokenStyle {
        let set = [("prefix", word(prefix)), ("width", Value::Integer(width))];
        TokenStyle::new(&args(&TokenPseudonym, &set))
    }

    fn groups() -> TokenStyle {
        let set = [("prefix", word("group_")), ("style", word("letters"))];
        TokenStyle::new(&args(&TokenPseudonym, &set))
    }

    #[test]
    fn what_is_written_reads_back_in_both_styles() {
        let users = numbers("user_", 4);
        for number in [0, 1, 42, 9_999, 10_000, 123_456, NUMBER_MAX] {
            assert_eq!(users.number(&users.text(number)), Ok(number));
        }
        for number in (0..20_000).chain([NUMBER_MAX]) {
            assert_eq!(groups().number(&groups().text(number)), Ok(number));
        }
        assert_eq!(groups().number("group_AAA"), Ok(703));
        assert_eq!(numbers("", 1).number("5"), Ok(5));
    }

    #[test]
    fn what_is_written_otherwise_is_refused_with_a_reason() {
        let users = numbers("user_", 4);
        let cases = [
            ("usr_0001", "does not begin with `user_`"),
            ("user_", "has no number after `user_`"),
            ("user_+001", "has no number after `user_`"),
            ("user_1", "is written `user_0001` by the policy"),
            ("user_00001", "is written `user_0001` by the policy"),
            ("user_9999999999999999999", "has a number with more than 18 digits"),
        ];
        for (token, why) in cases {
            assert_eq!(users.number(token).unwrap_err(), why, "{token}");
        }
        for (token, why) in [
            ("group_", "has no letters"),
            ("group_aa", "is not written in letters A to Z"),
            ("group_A1", "is not written in letters A to Z"),
            ("group_ZZZZZZZZZZZZZZZZ", "is not written in letters A to Z"),
        ] {
            assert_eq!(groups().number(token).unwrap_err(), why, "{token}");
        }
    }

    #[test]
    fn the_703rd_group_of_the_old_script_is_refused_with_a_sentence() {
        let why = groups().number("group_[A").unwrap_err();
        assert!(why.starts_with("has a character that comes after Z: the old script"), "{why}");
        assert!(why.contains("`AAA`"), "{why}");
    }
}
