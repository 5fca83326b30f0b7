//! LSF: the blocks of `bhist -l` (of version 8 and of 9 and later), and `lsb.acct`, the log of finished jobs.
//! Which of the two an input is, and the columns of each.

mod acct;
mod bhist;
mod tail;

use std::sync::{Arc, LazyLock};

use super::attributes::{self, Attributed, Found, Known};
use super::column::Kind;
use super::format::{Format, Options, Plan};
use super::input::Input;
use crate::error::{Code, Error, Result};

/// The format.
#[derive(Debug)]
pub(super) struct Lsf;

impl Format for Lsf {
    fn name(&self) -> &'static str {
        "lsf"
    }

    fn about(&self) -> &'static str {
        "LSF: the output of bhist -l, or the file lsb.acct"
    }

    fn plan(&self, inputs: &[Input], options: &Options) -> Result<Arc<dyn Plan>> {
        options.without_fields(self.name())?;
        let mut kinds = inputs.iter().map(|input| input.head(1 << 16).map(|head| is_acct(&head)));
        let first = kinds.next().transpose()?.unwrap_or(false);
        for kind in kinds {
            if kind? != first {
                return Err(Error::new(
                    Code::Usage,
                    "some inputs are of `bhist -l` and some are `lsb.acct`; bring each kind in by itself",
                ));
            }
        }
        attributes::plan(Arc::new(Jobs { acct: first }), inputs, options)
    }
}

/// Whether the first line is a record of `lsb.acct`.
fn is_acct(head: &[u8]) -> bool {
    head.trim_ascii_start().starts_with(b"\"")
}

#[derive(Debug)]
pub(super) struct Jobs {
    pub(super) acct: bool,
}

impl Attributed for Jobs {
    fn known(&self) -> &'static [Known] {
        if self.acct { &ACCT_WHOLE } else { BHIST }
    }

    fn always(&self, name: &str) -> bool {
        !self.acct || ACCT.iter().any(|known| known.name == name)
    }

    fn look(&self, input: &Input, head: &[u8]) -> Result<Found> {
        if self.acct {
            return Ok(Found { layout: Arc::new(acct::Lines), header: 0 });
        }
        let text = String::from_utf8_lossy(head);
        let told = text.trim().is_empty() || text.lines().any(|line| line.starts_with("Job <"));
        if !told {
            let text = format!(
                "`{}` is neither the output of `bhist -l` nor an `lsb.acct`",
                input.path().display()
            );
            return Err(Error::new(Code::Usage, text));
        }
        Ok(Found { layout: Arc::new(bhist::Blocks), header: 0 })
    }
}

const fn text(name: &'static str) -> Known {
    Known::new(name, Kind::Text)
}

const fn count(name: &'static str) -> Known {
    Known::new(name, Kind::Integer)
}

/// The columns of `bhist -l`.
pub(super) const BHIST: &[Known] = &[
    text("job_id"),
    text("job_name"),
    text("user"),
    text("user_group"),
    text("project"),
    text("application"),
    text("command"),
    text("queue"),
    text("from_host"),
    text("cwd"),
    text("requested_resources"),
    Known::new("submit_time", Kind::Time),
    Known::new("start_time", Kind::Time),
    Known::new("end_time", Kind::Time),
    count("processors_requested"),
    Known::new("execution_hosts", Kind::Nodes),
    count("slots"),
    text("status"),
    count("exit_code"),
    Known::new("max_memory", Kind::Bytes),
    Known::new("cpu_time", Kind::Number).unit("seconds"),
    Known::new("run_time", Kind::Number).unit("seconds"),
];

const fn moment(name: &'static str) -> Known {
    Known::new(name, Kind::Epoch).nulls(&["0", "-1"])
}

const fn usage(name: &'static str) -> Known {
    Known::new(name, Kind::Number).nulls(&["-1", "-1.0", "-1.000000"])
}

/// The columns of `lsb.acct`, those that only some versions have behind the others.
static ACCT_WHOLE: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let rest = text(tail::REST);
    ACCT.iter().chain(tail::TAIL).copied().chain([rest]).collect()
});

/// The fields of `JOB_FINISH` that stand before those that depend on the version.
pub(super) const ACCT: &[Known] = &[
    text("version"),
    moment("eventTime"),
    count("jobId"),
    count("userId"),
    count("options"),
    count("numProcessors"),
    moment("submitTime"),
    moment("beginTime"),
    moment("termTime"),
    moment("startTime"),
    text("userName"),
    text("queue"),
    text("resReq"),
    text("dependCond"),
    text("preExecCmd"),
    text("fromHost"),
    text("cwd"),
    text("inFile"),
    text("outFile"),
    text("errFile"),
    text("jobFile"),
    Known::new("askedHosts", Kind::Nodes),
    Known::new("execHosts", Kind::Nodes),
    count("numExHosts"),
    count("jStatus"),
    Known::new("hostFactor", Kind::Number),
    text("jobName"),
    text("command"),
    usage("ru_utime").unit("seconds"),
    usage("ru_stime").unit("seconds"),
    usage("ru_maxrss").unit("kibibytes"),
    usage("ru_ixrss"),
    usage("ru_ismrss"),
    usage("ru_idrss"),
    usage("ru_isrss"),
    usage("ru_minflt"),
    usage("ru_majflt"),
    usage("ru_nswap"),
    usage("ru_inblock"),
    usage("ru_oublock"),
    usage("ru_ioch"),
    usage("ru_msgsnd"),
    usage("ru_msgrcv"),
    usage("ru_nsignals"),
    usage("ru_nvcsw"),
    usage("ru_nivcsw"),
    usage("ru_exutime").unit("seconds"),
    text("mailUser"),
    text("projectName"),
    count("exitStatus"),
    count("maxNumProcessors"),
    text("loginShell"),
    text("timeEvent"),
    count("idx"),
    Known::new("maxRMem", Kind::Integer).unit("kibibytes"),
    Known::new("maxRSwap", Kind::Integer).unit("kibibytes"),
];

#[cfg(test)]
mod tests;
