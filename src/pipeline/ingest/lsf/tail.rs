//! What `JOB_FINISH` holds behind the memory used. Versions 7 to 10 added fields at its end, some of them
//! lists with their length before them, so a record is read as far as it goes. In the file texts are
//! quoted and numbers are not: where a field is of the other sort, or none that is known here, the rest of
//! the line is kept as it stands in the column `rest`, and nothing behind it is guessed.

use serde_json::{Map, json};

use super::super::attributes::{Known, Record, Value};
use super::super::column::Kind;
use super::super::numbers::number;
use super::acct::Fields;
use super::{count, moment, text};

const fn span(name: &'static str) -> Known {
    Known::new(name, Kind::Integer).unit("seconds")
}

const fn rate(name: &'static str) -> Known {
    Known::new(name, Kind::Number)
}

/// The columns, in the order of the fields. Those whose length stands before them are lists.
pub(super) const TAIL: &[Known] = &[
    text("inFileSpool"),
    text("commandSpool"),
    text("rsvId"),
    text("sla"),
    count("exceptMask"),
    text("additionalInfo"),
    count("exitInfo"),
    text("warningAction"),
    span("warningTimePeriod"),
    text("chargedSAAP"),
    text("licenseProject"),
    text("app"),
    text("postExecCmd"),
    span("runtimeEstimation"),
    text("jobGroupName"),
    text("requeueEvalues"),
    count("options2"),
    text("resizeNotifyCmd"),
    moment("lastResizeTime"),
    // Of groups with a longer name than fits in the first one.
    text("rsvIdLong"),
    text("jobDescription"),
    text("submitExt"),
    text("hostRusage"),
    count("options3"),
    span("runLimit"),
    Known::new("avgMem", Kind::Integer).unit("kibibytes"),
    text("effectiveResReq"),
    text("srcCluster"),
    count("srcJobId"),
    text("dstCluster"),
    count("dstJobId"),
    moment("forwardTime"),
    count("flow_id"),
    span("acJobWaitTime"),
    span("totalProvisionTime"),
    text("outdir"),
    span("runTime"),
    text("subcwd"),
    text("networkAlloc"),
    text("affinity"),
    rate("serial_job_energy"),
    rate("cpi"),
    rate("gips"),
    rate("gbs"),
    rate("gflops"),
    Known::new("allocSlots", Kind::Nodes),
    span("ineligiblePendTime"),
    text("indexRanges"),
    moment("requeueTime"),
    text("gpuRusage"),
    text("storageInfo"),
    text("finishKvp"),
    rate("schedulingOverhead").unit("milliseconds"),
];

/// The column of what is not understood.
pub(super) const REST: &str = "rest";

/// Reads what is left of a line into the record.
pub(super) fn read<'t>(fields: &mut Fields<'t>, record: &mut Record<'t>) {
    for known in TAIL {
        let before = fields.rest();
        if before.trim_ascii().is_empty() {
            return;
        }
        let Some(value) = value(fields, known) else {
            // A quote that never closes is told by who began the line.
            fields.leave(before);
            break;
        };
        record.push((known.name.into(), value));
    }
    let rest = fields.rest().trim_ascii();
    if !rest.is_empty() {
        record.push((REST.into(), Value::of(rest)));
    }
}

fn value<'t>(fields: &mut Fields<'t>, known: &Known) -> Option<Value<'t>> {
    match known.name {
        "submitExt" | "finishKvp" => {
            let count = fields.count()?;
            let pairs = pairs(fields, count)?;
            Some(some(count, &json!(pairs)))
        }
        "hostRusage" => usages(fields),
        "networkAlloc" => {
            let count = fields.count()?;
            let mut all = Vec::new();
            for _ in 0..count {
                let (network, windows) = (fields.quoted()?, fields.plain()?);
                all.push(json!({"network": network, "windows": figure(windows)}));
            }
            Some(some(count, &json!(all)))
        }
        "allocSlots" => {
            let count = fields.count()?;
            let hosts = (0..count).map(|_| fields.quoted()).collect::<Option<Vec<_>>>()?;
            Some(if hosts.is_empty() { Value::Undefined } else { Value::of(hosts.join(":")) })
        }
        "indexRanges" => {
            let count = fields.count()?;
            let mut all = Vec::new();
            for _ in 0..count {
                let range = [fields.plain()?, fields.plain()?, fields.plain()?];
                all.push(range.map(figure).to_vec());
            }
            Some(some(count, &json!(all)))
        }
        "gpuRusage" => {
            let count = fields.count()?;
            let mut all = Vec::new();
            for _ in 0..count {
                let host = fields.quoted()?;
                let inner = fields.count()?;
                all.push(json!({"host": host, "usage": pairs(fields, inner)?}));
            }
            Some(some(count, &json!(all)))
        }
        // How its entries look is written nowhere.
        "storageInfo" => (fields.count()? == 0).then_some(Value::Undefined),
        _ if known.kind == Kind::Text => {
            let text = fields.quoted()?;
            Some(if text.is_empty() { Value::Undefined } else { Value::Text(text) })
        }
        _ => number(fields.plain()?),
    }
}

fn pairs(fields: &mut Fields<'_>, count: usize) -> Option<Map<String, serde_json::Value>> {
    let mut pairs = Map::new();
    for _ in 0..count {
        // Keys are text in some versions and numbers in others.
        let (key, value) = (fields.either()?, fields.either()?);
        pairs.insert(key.into_owned(), json!(value));
    }
    Some(pairs)
}

/// Use by host: its name, and memory, swap, user and system time. Some versions have one number more.
///
/// How many numbers an entry has is seen where the next one begins; behind the last there are three
/// numbers of the job before the next text.
fn usages<'t>(fields: &mut Fields<'t>) -> Option<Value<'t>> {
    const BEHIND: usize = 3;
    let count = fields.count()?;
    let mut all = Vec::new();
    for at in 0..count {
        let host = fields.quoted()?;
        let is_last = at + 1 == count;
        let mut ahead = fields.clone();
        let numbers = std::iter::from_fn(|| ahead.plain()).count();
        let own = numbers.checked_sub(if is_last { BEHIND } else { 0 })?;
        if !(4..=5).contains(&own) {
            return None;
        }
        let mut figures = (0..own).map(|_| fields.plain().map(figure));
        let mut next = || figures.next().flatten();
        let mut usage = Map::new();
        usage.insert("host".to_owned(), json!(host));
        for name in ["mem", "swap", "utime", "stime", "more"] {
            if let Some(figure) = next() {
                usage.insert(name.to_owned(), figure);
            }
        }
        all.push(json!(usage));
    }
    Some(some(count, &json!(all)))
}

fn figure(written: &str) -> serde_json::Value {
    written.parse::<i64>().map_or_else(|_| json!(written), |number| json!(number))
}

fn some<'t>(count: usize, all: &serde_json::Value) -> Value<'t> {
    if count == 0 { Value::Undefined } else { Value::of(all.to_string()) }
}
