//! Delimited text with a header line: how its lines are cut, which types its columns have all through,
//! and a sample of its rows. Reads every line, because a policy that types a column must be right for
//! all of them. Does not mend text; that is what `ingest` is for.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::compute::cast;
use arrow::datatypes::Schema;
use chrono::{NaiveDate, NaiveDateTime};
use csv::StringRecord;

use super::Look;
use super::looks::Looks;
use super::sample::{Sample, Watch};
use crate::error::{Code, Context, Error, Result};
use crate::pipeline::source::{find, look};
use crate::policy::{FieldType, Source};

/// What stands between fields, most telling first.
const DELIMITERS: [u8; 4] = [b'|', b'\t', b';', b','];
/// What a sample of text may take in memory.
const BYTES_MAX: usize = 128 << 20;
/// The longest first line that is looked at.
const HEADER_MAX: u64 = 1 << 20;

/// Looks at delimited files: a source as a policy writes it, and about `rows` rows.
///
/// # Errors
/// `SourceUnreadable` when files cannot be read, `SourceValue` with file and line where a line does not
/// fit, `Usage` when the first line names no columns.
pub fn delimited(
    folder: &Path,
    paths: &[String],
    rows: u64,
    watch: &mut Watch<'_>,
) -> Result<(Source, Sample)> {
    watch("looking at files", 0, 0);
    let files = find(folder, paths, "")?;
    let first =
        files.first().ok_or_else(|| Error::new(Code::SourceUnreadable, "no file to look at"))?;
    let header = header_line(first)?;
    let delimiter = DELIMITERS
        .into_iter()
        .max_by_key(|delimiter| {
            let count = header.bytes().filter(|byte| byte == delimiter).count();
            // Where two are as frequent, the first of the list.
            (count, DELIMITERS.len() - DELIMITERS.iter().position(|d| d == delimiter).unwrap_or(0))
        })
        .unwrap_or(b',');
    // `sacct` and its kin write quotes as ordinary characters.
    let plain = matches!(delimiter, b'|' | b'\t') && !header.contains('"');
    let mut failed = None;
    for quote in if plain { [None, Some(b'"')] } else { [Some(b'"'), None] } {
        match read(folder, paths, &files, delimiter, quote, rows, watch) {
            Ok(found) => return Ok(found),
            Err(error) if error.code() == Code::SourceValue => failed = failed.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    Err(failed.unwrap_or_else(|| Error::new(Code::Internal, "no way to cut the text was tried")))
}

/// Reads all files one way.
fn read(
    folder: &Path,
    paths: &[String],
    files: &[PathBuf],
    delimiter: u8,
    quote: Option<u8>,
    rows: u64,
    watch: &mut Watch<'_>,
) -> Result<(Source, Sample)> {
    let mut table = Table::new(usize::try_from(rows).unwrap_or(usize::MAX).max(1));
    let total: u64 =
        files.iter().filter_map(|file| file.metadata().ok()).map(|meta| meta.len()).sum();
    let mut before = 0;
    for path in files {
        let start = before;
        before += table.add(path, delimiter, quote, &mut |done| {
            watch("reading text", start + done, total);
        })?;
    }
    let columns: Vec<(String, FieldType)> =
        table.names.iter().cloned().zip(table.guesses.iter().map(Guess::settled)).collect();
    let source = Source::Delimited {
        paths: paths.to_vec(),
        delimiter,
        header: true,
        quote,
        nulls: Vec::new(),
        columns,
    };
    // Says what keeps it from being served: a stray quote, a column that one file lacks.
    let snapshot = look(folder, &source, 1)?;
    let schema = Arc::clone(snapshot.schema());
    let columns = table.columns(&schema)?;
    let sampled = table.kept.len() as u64;
    let sample = Sample { schema, columns, sampled, rows: Some(table.rows), files: files.len() };
    Ok((source, sample))
}

/// What is learned of a table line by line.
struct Table {
    names: Vec<String>,
    guesses: Vec<Guess>,
    kept: Vec<StringRecord>,
    bytes: usize,
    wanted: usize,
    step: u64,
    rows: u64,
}

impl Table {
    const fn new(wanted: usize) -> Self {
        Self {
            names: Vec::new(),
            guesses: Vec::new(),
            kept: Vec::new(),
            bytes: 0,
            wanted,
            step: 1,
            rows: 0,
        }
    }

    /// Reads a file; gives its length.
    fn add(
        &mut self,
        path: &Path,
        delimiter: u8,
        quote: Option<u8>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<u64> {
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .quoting(quote.is_some())
            .quote(quote.unwrap_or(b'"'))
            .from_reader(open(path)?);
        let names: Vec<String> = reader
            .headers()
            .map_err(|error| unreadable(path, &error))?
            .iter()
            .map(str::to_owned)
            .collect();
        if self.names.is_empty() {
            are_names(path, &names)?;
            self.guesses = vec![Guess::default(); names.len()];
            self.names.clone_from(&names);
        }
        // Another order of columns is fine; the source says when others are missing.
        let order: Vec<Option<usize>> =
            self.names.iter().map(|name| names.iter().position(|other| other == name)).collect();
        let mut record = StringRecord::new();
        while reader.read_record(&mut record).map_err(|error| unreadable(path, &error))? {
            for (guess, at) in self.guesses.iter_mut().zip(&order) {
                guess.see(at.and_then(|at| record.get(at)).unwrap_or_default());
            }
            if self.rows.is_multiple_of(self.step) {
                let fields =
                    order.iter().map(|at| at.and_then(|at| record.get(at)).unwrap_or_default());
                let row: StringRecord = fields.collect();
                self.keep(row);
            }
            self.rows += 1;
            if self.rows.is_multiple_of(1 << 16) {
                progress(reader.position().byte());
            }
        }
        Ok(reader.position().byte())
    }

    /// Keeps a row; when there are twice as many as wanted, every other goes, and from then on half as
    /// many come.
    fn keep(&mut self, row: StringRecord) {
        self.bytes += row.as_slice().len() + 16 * row.len() + 64;
        self.kept.push(row);
        if self.kept.len() >= self.wanted.saturating_mul(2).max(2) || self.bytes > BYTES_MAX {
            let mut at = 0_usize;
            self.kept.retain(|_| {
                at += 1;
                at % 2 == 1
            });
            self.bytes /= 2;
            self.step = self.step.saturating_mul(2);
        }
    }

    /// The sample as columns of the source's types.
    fn columns(&self, schema: &Schema) -> Result<Vec<Vec<ArrayRef>>> {
        let mut columns = Vec::new();
        for (at, field) in schema.fields().iter().enumerate() {
            let text: StringArray =
                self.kept.iter().map(|row| row.get(at).filter(|text| !text.is_empty())).collect();
            let text: ArrayRef = Arc::new(text);
            // PRIVACY: Arrow's words quote the value.
            let typed = cast(&text, field.data_type())
                .map_err(|_| Error::new(Code::Internal, "a value is not of the type found"))?;
            columns.push(vec![typed]);
        }
        Ok(columns)
    }
}

/// Which types a column can still have.
#[derive(Debug, Clone)]
struct Guess {
    seen: bool,
    integer: bool,
    number: bool,
    date: bool,
    timestamp: bool,
}

impl Default for Guess {
    fn default() -> Self {
        Self { seen: false, integer: true, number: true, date: true, timestamp: true }
    }
}

impl Guess {
    fn see(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.seen = true;
        if self.integer {
            // A number with leading zeros is a name.
            let digits = text.strip_prefix('-').unwrap_or(text);
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            let led = digits.len() > 1 && digits.starts_with('0');
            self.integer = plain && !led && text.parse::<i64>().is_ok();
            if led && plain {
                self.number = false;
            }
        }
        if self.number {
            let plain = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
            self.number = plain && text.parse::<f64>().is_ok_and(f64::is_finite);
        }
        if self.date {
            let day = NaiveDate::parse_from_str(text, "%Y-%m-%d");
            self.date = text.len() == 10 && day.is_ok();
        }
        if self.timestamp {
            let forms = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];
            let fits = |form| NaiveDateTime::parse_from_str(text, form).is_ok();
            self.timestamp = text.len() >= 19 && forms.into_iter().any(fits);
        }
    }

    const fn settled(&self) -> FieldType {
        match self {
            Self { seen: false, .. } => FieldType::Text,
            Self { integer: true, .. } => FieldType::Integer,
            Self { number: true, .. } => FieldType::Number,
            Self { date: true, .. } => FieldType::Date,
            Self { timestamp: true, .. } => FieldType::Timestamp,
            _ => FieldType::Text,
        }
    }
}

/// Whether the first line can be names of columns.
///
/// PRIVACY: without a header the first line is a row, so its texts stay out of what is said.
fn are_names(path: &Path, names: &[String]) -> Result<()> {
    let looks = Looks::new()?;
    let value = |name: &str| {
        let look = looks.whole(name);
        name.trim().is_empty()
            || look.identifies()
            || matches!(
                look,
                Look::Whole | Look::Decimal | Look::Time | Look::Day | Look::Duration | Look::Size
            )
    };
    let Some(at) = names.iter().position(|name| value(name)) else { return Ok(()) };
    Err(Error::new(
        Code::Usage,
        format!(
            "`{}`: field {} of the first line is no name of a column; `policy init` reads text with a \
             header line and parquet, so make parquet of it first: `veilflight ingest`",
            path.display(),
            at + 1
        ),
    ))
}

fn header_line(path: &Path) -> Result<String> {
    let mut line = Vec::new();
    open(path)?
        .take(HEADER_MAX)
        .read_until(b'\n', &mut line)
        .context(Code::SourceUnreadable, || format!("read `{}`", path.display()))?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// A file from its first character, a byte-order mark skipped.
fn open(path: &Path) -> Result<BufReader<File>> {
    let reading = || format!("read `{}`", path.display());
    let mut file = BufReader::new(File::open(path).context(Code::SourceUnreadable, reading)?);
    let start = file.fill_buf().context(Code::SourceUnreadable, reading)?;
    if start.starts_with(&[0xEF, 0xBB, 0xBF]) {
        file.consume(3);
    }
    Ok(file)
}

/// PRIVACY: the library's words may quote the line; only its number is taken.
fn unreadable(path: &Path, error: &csv::Error) -> Error {
    let line = error.position().map_or(0, csv::Position::line);
    let what = match error.kind() {
        csv::ErrorKind::UnequalLengths { .. } => "has another number of fields than the first line",
        csv::ErrorKind::Utf8 { .. } => "is not UTF-8",
        _ => "cannot be read",
    };
    Error::new(
        Code::SourceValue,
        format!("`{}`: line {line} {what}; `veilflight ingest` reads such text", path.display()),
    )
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;

    use super::*;

    fn settled(texts: &[&str]) -> FieldType {
        let mut guess = Guess::default();
        texts.iter().for_each(|text| guess.see(text));
        guess.settled()
    }

    #[test]
    fn a_column_has_a_type_only_if_every_value_is_of_it() {
        assert_eq!(settled(&["1", "", "-20"]), FieldType::Integer);
        assert_eq!(settled(&["1", "2.5"]), FieldType::Number);
        assert_eq!(settled(&["1", "x"]), FieldType::Text);
        assert_eq!(settled(&["0123"]), FieldType::Text);
        assert_eq!(settled(&["0", "0.5"]), FieldType::Number);
        assert_eq!(settled(&["2026-01-31"]), FieldType::Date);
        assert_eq!(settled(&["2026-02-31"]), FieldType::Text);
        assert_eq!(
            settled(&["2026-01-31T10:00:00", "2026-01-31 10:00:00.5"]),
            FieldType::Timestamp
        );
        assert_eq!(settled(&["", ""]), FieldType::Text);
        assert_eq!(settled(&["nan", "1"]), FieldType::Text);
    }

    #[test]
    fn the_sample_of_text_is_spread_and_bounded() {
        let mut table = Table::new(100);
        for row in 0..10_000_u64 {
            if row.is_multiple_of(table.step) {
                table.keep(StringRecord::from(vec![row.to_string()]));
            }
        }
        assert!((100..200).contains(&table.kept.len()), "{}", table.kept.len());
        assert!(table.kept.last().unwrap()[0].parse::<u64>().unwrap() > 9_800);
    }

    #[test]
    fn a_first_line_of_values_is_refused_without_quoting_it() {
        let error = are_names(Path::new("a.csv"), &["id".into(), "ada@example.org".into()]);
        let text = error.unwrap_err().to_string();
        assert!(text.contains("field 2") && !text.contains("ada"), "{text}");
        let error = are_names(Path::new("a.log"), &["977669".into(), "turdo".into()]);
        assert!(error.unwrap_err().to_string().contains("ingest"));
    }

    #[test]
    fn text_is_typed_and_sampled() {
        let folder = tempfile::tempdir().unwrap();
        let text = "\u{feff}user|n|day|note\r\nada|1|2026-01-01|a \"b\r\nbob|2|2026-01-02|\r\n";
        std::fs::write(folder.path().join("a.csv"), text).unwrap();
        let (source, sample) =
            delimited(folder.path(), &["a.csv".to_owned()], 10, &mut |_, _, _| {}).unwrap();
        let Source::Delimited { delimiter, quote, .. } = source else { panic!() };
        assert_eq!((delimiter, quote), (b'|', None));
        let kinds: Vec<DataType> =
            sample.schema.fields().iter().map(|field| field.data_type().clone()).collect();
        assert_eq!(kinds, [DataType::Utf8, DataType::Int64, DataType::Date32, DataType::Utf8]);
        assert_eq!(sample.size(), (2, Some(2), 1));
    }
}
