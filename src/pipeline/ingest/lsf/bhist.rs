//! `bhist -l`: a block a job, between lines of dashes: the job's own line, events with their moments, then
//! lines of `Name: value`, whose names differ between versions. Scheduling parameters are not read.

use super::super::attributes::{Layout, Piece, Record, Value};
use super::super::moments::{calendar, moment};
use super::super::numbers::number;

/// Blocks.
#[derive(Debug)]
pub(super) struct Blocks;

impl Layout for Blocks {
    fn whole(&self, text: &[u8]) -> usize {
        let mut end = 0;
        let mut at = 0;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            at += line.len();
            if line.ends_with(b"\n") && is_rule(line) {
                end = at;
            }
        }
        end
    }

    fn piece<'t>(&self, text: &'t [u8]) -> (usize, Piece<'t>) {
        let mut bytes = 0;
        let mut blank = true;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            bytes += line.len();
            if is_rule(line) {
                break;
            }
            blank = blank && line.trim_ascii().is_empty();
        }
        if blank {
            return (bytes, Piece::Skip);
        }
        match std::str::from_utf8(text.get(..bytes).unwrap_or_default()) {
            Ok(block) => (bytes, job(block)),
            Err(_) => (bytes, Piece::Reject("not UTF-8".into())),
        }
    }
}

fn is_rule(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    line.len() > 10 && line.iter().all(|byte| *byte == b'-')
}

/// Lines, those that were broken put together again: what goes on is far indented.
fn lines(block: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in block.lines() {
        let indent = line.len() - line.trim_start_matches(' ').len();
        match lines.last_mut() {
            Some(last) if indent >= 20 && last.contains(['<', ':']) => {
                last.push_str(line.trim());
            }
            _ => lines.push(line.trim_end().to_owned()),
        }
    }
    lines
}

fn job(block: &str) -> Piece<'static> {
    let mut job = Job::default();
    for line in lines(block) {
        if line.starts_with("Job <") {
            if job.get("job_id").is_some() {
                return Piece::Reject("two jobs in one block".into());
            }
            for (name, value) in pairs(&line) {
                job.named(&name, value);
            }
        } else if let Some((when, what)) = event(&line) {
            job.event(&when, what);
        } else if let Some((name, value)) = line.split_once(':')
            && !line.starts_with(' ')
        {
            job.summary(name.trim(), value.trim());
        }
    }
    if job.get("job_id").is_none() {
        return Piece::Reject("a block without a job's line".into());
    }
    Piece::Record(job.into_record())
}

/// `Job <1001>, Job Name <x>, ...`: a value ends where the next name begins, since commands hold `<` and `>`
/// of their own.
fn pairs(line: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = line;
    while let Some((name, after)) = rest.split_once('<') {
        let name = name.trim_start_matches([',', ' ']).trim();
        let ends = after.match_indices('>').find(|(at, _)| {
            let next = after.get(at + 1..).unwrap_or_default();
            ends_here(next)
        });
        let end = ends.map_or(after.len(), |(at, _)| at);
        pairs.push((name.to_owned(), after.get(..end).unwrap_or_default().to_owned()));
        rest = after.get(end + 1..).unwrap_or_default();
    }
    pairs
}

/// Whether behind a `>` the line ends or another name with its `<` begins.
fn ends_here(next: &str) -> bool {
    let next = next.trim_end_matches([';', '.', ' ']);
    if next.is_empty() {
        return true;
    }
    let Some(rest) = next.strip_prefix(", ") else { return false };
    rest.split_once(" <").is_some_and(|(name, _)| {
        name.chars().all(|letter| letter.is_ascii_alphanumeric() || " ()/".contains(letter))
    })
}

/// Moment and words of `Mon Jan 15 08:00:00 2024: Submitted ...`.
fn event(line: &str) -> Option<(String, &str)> {
    let (when, what) = line.split_once(": ")?;
    Some((calendar(when)?, what.trim()))
}

