//! What a build that was broken off had found out: the table of combinations and the recoding, in one file
//! of the build's folder. Good for the same release only; anything else about it is as if it were not there.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::recoding::{Cell, Part, Recoding};
use super::store::write_private_by;
use super::table::{Hierarchy, Lists, Sensitive, Table};
use crate::error::Result;

/// The file's name.
pub(super) const FILE: &str = "checkpoint";

/// What the file begins with; another version of the program may number otherwise.
const MAGIC: &[u8] =
    concat!("veilflight release checkpoint 1, ", env!("CARGO_PKG_VERSION")).as_bytes();

/// Keeps what was found out about the release that `of` names.
///
/// # Errors
/// When it cannot be written.
pub(super) fn save(folder: &Path, of: &str, table: &Table, recoding: &Recoding) -> Result<()> {
    write_private_by(folder, FILE, |file| {
        let mut out = Out { to: file, bytes: Vec::new(), hash: Sha256::new(), ended: Ok(()) };
        out.bytes(MAGIC);
        out.bytes(of.as_bytes());
        out.table(table);
        out.recoding(recoding);
        out.finish()
    })
}

/// What was found out about the release that `of` names; nothing where that is not to be had whole.
pub(super) fn load(folder: &Path, of: &str) -> Option<(Table, Recoding)> {
    let text = std::fs::read(folder.join(FILE)).ok()?;
    let (body, hash) = text.split_last_chunk::<32>()?;
    if Sha256::digest(body).as_slice() != hash {
        return None;
    }
    let mut read = In(body);
    if read.bytes()? != MAGIC || read.bytes()? != of.as_bytes() {
        return None;
    }
    let table = read.table()?;
    let recoding = read.recoding()?;
    read.0.is_empty().then_some((table, recoding))
}

/// Removes it.
pub(super) fn remove(folder: &Path) {
    // What is left of it is removed with the folder, or taken for what it is.
    let _ = std::fs::remove_file(folder.join(FILE));
}

/// How many bytes are gathered before they are written: what was found out is large, and is not held twice.
const GATHERED_BYTES: usize = 1 << 20;

struct Out<'a> {
    to: &'a mut File,
    bytes: Vec<u8>,
    hash: Sha256,
    ended: std::io::Result<()>,
}

impl Out<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() >= GATHERED_BYTES {
            self.write();
        }
    }

    /// Nothing more is written after an error, which is told at the end.
    fn write(&mut self) {
        self.hash.update(&self.bytes);
        if self.ended.is_ok() {
            self.ended = self.to.write_all(&self.bytes);
        }
        self.bytes.clear();
    }

    fn finish(mut self) -> std::io::Result<()> {
        self.write();
        self.ended?;
        self.to.write_all(&self.hash.finalize())
    }

    fn count(&mut self, count: usize) {
        self.number(count as u64);
    }

    fn number(&mut self, number: u64) {
        self.put(&number.to_le_bytes());
    }

    fn small(&mut self, number: u32) {
        self.put(&number.to_le_bytes());
    }

    fn float(&mut self, number: f64) {
        self.number(number.to_bits());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.put(bytes);
    }

    fn option<T>(&mut self, value: Option<&T>, write: impl Fn(&mut Self, &T)) {
        self.put(&[u8::from(value.is_some())]);
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn list<T>(&mut self, items: &[T], write: impl Fn(&mut Self, &T)) {
        self.count(items.len());
        items.iter().for_each(|item| write(self, item));
    }

    fn label(&mut self, label: &Option<String>) {
        self.option(label.as_ref(), |out, text| out.bytes(text.as_bytes()));
    }

    fn lists<T>(&mut self, lists: &Lists<T>, write: impl Fn(&mut Self, &T)) {
        self.list(&lists.starts, |out, start| out.count(*start));
        self.list(&lists.items, write);
    }

    fn hierarchy(&mut self, hierarchy: &Hierarchy) {
        let Hierarchy { name, groups, labels, weight } = hierarchy;
        self.bytes(name.as_bytes());
        self.list(groups, |out, level| out.list(level, |out, group| out.small(*group)));
        self.list(labels, |out, level| out.list(level, Self::label));
        self.float(*weight);
    }

    fn table(&mut self, table: &Table) {
        let Table { hierarchies, leaves, rows, units, sensitive, population } = table;
        self.list(hierarchies, Self::hierarchy);
        self.list(leaves, |out, column| out.list(column, |out, leaf| out.small(*leaf)));
        self.list(rows, |out, rows| out.number(*rows));
        self.option(units.as_ref(), |out, units| out.lists(units, |out, unit| out.small(*unit)));
        self.list(sensitive, |out, column| {
            let Sensitive { name, values, counts, hierarchy } = column;
            out.bytes(name.as_bytes());
            out.list(values, Self::label);
            out.lists(counts, |out, (value, rows)| {
                out.small(*value);
                out.number(*rows);
            });
            out.option(hierarchy.as_ref(), Self::hierarchy);
        });
        self.option(population.as_ref(), |out, rows| out.list(rows, |out, rows| out.number(*rows)));
    }

    fn recoding(&mut self, recoding: &Recoding) {
        let Recoding { parts, classes, levels, loss } = recoding;
        self.list(parts, |out, Part { combination, class, rows }| {
            out.small(*combination);
            out.option(class.as_ref(), |out, class| out.small(*class));
            out.number(*rows);
        });
        self.list(classes, |out, cells| {
            out.list(cells, |out, cell| match cell {
                Cell::Group { level, group } => {
                    out.put(&[0]);
                    out.small(*level);
                    out.small(*group);
                }
                Cell::Label(label) => {
                    out.put(&[1]);
                    out.label(label);
                }
                Cell::Number(number) => {
                    out.put(&[2]);
                    out.option(number.as_ref(), |out, number| out.float(*number));
                }
            });
        });
        self.option(levels.as_ref(), |out, levels| {
            out.list(levels, |out, level| out.small(*level))
        });
        self.option(loss.as_ref(), |out, loss| out.list(loss, |out, loss| out.float(*loss)));
    }
}

