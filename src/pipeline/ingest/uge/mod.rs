//! Grid Engine (SGE, UGE, OGS): the blocks of `qacct -j`, and the `accounting` file with colons between
//! its fields. Both give the columns of `qacct`. Reads no spool and no database.

use std::borrow::Cow;
use std::sync::Arc;

use super::attributes::{self, Attributed, Found, Known, Layout, Piece, Record, Value};
use super::column::Kind;
use super::format::{Format, Options, Plan};
use super::input::Input;
use super::moments::moment;
use super::numbers::number;
use crate::error::{Code, Error, Result};

/// The format.
#[derive(Debug)]
pub(super) struct Uge;

impl Format for Uge {
    fn name(&self) -> &'static str {
        "uge"
    }

    fn about(&self) -> &'static str {
        "Grid Engine (UGE, SGE): the output of qacct -j, or the accounting file itself"
    }

    fn plan(&self, inputs: &[Input], options: &Options) -> Result<Arc<dyn Plan>> {
        options.without_fields(self.name())?;
        attributes::plan(Arc::new(Jobs), inputs, options)
    }
}

#[derive(Debug)]
pub(super) struct Jobs;

impl Attributed for Jobs {
    fn known(&self) -> &'static [Known] {
        KNOWN
    }

    fn always(&self, name: &str) -> bool {
        KNOWN.iter().take_while(|known| known.name != NEWER).any(|known| known.name == name)
    }

    fn look(&self, input: &Input, head: &[u8]) -> Result<Found> {
        let text = String::from_utf8_lossy(head);
        let mut lines = text.lines().filter(|line| line.trim().len() > 1 && !line.starts_with('#'));
        let first = lines.next().unwrap_or_default();
        let layout: Arc<dyn Layout> = if is_rule(first) || first.starts_with("qname") {
            Arc::new(Blocks)
        } else if first.is_empty() || first.split(':').count() > 20 {
            Arc::new(Lines)
        } else {
            let text = format!(
                "`{}` is neither the output of `qacct -j` nor an accounting file",
                input.path().display()
            );
            return Err(Error::new(Code::Usage, text));
        };
        Ok(Found { layout, header: 0 })
    }
}

fn is_rule(line: &str) -> bool {
    let line = line.trim();
    line.len() > 10 && line.bytes().all(|byte| byte == b'=')
}

/// `qacct -j`: a line of `====` before each job, then a name and a value a line.
#[derive(Debug)]
struct Blocks;

impl Layout for Blocks {
    fn whole(&self, text: &[u8]) -> usize {
        // A block ends where the next line of `====` begins.
        let mut end = 0;
        let mut at = 0;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            if line.starts_with(b"==========") {
                end = at;
            }
            at += line.len();
        }
        end
    }

    fn piece<'t>(&self, text: &'t [u8]) -> (usize, Piece<'t>) {
        let mut bytes = 0;
        let mut record: Record<'t> = Vec::new();
        let mut refused: Option<&'static str> = None;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let rule = line.starts_with(b"==========");
            if rule && bytes > 0 {
                break;
            }
            bytes += line.len();
            let Ok(line) = std::str::from_utf8(line).map(str::trim) else {
                refused.get_or_insert("not UTF-8");
                continue;
            };
            if rule {
                return (bytes, Piece::Skip);
            }
            if line.is_empty() || line.starts_with("Total System Usage") {
                continue;
            }
            let (name, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let value = value.trim();
            let (name, value) = (renamed(name), value);
            if record.iter().any(|(known, _)| *known == name) {
                refused.get_or_insert("one name stands twice");
            }
            add(&mut record, name, value);
        }
        match refused {
            Some(reason) => (bytes, Piece::Reject(reason.into())),
            None if record.is_empty() => (bytes, Piece::Skip),
            None if !record.iter().any(|(name, _)| name == "jobnumber") => {
                (bytes, Piece::Reject("a block without a job's number".into()))
            }
            None => (bytes, Piece::Record(record)),
        }
    }
}

