//! `hierarchy`: a value becomes what a file says of it at a level. The file has the shape that ARX uses;
//! this room reads it and does not build hierarchies from data.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use sha2::{Digest, Sha256};

use super::params::{defaulted, refusal, required};
use super::{Bind, Change, Exposure, Kernel, Refusal, Spec, Transform, text};
use crate::error::{Code, Error, Result};
use crate::policy::args::{Args, Default, Kind};

/// A level of a generalization hierarchy.
///
/// - What it does: looks the value up in column 0 of the file and sends column `level` of that line.
///   Whole numbers are looked up as decimal text. What the file does not list becomes `*`, null, or
///   ends the stream with an error.
/// - What it hides: which of the values under one generalization it was.
/// - What still leaks: the generalization; low levels can be as fine as the value.
/// - Parameters: `file`, `level`, `delimiter`, `other`.
/// - Example: `{hierarchy: {file: zip.csv, level: 2}}`.
#[derive(Debug)]
pub(super) struct Hierarchy;

static SPEC: Spec = Spec {
    verb: "hierarchy",
    method: None,
    primary: None,
    params: &[
        required("file", Kind::Path, "The file: no header, one line a value, column 0 the value."),
        required(
            "level",
            Kind::Integer { min: 1, max: 255 },
            "The column that leaves; greater is coarser.",
        ),
        defaulted(
            "delimiter",
            Kind::Choice(&[";", ","]),
            Default::Text(";"),
            "What stands between columns.",
        ),
        defaulted(
            "other",
            Kind::Choice(&["*", "null", "error"]),
            Default::Text("*"),
            "What becomes of a value that the file does not list.",
        ),
    ],
    does: "Replaces a value by its generalization at a level of a hierarchy file.",
    hides: "Which of the values under one generalization it was.",
    leaks: "The generalization. The file decides how coarse that is; one that few rows share can \
            single a person out.",
    takes: "text and whole numbers",
    example: "{hierarchy: {file: hierarchies/zip.csv, level: 2}}",
    references: &["Prasser et al.: ARX, generalization hierarchies as CSV (arx.deidentifier.org)"],
};

/// What a hierarchy file holds, for those who check policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// How many values it lists.
    pub leaves: usize,
    /// The coarsest level.
    pub level_max: usize,
    /// The SHA-256 of the file, in lower-case hexadecimal.
    pub digest: String,
}

/// Checks a hierarchy file and that it has the level.
///
/// # Errors
/// What is wrong with the file, in lower case and with the line, without a full stop.
pub fn validate(path: &Path, delimiter: u8, level: i64) -> Result<Summary, String> {
    Table::read(path, delimiter, level).map(|table| table.summary)
}

/// No hierarchy that people write is larger.
const BYTES_MAX: u64 = 64 << 20;

impl Transform for Hierarchy {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn check(&self, args: &Args) -> Vec<Refusal> {
        if args.text("file").is_some_and(|file| file.trim().is_empty()) {
            return vec![refusal("file", "`file` is empty", "name a file beside the policy")];
        }
        Vec::new()
    }

    fn check_files(&self, args: &Args, folder: &Path) -> Vec<Refusal> {
        let (Some(file), Some(level)) = (args.text("file"), args.integer("level")) else {
            return Vec::new();
        };
        let refused = validate(&folder.join(file), delimiter(args), level).err();
        let message = |reason| format!("`{file}` {reason}");
        refused.map(|reason| refusal("file", message(reason), SHAPE)).into_iter().collect()
    }

    fn output(&self, _args: &Args, input: &DataType) -> Result<Option<DataType>, String> {
        text::or_whole(input)?;
        Ok(Some(DataType::Utf8))
    }

    fn adds_nulls(&self, args: &Args) -> bool {
        args.text("other") == Some("null")
    }

    fn exposure(&self, _args: &Args) -> Exposure {
        Exposure::Coarse
    }

    fn explain(&self, args: &Args) -> String {
        let file = args.text("file").unwrap_or_default();
        let level = args.integer("level").unwrap_or(0);
        let other = match args.text("other") {
            Some("null") => "leaves as null",
            Some("error") => "ends the stream with an error",
            _ => "leaves as `*`",
        };
        format!(
            "Leaves as its generalization at level {level} of `{file}`; a value that the file does \
             not list {other}."
        )
    }

    fn compare(&self, old: &Args, new: &Args) -> Change {
        if old.text("file") != new.text("file") || old.text("delimiter") != new.text("delimiter") {
            return Change::Moves;
        }
        match new.integer("level").cmp(&old.integer("level")) {
            std::cmp::Ordering::Greater => Change::Strengthens,
            std::cmp::Ordering::Less => Change::Weakens,
            std::cmp::Ordering::Equal => Change::Moves,
        }
    }

