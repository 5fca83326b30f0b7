//! Hierarchy files: a line a value, the value first, then its groups level by level, as ARX reads and writes
//! them. Knows no data: which values a column has is the business of the release.

use std::collections::HashMap;
use std::path::Path;

/// No hierarchy that people write is larger.
const BYTES_MAX: u64 = 64 << 20;

/// The group that every value has at the last level.
pub const TOP: &str = "*";

/// What a file says of values.
///
/// INVARIANT: `groups[0]` is the identity over leaves, all values of a group have one group at the next
/// level, and at the last level there is one group, `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    /// By level: the group that holds each value.
    pub groups: Vec<Vec<u32>>,
    /// By level: each group's label. At level 0 these are the values, in the order of the file.
    pub labels: Vec<Vec<String>>,
}

impl Groups {
    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong with it, in lower case and with the line, without a full stop. Holds no value.
    pub fn read(path: &Path, separator: char) -> Result<Self, String> {
        let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
        let size = std::fs::metadata(path).map_err(unreadable)?.len();
        if size > BYTES_MAX {
            return Err(format!("is larger than {} MiB", BYTES_MAX >> 20));
        }
        Self::parse(&std::fs::read(path).map_err(unreadable)?, separator)
    }

    /// The same from bytes.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn parse(bytes: &[u8], separator: char) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| format!("is not UTF-8 from byte {} on", error.valid_up_to()))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let separator = u8::try_from(separator)
            .map_err(|_| "has a separator that is no single byte".to_owned())?;
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .delimiter(separator)
            .flexible(true)
            .from_reader(text.as_bytes());
        let mut levels: Vec<Level> = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|_| "is not delimited text".to_owned())?;
            let line = record.position().map_or(0, csv::Position::line);
            if levels.is_empty() {
                levels = (0..record.len()).map(|_| Level::default()).collect();
            }
            if record.len() != levels.len() {
                let first = levels.len();
                return Err(format!(
                    "line {line} has {} columns, and the first line has {first}",
                    record.len()
                ));
            }
            for (number, (label, level)) in record.iter().zip(&mut levels).enumerate() {
                let (group, new) = level.group(label, line)?;
                if number == 0 && !new {
                    let first = level.line(group);
                    return Err(format!("line {line} has the value of line {first} again"));
                }
                level.of.push(group);
            }
        }
        let leaves = levels.first().map_or(0, |level| level.of.len());
        if leaves == 0 {
            return Err("is empty".to_owned());
        }
        nested(&levels)?;
        let mut groups: Vec<Vec<u32>> = Vec::new();
        let mut labels: Vec<Vec<String>> = Vec::new();
        for level in levels {
            groups.push(level.of);
            labels.push(level.labels);
        }
        if labels.last().is_none_or(|last| !matches!(last.as_slice(), [only] if only == TOP)) {
            groups.push(vec![0; leaves]);
            labels.push(vec![TOP.to_owned()]);
        }
        Ok(Self { groups, labels })
    }

    /// The number of levels, level 0 included.
    pub fn levels(&self) -> usize {
        self.groups.len()
    }
}

/// One column of the file.
#[derive(Debug, Default)]
struct Level {
    known: HashMap<String, u32>,
    labels: Vec<String>,
    /// The line where each group stands first.
    lines: Vec<u64>,
    /// The group of each value.
    of: Vec<u32>,
}

impl Level {
    /// The number of a group, and whether it is new.
    fn group(&mut self, label: &str, line: u64) -> Result<(u32, bool), String> {
        if let Some(known) = self.known.get(label) {
            return Ok((*known, false));
        }
        let group =
            u32::try_from(self.labels.len()).map_err(|_| "has too many lines".to_owned())?;
        self.known.insert(label.to_owned(), group);
        self.labels.push(label.to_owned());
        self.lines.push(line);
        Ok((group, true))
    }

    fn line(&self, group: u32) -> u64 {
        usize::try_from(group).ok().and_then(|at| self.lines.get(at)).copied().unwrap_or(0)
    }
}

/// A group has one group above it.
fn nested(levels: &[Level]) -> Result<(), String> {
    let Some(first) = levels.first() else { return Ok(()) };
    for (number, (below, above)) in levels.iter().zip(levels.iter().skip(1)).enumerate() {
        // The group above, and the leaf that said so.
        let mut parents: HashMap<u32, (u32, u32)> = HashMap::new();
        for (leaf, (group, parent)) in first.of.iter().zip(below.of.iter().zip(&above.of)) {
            let (known, by) = *parents.entry(*group).or_insert((*parent, *leaf));
            if known != *parent {
                return Err(format!(
                    "lines {} and {} have one group at level {number} and two at level {}",
                    first.line(by),
                    first.line(*leaf),
                    number + 1
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(groups: &Groups, level: usize) -> Vec<&str> {
        let of = |group: &u32| groups.labels[level][*group as usize].as_str();
        groups.groups[level].iter().map(of).collect()
    }

    #[test]
    fn a_file_as_arx_writes_it_is_read() {
        let groups = Groups::parse(b"1;0-4;0-9;*\n7;5-9;0-9;*\n2;0-4;0-9;*\n", ';').unwrap();
        assert_eq!(groups.levels(), 4);
        assert_eq!(labels(&groups, 0), ["1", "7", "2"]);
        assert_eq!(labels(&groups, 1), ["0-4", "5-9", "0-4"]);
        assert_eq!(labels(&groups, 2), ["0-9"; 3]);
        assert_eq!(labels(&groups, 3), ["*"; 3]);
    }

    #[test]
    fn a_file_without_one_star_at_the_end_gets_a_top() {
        let two = Groups::parse(b"a;x\nb;y\n", ';').unwrap();
        assert_eq!((two.levels(), labels(&two, 2)), (3, vec!["*"; 2]));
        let named = Groups::parse(b"a;any\nb;any\n", ';').unwrap();
        assert_eq!(
            (named.levels(), labels(&named, 1), labels(&named, 2)),
            (3, vec!["any"; 2], vec!["*"; 2])
        );
        let alone = Groups::parse(b"a\nb\n", ';').unwrap();
        assert_eq!((alone.levels(), labels(&alone, 1)), (2, vec!["*"; 2]));
    }

    #[test]
    fn marks_quotes_commas_and_carriage_returns_are_read() {
        let groups =
            Groups::parse("\u{feff}\"a,b\",x,*\r\nc,\"say \"\"y\"\"\",*\r\n".as_bytes(), ',');
        let groups = groups.unwrap();
        assert_eq!(labels(&groups, 0), ["a,b", "c"]);
        assert_eq!(labels(&groups, 1), ["x", "say \"y\""]);
    }

    #[test]
    fn a_wrong_file_is_refused_with_its_lines_and_without_its_values() {
        let refused = |text: &str| Groups::parse(text.as_bytes(), ';').unwrap_err();
        assert_eq!(refused("a;x;*\nb;*\n"), "line 2 has 2 columns, and the first line has 3");
        assert_eq!(refused("a;x\nb;y\na;x\n"), "line 3 has the value of line 1 again");
        assert_eq!(
            refused("a;x;p;*\nb;y;p;*\nc;x;q;*\n"),
            "lines 1 and 3 have one group at level 1 and two at level 2"
        );
        assert_eq!(refused(""), "is empty");
        assert_eq!(Groups::parse(b"a;\xe9\n", ';').unwrap_err(), "is not UTF-8 from byte 2 on");
    }
}
