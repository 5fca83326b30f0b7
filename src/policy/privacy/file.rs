//! Files of public values: one a line. Knows no columns and no data.

use std::collections::HashMap;
use std::path::Path;

use super::resolve::KEYS_MAX;

/// No list of public values that is used is larger.
const BYTES_MAX: u64 = 16 << 20;

/// The values of a file, in its order. Blank lines hold none; blanks around a value belong to it.
///
/// # Errors
/// What is wrong with it, in lower case and with the line, without a full stop. Holds no value.
pub(super) fn values(path: &Path) -> Result<Vec<String>, String> {
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "is not there".to_owned(),
        _ => format!("cannot be read: {error}"),
    };
    let about = std::fs::metadata(path).map_err(unreadable)?;
    if !about.is_file() {
        return Err("is not a file".to_owned());
    }
    if about.len() > BYTES_MAX {
        return Err(format!("is larger than {} MiB", BYTES_MAX >> 20));
    }
    parse(&std::fs::read(path).map_err(unreadable)?)
}

fn parse(bytes: &[u8]) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| format!("is not UTF-8 from byte {} on", error.valid_up_to()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines: HashMap<&str, usize> = HashMap::new();
    let mut values = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        if let Some(first) = lines.insert(line, at + 1) {
            return Err(format!("has the value of line {first} again in line {}", at + 1));
        }
        values.push(line.to_owned());
        if values.len() > KEYS_MAX {
            return Err(format!("has more than {KEYS_MAX} values"));
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_line_is_a_value_and_stands_once() {
        let values = |text: &str| parse(text.as_bytes());
        assert_eq!(values("\u{feff}a\r\n\nb c \n").unwrap(), ["a", "b c "]);
        assert_eq!(values("").unwrap(), [""; 0]);
        assert_eq!(values("a\n\nb\na\n").unwrap_err(), "has the value of line 1 again in line 4");
        assert_eq!(parse(b"a\n\xff").unwrap_err(), "is not UTF-8 from byte 2 on");
    }
}