/// Newer versions call two of the times otherwise.
fn renamed(name: &str) -> &str {
    match name {
        "submission_time" => "qsub_time",
        "submit_time" => "qsub_time",
        other => other,
    }
}

fn add<'t>(record: &mut Record<'t>, name: &'t str, value: &'t str) {
    let value = match name {
        "qsub_time" | "start_time" | "end_time" | "ar_sub_time" => moment(value),
        // `137                  (Killed)`, `100 : assumedly after job`: the number, and the words apart.
        "failed" | "exit_status" => {
            let (number, words) = value.split_once([' ', ':']).unwrap_or((value, ""));
            let words = words.trim_matches([' ', ':', '(', ')']);
            if !words.is_empty() {
                let reason = if name == "failed" { "failed_reason" } else { "exit_reason" };
                record.push((reason.into(), Value::of(words)));
            }
            plain(number)
        }
        // `312s`, `7934.223s`.
        _ if name.starts_with("ru_") || ["cpu", "wallclock", "iow"].contains(&name) => {
            let number = value.strip_suffix('s').unwrap_or(value);
            plain(number)
        }
        _ => plain(value),
    };
    record.push((name.into(), value));
}

fn plain(value: &str) -> Value<'_> {
    match value {
        "" | "undefined" | "NONE" | "none" | "UNKNOWN" => Value::Undefined,
        value => number(value).unwrap_or_else(|| Value::of(value)),
    }
}

/// The fields of the accounting file in their order, by the names of `qacct`.
pub(super) const FIELDS: [&str; 55] = [
    "qname",
    "hostname",
    "group",
    "owner",
    "jobname",
    "jobnumber",
    "account",
    "priority",
    "qsub_time",
    "start_time",
    "end_time",
    "failed",
    "exit_status",
    "ru_wallclock",
    "ru_utime",
    "ru_stime",
    "ru_maxrss",
    "ru_ixrss",
    "ru_ismrss",
    "ru_idrss",
    "ru_isrss",
    "ru_minflt",
    "ru_majflt",
    "ru_nswap",
    "ru_inblock",
    "ru_oublock",
    "ru_msgsnd",
    "ru_msgrcv",
    "ru_nsignals",
    "ru_nvcsw",
    "ru_nivcsw",
    "project",
    "department",
    "granted_pe",
    "slots",
    "taskid",
    "cpu",
    "mem",
    "io",
    "category",
    "iow",
    "pe_taskid",
    "maxvmem",
    "arid",
    "ar_sub_time",
    "job_class",
    "qdel_info",
    "maxrss",
    "maxpss",
    "submit_host",
    "cwd",
    "submit_cmd",
    "wallclock",
    "ioops",
    "bound_cores",
];

/// How many of them the versions write: before 6.2, since then, and UGE since 8.2, 8.4 and 8.6.
const COUNTS: [usize; 5] = [43, 45, 52, 54, 55];

/// The accounting file: a job a line.
#[derive(Debug)]
struct Lines;

impl Layout for Lines {
    fn whole(&self, text: &[u8]) -> usize {
        text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
    }

