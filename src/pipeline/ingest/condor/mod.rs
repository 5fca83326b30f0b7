//! HTCondor: job ads of `condor_history` and `condor_q` as ClassAd text (`-long`), as JSON (`-json`) and as a
//! table with a heading (`-af:ht`). The attributes that are known, and which of the three an input is.
//! The text of `Args`, `Environment` and other strings is taken as it is; `scrub` looks inside.

mod classad;
mod json;
mod table;

use std::sync::Arc;

use super::attributes::{self, Attributed, Found, Known};
use super::column::Kind;
use super::format::{Format, Options, Plan};
use super::input::Input;
use crate::error::{Code, Error, Result};

/// The format.
#[derive(Debug)]
pub(super) struct Condor;

impl Format for Condor {
    fn name(&self) -> &'static str {
        "condor"
    }

    fn about(&self) -> &'static str {
        "HTCondor job ads: condor_history or condor_q with -long, -json or -af:ht"
    }

    fn plan(&self, inputs: &[Input], options: &Options) -> Result<Arc<dyn Plan>> {
        attributes::plan(Arc::new(Ads), inputs, options)
    }
}

#[derive(Debug)]
pub(super) struct Ads;

impl Attributed for Ads {
    fn known(&self) -> &'static [Known] {
        KNOWN
    }

    fn always(&self, _name: &str) -> bool {
        false
    }

    fn look(&self, input: &Input, head: &[u8]) -> Result<Found> {
        let text = String::from_utf8_lossy(head);
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or_default();
        let inside = text.trim_start().strip_prefix('[').map(str::trim_start);
        let array =
            inside.is_some_and(|inside| inside.is_empty() || inside.starts_with(['{', ']']));
        if array || first.starts_with('{') {
            return Ok(Found { layout: Arc::new(json::Objects), header: 0 });
        }
        if first.is_empty() || first.starts_with("***") || classad::assignment(first).is_some() {
            return Ok(Found { layout: Arc::new(classad::Ads), header: 0 });
        }
        table::Table::look(head).ok_or_else(|| {
            let text = format!(
                "`{}` is neither job ads (`Name = value`), nor JSON, nor a table with a heading of \
                 attributes between tabs (`-af:ht`)",
                input.path().display()
            );
            Error::new(Code::Usage, text)
        })
    }
}

const fn moment(name: &'static str) -> Known {
    Known::new(name, Kind::Epoch).nulls(&["0", "-1"])
}

const fn span(name: &'static str) -> Known {
    Known::new(name, Kind::Number).unit("seconds")
}

const fn count(name: &'static str) -> Known {
    Known::new(name, Kind::Integer)
}

const fn text(name: &'static str) -> Known {
    Known::new(name, Kind::Text)
}

/// Attributes with a meaning that their literals do not show: moments are numbers of seconds, counters are
/// strings where something rewrote the ad, names may be numbers.
pub(super) const KNOWN: &[Known] = &[
    text("GlobalJobId"),
    count("ClusterId"),
    count("ProcId"),
    text("Owner"),
    text("User"),
    text("AcctGroup"),
    text("AcctGroupUser"),
    text("AccountingGroup"),
    text("Cmd"),
    text("Args"),
    text("Arguments"),
    text("Env"),
    text("Environment"),
    text("Iwd"),
    text("LastRemoteHost"),
    text("RemoteHost"),
    text("JobsubClientIpAddress"),
    text("MATCH_EXP_JOB_Site"),
    count("JobStatus"),
    count("LastJobStatus"),
    count("JobUniverse"),
    count("JobPrio"),
    count("ExitCode"),
    count("ExitStatus"),
    count("ExitSignal"),
    count("NumJobStarts"),
    count("NumJobCompletions"),
    count("NumShadowStarts"),
    count("NumRestarts"),
    count("NumHolds"),
    count("JobRunCount"),
    count("DAG_NodesFailed"),
    count("RequestCpus"),
    count("CpusProvisioned"),
    count("RequestGPUs"),
    count("RequestMemory").unit("mebibytes"),
    count("MemoryProvisioned").unit("mebibytes"),
    count("MemoryUsage").unit("mebibytes"),
    count("RequestDisk").unit("kibibytes"),
    count("DiskProvisioned").unit("kibibytes"),
    count("DiskUsage").unit("kibibytes"),
    count("ImageSize").unit("kibibytes"),
    count("ResidentSetSize").unit("kibibytes"),
    moment("QDate"),
    moment("JobStartDate"),
    moment("JobCurrentStartDate"),
    moment("JobCurrentStartExecutingDate"),
    moment("JobLastStartDate"),
    moment("CompletionDate"),
    moment("EnteredCurrentStatus"),
    moment("LastMatchTime"),
    moment("LastJobLeaseRenewal"),
    moment("LastSuspensionTime"),
    moment("LastVacateTime"),
    moment("JobFinishedHookDone"),
    moment("ShadowBday"),
    moment("x509UserProxyExpiration"),
    span("RemoteWallClockTime"),
    span("RemoteUserCpu"),
    span("RemoteSysCpu"),
    span("CumulativeRemoteUserCpu"),
    span("CumulativeRemoteSysCpu"),
    span("CumulativeSlotTime"),
    span("CumulativeSuspensionTime"),
    span("CommittedTime"),
    span("CommittedSlotTime"),
    span("CommittedSuspensionTime"),
    span("LocalUserCpu"),
    span("LocalSysCpu"),
    span("LastRemoteWallClockTime"),
    span("ActivationDuration"),
    span("JobDuration"),
    span("JobLeaseDuration"),
];

#[cfg(test)]
mod tests;
