//! Texts as YAML writes them, so that the loader reads back what was meant, and a reviewer sees it.

/// A key of a map.
pub(super) fn key(text: &str) -> String {
    scalar(text)
}

/// A text: plain where nobody could read it as something else, else in double quotes.
pub(super) fn scalar(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

/// Words that other readers of YAML take for something else than text.
const RESERVED: [&str; 14] =
    ["null", "true", "false", "yes", "no", "on", "off", "y", "n", "t", "f", "nan", "inf", "class"];

fn is_plain(text: &str) -> bool {
    let begins = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    begins && plain && text.len() <= 128 && !RESERVED.contains(&text.to_ascii_lowercase().as_str())
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if is_hidden(c) => quoted.push_str(&escaped(c)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn escaped(c: char) -> String {
    let number = u32::from(c);
    if number <= 0xFFFF { format!("\\u{number:04X}") } else { format!("\\U{number:08X}") }
}

/// Characters that do not show, or that change how others show.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{a0}' | '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202f}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff0}'..='\u{ffff}'
            | '\u{e0000}'..='\u{e0fff}' | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}'
        )
}

/// A name inside a comment: on one line, and nothing in it ends the comment or hides.
pub(super) fn shown(name: &str) -> String {
    let mut shown = String::from("`");
    for c in name.chars().take(60) {
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c if is_hidden(c) => shown.push_str(&escaped(c)),
            c => shown.push(c),
        }
    }
    if name.chars().nth(60).is_some() {
        shown.push_str("...");
    }
    shown.push('`');
    shown
}