    fn kernel(&self, args: &Args, bind: &Bind<'_>) -> Result<Box<dyn Kernel>> {
        let missing = || Error::new(Code::Internal, "no hierarchy file or level");
        let path = bind.folder.join(args.text("file").ok_or_else(missing)?);
        let level = args.integer("level").ok_or_else(missing)?;
        let table = Table::read(&path, delimiter(args), level).map_err(|reason| {
            Error::new(Code::Policy, format!("hierarchy file `{}`: {reason}", path.display()))
        })?;
        let other = match args.text("other") {
            Some("null") => Other::Null,
            Some("error") => Other::Refuse,
            _ => Other::Star,
        };
        Ok(Box::new(Level { table, other }))
    }
}

/// The shape of a file, as advice.
const SHAPE: &str = "no header; one line a value: the value, then its generalization at level 1, 2 and so \
                     on; each value once";

fn delimiter(args: &Args) -> u8 {
    args.text("delimiter").and_then(|text| text.bytes().next()).unwrap_or(b';')
}

/// One level of a file: the place of each leaf's generalization.
#[derive(Debug)]
struct Table {
    places: HashMap<String, usize>,
    generalizations: Vec<String>,
    summary: Summary,
}

impl Table {
    fn read(path: &Path, delimiter: u8, level: i64) -> Result<Self, String> {
        let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
        let size = std::fs::metadata(path).map_err(unreadable)?.len();
        if size > BYTES_MAX {
            return Err(format!("is larger than {} MiB", BYTES_MAX >> 20));
        }
        let bytes = std::fs::read(path).map_err(unreadable)?;
        Self::parse(&bytes, delimiter, level)
    }

    fn parse(bytes: &[u8], delimiter: u8, level: i64) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| format!("is not UTF-8 from byte {} on", error.valid_up_to()))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .delimiter(delimiter)
            .flexible(true)
            .from_reader(text.as_bytes());
        let mut columns = None;
        let mut places = HashMap::new();
        let mut generalizations: Vec<String> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        for record in reader.records() {
            let record = record.map_err(|error| format!("is not delimited text: {error}"))?;
            let line = record.position().map_or(0, csv::Position::line);
            let expected = match columns {
                Some(columns) => columns,
                None => {
                    check_level(record.len(), delimiter, level)?;
                    *columns.insert(record.len())
                }
            };
            if record.len() != expected {
                return Err(format!(
                    "line {line} has {} columns, and the first line has {expected}",
                    record.len()
                ));
            }
            let leaf = record.get(0).unwrap_or_default();
            let general = usize::try_from(level)
                .ok()
                .and_then(|level| record.get(level))
                .ok_or_else(|| format!("line {line} has no level {level}"))?;
            let place = *known.entry(general.to_owned()).or_insert_with(|| {
                generalizations.push(general.to_owned());
                generalizations.len() - 1
            });
            if places.insert(leaf.to_owned(), place).is_some() {
                return Err(format!("line {line} lists the value `{leaf}` a second time"));
            }
        }
        let Some(columns) = columns else { return Err("is empty".to_owned()) };
        let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(bytes));
        let summary = Summary { leaves: places.len(), level_max: columns - 1, digest };
        Ok(Self { places, generalizations, summary })
    }
}