    fn piece<'t>(&self, text: &'t [u8]) -> (usize, Piece<'t>) {
        let end = text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |end| end + 1);
        let line = text.get(..end).unwrap_or_default();
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // Lines of one letter or none are nothing, says the format.
        if line.len() <= 1 || line.starts_with(b"#") {
            return (end, Piece::Skip);
        }
        let count = line.split(|byte| *byte == b':').count();
        if !COUNTS.contains(&count) {
            let reason = format!("{count} fields; 43, 45, 52, 54 and 55 are known");
            return (end, Piece::Reject(Cow::Owned(reason)));
        }
        let mut record = Vec::with_capacity(count);
        for (name, value) in FIELDS.into_iter().zip(line.split(|byte| *byte == b':')) {
            let Ok(value) = std::str::from_utf8(value) else {
                match commanded(value).filter(|_| name == "submit_cmd" || name == "cwd") {
                    Some(text) => record.push((name.into(), Value::of(text))),
                    None => return (end, Piece::Reject("not UTF-8".into())),
                }
                continue;
            };
            match name {
                // No task: `0` here, `undefined` in `qacct`.
                "taskid" if value == "0" => add(&mut record, name, ""),
                "qsub_time" | "start_time" | "end_time" | "ar_sub_time" => {
                    record.push((name.into(), stamp(value)));
                }
                _ => add(&mut record, name, value),
            }
        }
        (end, Piece::Record(record))
    }
}

/// A moment of the accounting file: seconds since 1970, or, since UGE 8.2, milliseconds, which have more
/// digits for every job that ran after 1973.
fn stamp(value: &str) -> Value<'_> {
    if value.len() < 12 || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return moment(value);
    }
    let written = value.parse().ok().and_then(chrono::DateTime::from_timestamp_millis);
    let written = written.map(|moment| moment.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string());
    Value::Text(written.map_or(Cow::Borrowed(value), Cow::Owned))
}

/// A text in which the bytes that UTF-8 has no use for stand for what would end the field or the line: 255
/// for a colon, 254 for a newline.
fn commanded(value: &[u8]) -> Option<String> {
    let plain = |byte: &u8| match byte {
        255 => b':',
        254 => b'\n',
        other => *other,
    };
    String::from_utf8(value.iter().map(plain).collect()).ok()
}

const fn text(name: &'static str) -> Known {
    Known::new(name, Kind::Text)
}

const fn count(name: &'static str) -> Known {
    Known::new(name, Kind::Integer)
}

const fn seconds(name: &'static str) -> Known {
    Known::new(name, Kind::Number).unit("seconds")
}

/// The columns.
pub(super) const KNOWN: &[Known] = &[
    text("qname"),
    text("hostname"),
    text("group"),
    text("owner"),
    text("project"),
    text("department"),
    text("jobname"),
    count("jobnumber"),
    text("taskid"),
    text("account"),
    count("priority"),
    Known::new("qsub_time", Kind::Time),
    Known::new("start_time", Kind::Time),
    Known::new("end_time", Kind::Time),
    text("granted_pe"),
    count("slots"),
    count("failed"),
    count("exit_status"),
    seconds("ru_wallclock"),
    seconds("ru_utime"),
    seconds("ru_stime"),
    Known::new("ru_maxrss", Kind::Number).unit("kibibytes"),
    count("ru_ixrss"),
    count("ru_ismrss"),
    count("ru_idrss"),
    count("ru_isrss"),
    count("ru_minflt"),
    count("ru_majflt"),
    count("ru_nswap"),
    count("ru_inblock"),
    count("ru_oublock"),
    count("ru_msgsnd"),
    count("ru_msgrcv"),
    count("ru_nsignals"),
    count("ru_nvcsw"),
    count("ru_nivcsw"),
    seconds("cpu"),
    Known::new("mem", Kind::Number).unit("gibibyte seconds"),
    Known::new("io", Kind::Number),
    seconds("iow"),
    Known::new("maxvmem", Kind::Bytes),
    // Only newer versions have these.
    Known::new("ar_sub_time", Kind::Time),
    text("job_class"),
    text("qdel_info"),
    Known::new("maxrss", Kind::Bytes),
    Known::new("maxpss", Kind::Bytes),
    text("submit_host"),
    text("cwd"),
    text("submit_cmd"),
    seconds("wallclock"),
    Known::new("ioops", Kind::Number),
    count("bound_cores"),
];

/// The first of [`KNOWN`] that only newer versions have.
const NEWER: &str = "ar_sub_time";

#[cfg(test)]
mod tests;