/// Nothing where the text ends early or says what it cannot.
struct In<'a>(&'a [u8]);

impl<'a> In<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    fn small(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn float(&mut self) -> Option<f64> {
        self.number().map(f64::from_bits)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = self.count()?;
        self.take(count)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    fn option<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.byte()? {
            0 => Some(None),
            1 => Some(Some(read(self)?)),
            _ => None,
        }
    }

    fn list<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.count()?;
        // No item takes less than a byte: a count that says more is no reason to take memory.
        let mut items = Vec::with_capacity(count.min(self.0.len()));
        for _ in 0..count {
            items.push(read(self)?);
        }
        Some(items)
    }

    fn label(&mut self) -> Option<Option<String>> {
        self.option(Self::text)
    }

    fn lists<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Lists<T>> {
        Some(Lists { starts: self.list(Self::count)?, items: self.list(read)? })
    }

    fn hierarchy(&mut self) -> Option<Hierarchy> {
        Some(Hierarchy {
            name: self.text()?,
            groups: self.list(|read| read.list(Self::small))?,
            labels: self.list(|read| read.list(Self::label))?,
            weight: self.float()?,
        })
    }

    fn table(&mut self) -> Option<Table> {
        Some(Table {
            hierarchies: self.list(Self::hierarchy)?,
            leaves: self.list(|read| read.list(Self::small))?,
            rows: self.list(Self::number)?,
            units: self.option(|read| read.lists(Self::small))?,
            sensitive: self.list(|read| {
                Some(Sensitive {
                    name: read.text()?,
                    values: read.list(Self::label)?,
                    counts: read.lists(|read| Some((read.small()?, read.number()?)))?,
                    hierarchy: read.option(Self::hierarchy)?,
                })
            })?,
            population: self.option(|read| read.list(Self::number))?,
        })
    }

    fn recoding(&mut self) -> Option<Recoding> {
        Some(Recoding {
            parts: self.list(|read| {
                Some(Part {
                    combination: read.small()?,
                    class: read.option(Self::small)?,
                    rows: read.number()?,
                })
            })?,
            classes: self.list(|read| {
                read.list(|read| {
                    Some(match read.byte()? {
                        0 => Cell::Group { level: read.small()?, group: read.small()? },
                        1 => Cell::Label(read.label()?),
                        2 => Cell::Number(read.option(Self::float)?),
                        _ => return None,
                    })
                })
            })?,
            levels: self.option(|read| read.list(Self::small))?,
            loss: self.option(|read| read.list(Self::float))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> (Table, Recoding) {
        let hierarchy = |name: &str| Hierarchy {
            name: name.to_owned(),
            groups: vec![vec![0, 1, 2], vec![0, 0, 0]],
            labels: vec![
                vec![Some("1".to_owned()), Some(String::new()), None],
                vec![Some("*".to_owned())],
            ],
            weight: 0.5,
        };
        let table = Table {
            hierarchies: vec![hierarchy("age")],
            leaves: vec![vec![0, 2]],
            rows: vec![3, 4],
            units: Some(Lists { starts: vec![0, 1, 3], items: vec![0, 0, 1] }),
            sensitive: vec![Sensitive {
                name: "job".to_owned(),
                values: vec![Some("nurse".to_owned()), None],
                counts: Lists { starts: vec![0, 1, 2], items: vec![(0, 3), (1, 4)] },
                hierarchy: Some(hierarchy("job")),
            }],
            population: Some(vec![9, 9]),
        };
        let recoding = Recoding {
            parts: vec![
                Part { combination: 0, class: Some(0), rows: 3 },
                Part { combination: 1, class: None, rows: 4 },
            ],
            classes: vec![
                vec![Cell::Group { level: 1, group: 0 }],
                vec![Cell::Label(None)],
                vec![Cell::Number(Some(0.1))],
            ],
            levels: Some(vec![1]),
            loss: Some(vec![0.25, -0.0]),
        };
        (table, recoding)
    }

    #[test]
    fn what_was_found_out_is_read_as_it_was_and_for_its_release_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (table, recoding) = found();
        assert_eq!(load(folder.path(), "a"), None);
        save(folder.path(), "a", &table, &recoding).unwrap();
        assert_eq!(load(folder.path(), "a"), Some((table, recoding)));
        assert_eq!(load(folder.path(), "b"), None);
    }

    #[test]
    fn a_damaged_checkpoint_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let (table, recoding) = found();
        save(folder.path(), "a", &table, &recoding).unwrap();
        let path = folder.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bad = whole.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            assert_eq!(load(folder.path(), "a"), None, "byte {at}");
            std::fs::write(&path, &whole[..at]).unwrap();
            assert_eq!(load(folder.path(), "a"), None, "cut at {at}");
        }
    }
}