fn check_level(columns: usize, delimiter: u8, level: i64) -> Result<(), String> {
    if columns < 2 {
        return Err(format!(
            "has one column in its first line; is `{}` the right delimiter?",
            char::from(delimiter)
        ));
    }
    if usize::try_from(level).is_ok_and(|level| (1..columns).contains(&level)) {
        return Ok(());
    }
    Err(format!("has levels 1 to {}, and `level` is {level}", columns - 1))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Other {
    Star,
    Null,
    Refuse,
}

struct Level {
    table: Table,
    other: Other,
}

impl Kernel for Level {
    fn apply(&mut self, values: &ArrayRef, _reads: &[ArrayRef]) -> Result<ArrayRef> {
        let values = text::of(values)?;
        let mut unlisted = false;
        let Table { places, generalizations, .. } = &self.table;
        let out = text::map(&values, |value| {
            let found = places.get(value).and_then(|place| generalizations.get(*place));
            unlisted |= found.is_none();
            match (found, self.other) {
                (Some(general), _) => Some(Cow::Owned(general.clone())),
                (None, Other::Star) => Some(Cow::Borrowed("*")),
                (None, Other::Null | Other::Refuse) => None,
            }
        });
        if unlisted && self.other == Other::Refuse {
            return Err(Error::new(Code::SourceValue, "a value is not listed in the hierarchy"));
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int32Array;

    use super::super::testing::{Fixture, args, text, texts, word};
    use super::*;
    use crate::policy::args::Value;

    const ZIP: &str = "81667;8166*;816**;*\n81675;8167*;816**;*\n81925;8192*;819**;*\n";

    fn generalize(
        file: &str,
        set: &[(&str, Value)],
        raw: &ArrayRef,
    ) -> Result<Vec<Option<String>>> {
        let mut fixture = Fixture::new("Zip", raw.data_type());
        std::fs::write(fixture.folder().join("zip.csv"), file).unwrap();
        let mut args = args(&Hierarchy, set);
        args.set("file", word("zip.csv"));
        fixture.apply(&Hierarchy, &args, raw, &[]).map(|out| texts(&out))
    }

    fn level(level: i64) -> (&'static str, Value) {
        ("level", Value::Integer(level))
    }

    fn some(values: &[&str]) -> Vec<Option<String>> {
        values.iter().map(|value| Some((*value).to_owned())).collect()
    }

    #[test]
    fn a_value_becomes_its_generalization_at_the_level() {
        let raw = text(&["81667", "81925"]);
        assert_eq!(generalize(ZIP, &[level(1)], &raw).unwrap(), some(&["8166*", "8192*"]));
        assert_eq!(generalize(ZIP, &[level(2)], &raw).unwrap(), some(&["816**", "819**"]));
    }

    #[test]
    fn whole_numbers_are_looked_up_as_decimal_text() {
        let raw: ArrayRef = Arc::new(Int32Array::from(vec![Some(-2), None, Some(7)]));
        let out = generalize("-2,low,*\n7,high,*\n", &[level(1), ("delimiter", word(","))], &raw);
        assert_eq!(out.unwrap(), [Some("low".to_owned()), None, Some("high".to_owned())]);
    }

    #[test]
    fn a_value_that_is_not_listed_never_passes() {
        let raw = text(&["81667", "99999"]);
        let star = generalize(ZIP, &[level(1)], &raw).unwrap();
        assert_eq!(star, some(&["8166*", "*"]));
        let null = generalize(ZIP, &[level(1), ("other", word("null"))], &raw).unwrap();
        assert_eq!(null, [Some("8166*".to_owned()), None]);
        let refused = generalize(ZIP, &[level(1), ("other", word("error"))], &raw).unwrap_err();
        assert_eq!(refused.code(), Code::SourceValue);
        assert!(!refused.chain().contains("99999"));
    }

    #[test]
    fn a_mark_at_the_start_and_quotes_and_carriage_returns_are_read() {
        let file = "\u{feff}\"a;b\";x\r\nc;\"say \"\"y\"\"\"\r\n";
        let out = generalize(file, &[level(1)], &text(&["a;b", "c"])).unwrap();
        assert_eq!(out, some(&["x", "say \"y\""]));
    }

    #[test]
    fn a_wrong_file_is_refused_with_the_line() {
        let refused = |file: &str, level| Table::parse(file.as_bytes(), b';', level).unwrap_err();
        assert_eq!(refused("a;b;c\nd;e\n", 1), "line 2 has 2 columns, and the first line has 3");
        assert_eq!(refused("a;b\nc;d\na;e\n", 1), "line 3 lists the value `a` a second time");
        assert_eq!(refused(ZIP, 4), "has levels 1 to 3, and `level` is 4");
        assert_eq!(refused(ZIP, 0), "has levels 1 to 3, and `level` is 0");
        assert_eq!(refused("", 1), "is empty");
        assert_eq!(
            refused("a,b\nc,d\n", 1),
            "has one column in its first line; is `;` the right delimiter?"
        );
        let latin = Table::parse(b"a;\xe9\n", b';', 1).unwrap_err();
        assert_eq!(latin, "is not UTF-8 from byte 2 on");
    }

    #[test]
    fn validate_tells_what_the_file_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zip.csv");
        std::fs::write(&path, ZIP).unwrap();
        let summary = validate(&path, b';', 3).unwrap();
        assert_eq!((summary.leaves, summary.level_max, summary.digest.len()), (3, 3, 64));
        assert!(
            validate(&folder.path().join("no.csv"), b';', 1)
                .unwrap_err()
                .starts_with("cannot be read")
        );
    }

    #[test]
    fn checking_a_policy_tells_what_is_wrong_with_the_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("zip.csv"), ZIP).unwrap();
        let check = |level| {
            let set = [("file", word("zip.csv")), ("level", Value::Integer(level))];
            Hierarchy.check_files(&args(&Hierarchy, &set), folder.path())
        };
        assert_eq!(check(3), []);
        assert_eq!(check(4)[0].message, "`zip.csv` has levels 1 to 3, and `level` is 4");
    }

    #[test]
    fn the_blocks_of_the_electrocardiogram_hierarchy_are_read() {
        let Some(path) = crate::shared::shared("data/ecg/hierarchy_pow2.csv") else { return };
        let summary = validate(&path, b',', 8).unwrap();
        assert_eq!((summary.leaves, summary.level_max), (5001, 8));
    }

    #[test]
    fn a_higher_level_strengthens() {
        let [fine, coarse] = [1, 2].map(|n| args(&Hierarchy, &[("file", word("z.csv")), level(n)]));
        assert_eq!(Hierarchy.compare(&fine, &coarse), Change::Strengthens);
        assert_eq!(Hierarchy.compare(&coarse, &fine), Change::Weakens);
    }
}
