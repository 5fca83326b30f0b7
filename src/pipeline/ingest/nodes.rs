//! Lists of hosts as schedulers write them, one name a host: `cpn-f13-03-[01-02]` of Slurm,
//! `n1/0*4+n2/1` of PBS, `4*hostA:hostB` of LSF. So that a host has one pseudonym wherever it stands.
//! Looks nothing up: a name that no host has is expanded like any other.

use std::collections::HashSet;

/// How many hosts one list may name. A list of a few bytes can stand for billions.
pub const NODES_MAX: usize = 1_000_000;

/// How long one name may be, in bytes: what the domain name system allows.
pub const NAME_MAX: usize = 255;

/// The hosts of a list in the manner of Slurm, PBS or LSF, in the order in which they stand. The manner
/// shows in the text: `+`, `/` and `(` are PBS's, `*`, `:` and `<` LSF's; none of them is in a name of
/// a host. In the manner of PBS and LSF, which name a host once a slot, each host is named once.
///
/// Empty text, `None assigned` and `(null)` are no hosts.
///
/// # Errors
/// What is wrong, without the text itself, which may name hosts.
pub fn expand_nodes(text: &str) -> Result<Vec<String>, String> {
    let text = text.trim();
    if is_none(text) {
        return Ok(Vec::new());
    }
    if text.contains(['+', '/', '(', ')']) {
        return pbs(text);
    }
    if text.contains(['*', ':', '<', '>']) {
        return lsf(text);
    }
    slurm(text)
}

/// What schedulers write where a job had no hosts.
fn is_none(text: &str) -> bool {
    text.is_empty()
        || ["none assigned", "(null)"].iter().any(|none| text.eq_ignore_ascii_case(none))
}

/// `a[1,3-5]b[01-02],c`.
fn slurm(text: &str) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for term in terms(text)? {
        expand_term(term, &mut names)?;
    }
    Ok(names)
}

/// The parts between the commas that stand outside of brackets.
fn terms(text: &str) -> Result<Vec<&str>, String> {
    let mut terms = Vec::new();
    let mut inside = false;
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' if inside => return Err("brackets inside brackets".to_owned()),
            b'[' => inside = true,
            b']' if !inside => return Err("a bracket closes that was not opened".to_owned()),
            b']' => inside = false,
            b',' if !inside => {
                terms.extend(text.get(from..at));
                from = at + 1;
            }
            _ => {}
        }
    }
    if inside {
        return Err("a bracket is not closed".to_owned());
    }
    terms.extend(text.get(from..));
    Ok(terms)
}

/// Numbers from `first` to `last`, written with at least `width` digits.
struct Range {
    first: u64,
    last: u64,
    width: usize,
}

impl Range {
    fn len(&self) -> Option<usize> {
        usize::try_from(self.last - self.first).ok()?.checked_add(1)
    }
}

/// The names of one term, added to `names`.
fn expand_term(term: &str, names: &mut Vec<String>) -> Result<(), String> {
    let term = term.trim();
    if term.is_empty() {
        return Err("an empty name".to_owned());
    }
    if term.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("white space inside a name".to_owned());
    }
    let mut parts: Vec<(&str, Vec<Range>)> = Vec::new();
    let mut rest = term;
    while let Some((before, after)) = rest.split_once('[') {
        let (inside, left) =
            after.split_once(']').ok_or_else(|| "a bracket is not closed".to_owned())?;
        parts.push((before, ranges(inside)?));
        rest = left;
    }
    // Length and count are looked at before the first name is made.
    if parts.iter().map(|(before, _)| before.len()).sum::<usize>() + rest.len() > NAME_MAX {
        return Err(too_long());
    }
    let room = NODES_MAX.saturating_sub(names.len());
    let count = parts.iter().try_fold(1_usize, |count, (_, ranges)| {
        let here = ranges.iter().try_fold(0_usize, |sum, range| sum.checked_add(range.len()?))?;
        count.checked_mul(here)
    });
    if count.is_none_or(|count| count > room) {
        return Err(format!("more than {NODES_MAX} hosts"));
    }
    let mut made = vec![String::new()];
    for (before, ranges) in &parts {
        let mut next = Vec::new();
        for start in &made {
            for Range { first, last, width } in ranges {
                for number in *first..=*last {
                    next.push(format!("{start}{before}{number:0width$}"));
                }
            }
        }
        if next.first().is_some_and(|name| name.len() > NAME_MAX) {
            return Err(too_long());
        }
        made = next;
    }
    for mut name in made {
        name.push_str(rest);
        if name.len() > NAME_MAX {
            return Err(too_long());
        }
        names.push(name);
    }
    Ok(())
}

