//! JSON, rewritten value by value: blanks, order and numbers stay as they are, and so does every string in
//! which nothing is found. Keeps no tree; nesting is bounded.

use super::engine::Engine;
use super::keys::{Keys, Treatment};
use super::secrets::is_secret_key;

/// How deep values may be nested.
const DEPTH_MAX: usize = 64;

/// Writes the text with its values scrubbed; `None` where it is no JSON, and then what was written means
/// nothing.
pub(super) fn rewrite(
    engine: &mut Engine,
    keys: &Keys,
    text: &str,
    out: &mut Vec<u8>,
) -> Option<()> {
    let mut walk = Walk { engine, keys, text, at: 0, out };
    walk.blanks();
    walk.value(Treatment::Scrub, true, DEPTH_MAX)?;
    walk.blanks();
    (walk.at == text.len()).then_some(())
}

struct Walk<'a> {
    engine: &'a mut Engine,
    keys: &'a Keys,
    text: &'a str,
    at: usize,
    out: &'a mut Vec<u8>,
}

impl Walk<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Copies what stands between values.
    fn blanks(&mut self) {
        while let Some(byte @ (b' ' | b'\t' | b'\n' | b'\r')) = self.peek() {
            self.out.push(byte);
            self.at += 1;
        }
    }

    fn copy(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| {
            self.out.push(byte);
            self.at += 1;
        })
    }

    /// One value. `outermost` as long as no object is around it that was admitted.
    fn value(&mut self, treatment: Treatment, outermost: bool, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match self.peek()? {
            b'{' => self.object(treatment, outermost, depth),
            b'[' => self.array(treatment, outermost, depth),
            b'"' => {
                let (raw, text) = self.string()?;
                self.string_out(raw, &text, treatment);
                Some(())
            }
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.number(treatment),
        }
    }

    fn object(&mut self, treatment: Treatment, outermost: bool, depth: usize) -> Option<()> {
        self.copy(b'{')?;
        let mut any = false;
        let mut first = true;
        loop {
            let mark = self.out.len();
            if any {
                self.out.push(b',');
            }
            self.blanks();
            if first && self.peek()? == b'}' {
                return self.copy(b'}');
            }
            first = false;
            let (raw, key) = self.string()?;
            self.string_out(raw, &key, Treatment::Scrub);
            self.blanks();
            self.copy(b':')?;
            self.blanks();
            let leaves = (!outermost || self.keys.admits(&key)) && !self.keys.drops(&key);
            let inner = match treatment {
                Treatment::Scrub if self.keys.keeps(&key) && leaves => Treatment::Keep,
                Treatment::Scrub if is_secret_key(key.as_bytes()) => Treatment::Secret,
                other => other,
            };
            self.value(inner, false, depth)?;
            self.blanks();
            if leaves {
                any = true;
            } else {
                self.out.truncate(mark);
            }
            match self.peek()? {
                b',' => self.at += 1,
                _ => return self.copy(b'}'),
            }
        }
    }

    fn array(&mut self, treatment: Treatment, outermost: bool, depth: usize) -> Option<()> {
        self.copy(b'[')?;
        self.blanks();
        if self.peek()? == b']' {
            return self.copy(b']');
        }
        loop {
            self.value(treatment, outermost, depth)?;
            self.blanks();
            if self.copy(b',').is_none() {
                return self.copy(b']');
            }
            self.blanks();
        }
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let rest = self.text.get(self.at..)?;
        rest.starts_with(word).then(|| {
            self.out.extend_from_slice(word.as_bytes());
            self.at += word.len();
        })
    }

    /// A number is scrubbed as its text: a user may be one. What changes becomes a string.
    fn number(&mut self, treatment: Treatment) -> Option<()> {
        let rest = self.text.get(self.at..)?;
        let of_number =
            |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
        let length = rest.bytes().take_while(|byte| of_number(byte)).count();
        let number = rest.get(..length)?;
        number.parse::<f64>().ok()?;
        self.at += length;
        let mut scrubbed = Vec::new();
        self.engine.scrub(number, treatment, &mut scrubbed);
        if scrubbed == number.as_bytes() {
            self.out.extend_from_slice(&scrubbed);
        } else {
            escape(&String::from_utf8_lossy(&scrubbed), self.out);
        }
        Some(())
    }

    /// Reads a string: as it is written, and what it says.
    fn string(&mut self) -> Option<(std::ops::Range<usize>, String)> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        if self.peek()? != b'"' {
            return None;
        }
        let mut said = String::new();
        let mut at = start + 1;
        loop {
            let plain =
                bytes.get(at..)?.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=31))?;
            said.push_str(self.text.get(at..at + plain)?);
            at += plain;
            match bytes.get(at)? {
                b'"' => break,
                b'\\' => {
                    let (character, length) = escaped(self.text.get(at..)?)?;
                    said.push(character);
                    at += length;
                }
                _ => return None,
            }
        }
        self.at = at + 1;
        Some((start..self.at, said))
    }

    fn string_out(&mut self, raw: std::ops::Range<usize>, said: &str, treatment: Treatment) {
        let mut scrubbed = Vec::new();
        self.engine.scrub(said, treatment, &mut scrubbed);
        if scrubbed == said.as_bytes() {
            self.out.extend_from_slice(self.text.get(raw).unwrap_or_default().as_bytes());
        } else {
            escape(&String::from_utf8_lossy(&scrubbed), self.out);
        }
    }
}

/// The character that an escape stands for, and how long the escape is.
fn escaped(text: &str) -> Option<(char, usize)> {
    let unit = |text: &str| {
        let digits = text.strip_prefix("\\u")?.get(..4)?;
        let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if plain { u32::from_str_radix(digits, 16).ok() } else { None }
    };
    Some(match text.as_bytes().get(1)? {
        b'n' => ('\n', 2),
        b't' => ('\t', 2),
        b'r' => ('\r', 2),
        b'b' => ('\u{8}', 2),
        b'f' => ('\u{c}', 2),
        same @ (b'"' | b'\\' | b'/') => (char::from(*same), 2),
        b'u' => match unit(text)? {
            high @ 0xd800..=0xdbff => {
                let low = unit(text.get(6..)?)?;
                if !(0xdc00..=0xdfff).contains(&low) {
                    return None;
                }
                (char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))?, 12)
            }
            one => (char::from_u32(one)?, 6),
        },
        _ => return None,
    })
}

/// Writes a string with quotes and the escapes that must be.
fn escape(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for character in text.chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\r' => out.extend_from_slice(b"\\r"),
            control if u32::from(control) < 32 => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(control)).as_bytes());
            }
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}