/// What is known of a job; the last that says something of an attribute counts, and the lines of
/// `Name: value` before events.
#[derive(Default)]
struct Job {
    told: Vec<(&'static str, String)>,
    events: Vec<(&'static str, String)>,
}

impl Job {
    fn get(&self, name: &str) -> Option<&String> {
        self.told.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    fn named(&mut self, name: &str, value: String) {
        let known = match name {
            "Job" => "job_id",
            "Job Name" => "job_name",
            "User" => "user",
            "User Group" => "user_group",
            "Project" => "project",
            "Application" => "application",
            "Command" => "command",
            _ => return,
        };
        self.told.push((known, value));
    }

    fn event(&mut self, when: &str, what: &str) {
        let mut tell = |name, value: &str| self.events.push((name, value.to_owned()));
        if what.starts_with("Submitted ") {
            tell("submit_time", when);
            for (name, value) in pairs(what) {
                match name.as_str() {
                    "Submitted from host" => tell("from_host", &value),
                    "to Queue" => tell("queue", &value),
                    "CWD" => tell("cwd", &value),
                    "Requested Resources" => tell("requested_resources", &value),
                    _ => {}
                }
            }
        } else if what.starts_with("Dispatched ") || what.starts_with("Started ") {
            tell("start_time", when);
            let places = what.split_once(", Effective").map_or(what, |(before, _)| before);
            let hosts: Vec<&str> = places
                .split('<')
                .skip(1)
                .filter_map(|part| part.split_once('>').map(|(host, _)| host))
                .collect();
            if what.starts_with("Dispatched ") {
                tell("execution_hosts", &hosts.join(":"));
            }
        } else if what.starts_with("Done successfully") || what.starts_with("Completed <done>") {
            tell("end_time", when);
            tell("status", "DONE");
        } else if let Some(rest) = what.strip_prefix("Exited") {
            tell("end_time", when);
            tell("status", "EXIT");
            let code: String = rest
                .split_once("exit code ")
                .map(|(_, code)| code.chars().take_while(char::is_ascii_digit).collect())
                .unwrap_or_default();
            tell("exit_code", &code);
        } else if what.starts_with("Completed <exit>") {
            tell("end_time", when);
            tell("status", "EXIT");
        }
    }

    fn summary(&mut self, name: &str, value: &str) {
        let known = match name {
            "User Group" => "user_group",
            "Queue" => "queue",
            "Submitted Time" | "Submit Time" => "submit_time",
            "Started" => "start_time",
            "Completed" | "Done" | "Finish Time" => "end_time",
            "Project Name" => "project",
            "Processors Requested" => "processors_requested",
            "Requested Resources" => "requested_resources",
            "Execution Hosts" => "execution_hosts",
            "Status" => "status",
            "Exit Code" => "exit_code",
            "MAX MEM" | "Memory Utilized" => "max_memory",
            "CPU time" => "cpu_time",
            "Run time" => "run_time",
            _ => return,
        };
        self.told.push((known, value.to_owned()));
    }

    fn into_record(self) -> Record<'static> {
        let mut record: Record<'static> = Vec::new();
        for (name, text) in self.events.into_iter().chain(self.told) {
            if name == "execution_hosts"
                && let Some(slots) = slots(&text)
            {
                record.push(("slots".into(), Value::Integer(slots.to_string().into())));
            }
            record.push((name.into(), value(name, text)));
        }
        record
    }
}

/// How many slots `<a>*16 <b>*16` are.
fn slots(hosts: &str) -> Option<u64> {
    let mut sum = None;
    for part in hosts.split([',', ' ']).filter(|part| !part.is_empty()) {
        let (first, second) = part.split_once('*')?;
        let count = second.parse::<u64>().or_else(|_| first.parse()).ok()?;
        sum = Some(sum.unwrap_or(0_u64).checked_add(count)?);
    }
    sum
}

fn value(name: &str, text: String) -> Value<'static> {
    if text.is_empty() || text == "-" {
        return Value::Undefined;
    }
    let words = |text: &str| text.split_whitespace().next().unwrap_or_default().to_owned();
    match name {
        "submit_time" | "start_time" | "end_time" => match moment(&text) {
            Value::Text(moment) => Value::Text(moment.into_owned().into()),
            _ => Value::Undefined,
        },
        // `16 Task(s)`, `8134.22 sec.`
        "processors_requested" | "cpu_time" | "run_time" | "exit_code" => {
            let first = words(&text);
            match number(&first) {
                Some(Value::Integer(_)) => Value::Integer(first.into()),
                Some(_) => Value::Number(first.into()),
                None => Value::of(text),
            }
        }
        // `44171 MB`, `1.2 Gbytes`.
        "max_memory" => {
            let unit = text.split_whitespace().nth(1).and_then(|unit| unit.chars().next());
            match unit {
                Some(letter) => Value::of(format!("{}{letter}", words(&text))),
                None => Value::of(text),
            }
        }
        _ => Value::of(text),
    }
}