fn too_long() -> String {
    format!("a name of more than {NAME_MAX} bytes")
}

/// What stands in brackets: `1,3-5`.
fn ranges(inside: &str) -> Result<Vec<Range>, String> {
    inside.split(',').map(range).collect()
}

fn range(text: &str) -> Result<Range, String> {
    let text = text.trim();
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let width = first.len();
    // `1-010` says neither that zeros are kept nor that they are not.
    if last.len() > width && last.starts_with('0') {
        return Err("the ends of a range are padded differently".to_owned());
    }
    let (first, last) = (number(first)?, number(last)?);
    if last < first {
        return Err("a range that ends before it begins".to_owned());
    }
    Ok(Range { first, last, width })
}

fn number(text: &str) -> Result<u64, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // Nineteen digits and more may not fit, and no host has them.
    if !digits || text.len() > 18 {
        return Err("something in brackets that is no number".to_owned());
    }
    text.parse().map_err(|_| "something in brackets that is no number".to_owned())
}

/// `n1/0*4+n2/1`, `node101/0-31+node102/0-31`, `(n1:ncpus=4:mem=2gb+n2:ncpus=1)+(n3:ncpus=2)`.
fn pbs(text: &str) -> Result<Vec<String>, String> {
    let mut names = Once::default();
    let mut open = false;
    for chunk in text.split('+') {
        let mut chunk = chunk.trim();
        if let Some(inside) = chunk.strip_prefix('(') {
            if open {
                return Err("a parenthesis inside a parenthesis".to_owned());
            }
            (open, chunk) = (true, inside);
        }
        if let Some(inside) = chunk.strip_suffix(')') {
            if !open {
                return Err("a parenthesis closes that was not opened".to_owned());
            }
            (open, chunk) = (false, inside);
        }
        let name = chunk.split(['/', ':']).next().unwrap_or_default();
        names.add(name)?;
    }
    if open {
        return Err("a parenthesis is not closed".to_owned());
    }
    Ok(names.names)
}

/// `4*hostA:hostB`, `4*hostA 2*hostB`, `<hostA>*16, <hostB>*2`.
fn lsf(text: &str) -> Result<Vec<String>, String> {
    let mut names = Once::default();
    let separators = |c: char| c == ':' || c == ',' || c.is_whitespace();
    for item in text.split(separators).filter(|item| !item.is_empty()) {
        let name = match item.split_once('*') {
            Some((count, name)) if is_count(count) => name,
            Some((name, count)) if is_count(count) => name,
            Some(_) => return Err("a number of slots that is none".to_owned()),
            None => item,
        };
        let name = match name.strip_prefix('<') {
            Some(inside) => inside
                .strip_suffix('>')
                .ok_or_else(|| "an angle bracket is not closed".to_owned())?,
            None => name,
        };
        names.add(name)?;
    }
    Ok(names.names)
}

fn is_count(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Names in the order in which they were met, each once.
#[derive(Default)]
struct Once {
    names: Vec<String>,
    known: HashSet<String>,
}

impl Once {
    fn add(&mut self, name: &str) -> Result<(), String> {
        if name.is_empty() {
            return Err("an empty name".to_owned());
        }
        if name.contains(['[', ']', '(', ')', '<', '>', '*', ',', '/', ':', '+']) {
            return Err("a sign inside a name that names do not have".to_owned());
        }
        if name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("white space inside a name".to_owned());
        }
        if name.len() > NAME_MAX {
            return Err(too_long());
        }
        if self.known.contains(name) {
            return Ok(());
        }
        if self.names.len() >= NODES_MAX {
            return Err(format!("more than {NODES_MAX} hosts"));
        }
        self.known.insert(name.to_owned());
        self.names.push(name.to_owned());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
