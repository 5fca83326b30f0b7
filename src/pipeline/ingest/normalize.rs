//! Names that all schedulers share, with their units: which column of which format has which. A column whose
//! kind does not say the same thing keeps its own name. Changes no values but amounts of memory, which
//! become bytes.

use super::column::{Column, Kind};

/// What a shared name means.
#[derive(Debug)]
pub struct Name {
    /// The name.
    pub name: &'static str,
    /// What it says, in a few words.
    pub meaning: &'static str,
    /// What its values are.
    pub wanted: Wanted,
    /// By format, the columns that say it; the first that is there gets the name.
    pub from: &'static [(&'static str, &'static [&'static str])],
}

/// What the values of a shared name are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Texts or numbers that name something, as the scheduler has it.
    Label,
    /// Moments in UTC.
    Moment,
    /// Spans in seconds.
    Span,
    /// Counts.
    Count,
    /// Bytes.
    Bytes,
    /// Lists of hosts.
    Hosts,
}

impl Wanted {
    /// The unit, where there is one.
    pub const fn unit(self) -> Option<&'static str> {
        match self {
            Self::Moment => Some("UTC"),
            Self::Span => Some("seconds"),
            Self::Bytes => Some("bytes"),
            Self::Label | Self::Count | Self::Hosts => None,
        }
    }

    /// The column under a shared name, if it says such a thing.
    fn take(self, column: &Column) -> Option<Column> {
        let kind = match (self, column.kind, column.unit) {
            (Self::Label, kind, _)
            | (Self::Moment, kind @ (Kind::Time | Kind::Epoch), _)
            | (Self::Span, kind @ (Kind::Seconds | Kind::Minutes | Kind::ProcessorTime), _)
            | (Self::Span, kind @ (Kind::Integer | Kind::Number), Some(_))
            | (Self::Count, kind @ (Kind::Integer | Kind::Number), None)
            | (Self::Bytes, kind @ (Kind::Bytes | Kind::Kibibytes | Kind::Mebibytes), _) => kind,
            (Self::Bytes, Kind::Integer | Kind::Number, Some("kibibytes")) => Kind::Kibibytes,
            (Self::Bytes, Kind::Integer | Kind::Number, Some("mebibytes")) => Kind::Mebibytes,
            (Self::Hosts, Kind::Nodes | Kind::Text, _) => Kind::Nodes,
            _ => return None,
        };
        let unit = if kind == column.kind { column.unit } else { None };
        Some(Column { kind, unit, ..column.clone() })
    }
}

/// The columns under shared names, in the same order and number.
pub fn columns(format: &str, columns: &[Column]) -> Vec<Column> {
    let mut out: Vec<Option<Column>> = vec![None; columns.len()];
    for name in NAMES {
        let Some((_, raw)) = name.from.iter().find(|(known, _)| *known == format) else { continue };
        let found = raw.iter().find_map(|raw| {
            let at = columns.iter().position(|column| column.name.eq_ignore_ascii_case(raw))?;
            name.wanted.take(columns.get(at)?).map(|column| (at, column))
        });
        if let Some((at, column)) = found
            && let Some(slot) = out.get_mut(at)
        {
            *slot = Some(Column { name: name.name.to_owned(), ..column });
        }
    }
    let taken: Vec<String> = out.iter().flatten().map(|column| column.name.clone()).collect();
    let all = columns.iter().zip(out);
    let own = |column: &Column| {
        let mut own = column.clone();
        // What is no shared name must not look like one.
        if taken.contains(&own.name) {
            own.name = format!("{format}_{}", own.name);
        }
        own
    };
    all.map(|(column, shared)| shared.unwrap_or_else(|| own(column))).collect()
}

const fn name(
    name: &'static str,
    wanted: Wanted,
    meaning: &'static str,
    from: &'static [(&'static str, &'static [&'static str])],
) -> Name {
    Name { name, meaning, wanted, from }
}

/// All shared names. No column of a format stands in two.
pub const NAMES: &[Name] = &[
    name(
        "job_id",
        Wanted::Label,
        "the job",
        &[
            ("slurm", &["JobID", "JobIDRaw"]),
            ("condor", &["ClusterId"]),
            ("lsf", &["job_id", "jobId"]),
            ("pbs", &["job_id"]),
            ("swf", &["job_number"]),
            ("uge", &["jobnumber"]),
        ],
    ),
    name(
        "task_id",
        Wanted::Label,
        "the part of an array or cluster of jobs",
        &[("condor", &["ProcId"]), ("lsf", &["idx"]), ("uge", &["taskid"])],
    ),
    name(
        "job_name",
        Wanted::Label,
        "what its owner calls it",
        &[
            ("slurm", &["JobName"]),
            ("lsf", &["job_name", "jobName"]),
            ("pbs", &["jobname"]),
            ("uge", &["jobname"]),
        ],
    ),
    name(
        "user",
        Wanted::Label,
        "who ran it",
        &[
            ("slurm", &["User"]),
            ("condor", &["User", "Owner"]),
            ("lsf", &["user", "userName"]),
            ("pbs", &["user"]),
            ("swf", &["user_id"]),
            ("uge", &["owner"]),
        ],
    ),
    name(
        "uid",
        Wanted::Label,
        "their number on the system",
        &[("slurm", &["UID"]), ("lsf", &["userId"])],
    ),
    name(
        "group",
        Wanted::Label,
        "their group",
        &[
            ("slurm", &["Group"]),
            ("condor", &["AcctGroup"]),
            ("lsf", &["user_group"]),
            ("pbs", &["group"]),
            ("swf", &["group_id"]),
            ("uge", &["group"]),
        ],
    ),
    name("gid", Wanted::Label, "its number on the system", &[("slurm", &["GID"])]),
    name(
        "account",
        Wanted::Label,
        "what is charged",
        &[
            ("slurm", &["Account"]),
            ("condor", &["AccountingGroup"]),
            ("pbs", &["account"]),
            ("uge", &["account"]),
        ],
    ),
    name(
        "project",
        Wanted::Label,
        "the project",
        &[("lsf", &["project", "projectName"]), ("pbs", &["project"]), ("uge", &["project"])],
    ),
    name("cluster", Wanted::Label, "the cluster", &[("slurm", &["Cluster"])]),
    name(
        "queue",
        Wanted::Label,
        "queue or partition",
        &[
            ("slurm", &["Partition"]),
            ("lsf", &["queue"]),
            ("pbs", &["queue"]),
            ("swf", &["queue"]),
            ("uge", &["qname"]),
        ],
    ),
    name(
        "submit_time",
        Wanted::Moment,
        "when it was submitted",
        &[
            ("slurm", &["Submit"]),
            ("condor", &["QDate"]),
            ("lsf", &["submit_time", "submitTime"]),
            ("pbs", &["ctime"]),
            ("uge", &["qsub_time"]),
        ],
    ),
    name(
        "submit_seconds",
        Wanted::Span,
        "the same, counted from the start of the log",
        &[("swf", &["submit_time"])],
    ),
    name(
        "eligible_time",
        Wanted::Moment,
        "when it could have begun",
        &[("slurm", &["Eligible"]), ("pbs", &["etime"])],
    ),
    name(
        "start_time",
        Wanted::Moment,
        "when it began",
        &[
            ("slurm", &["Start"]),
            ("condor", &["JobStartDate", "JobCurrentStartDate"]),
            ("lsf", &["start_time", "startTime"]),
            ("pbs", &["start"]),
            ("uge", &["start_time"]),
        ],
    ),
    name(
        "end_time",
        Wanted::Moment,
        "when it ended",
        &[
            ("slurm", &["End"]),
            ("condor", &["CompletionDate"]),
            ("lsf", &["end_time", "eventTime"]),
            ("pbs", &["end"]),
            ("uge", &["end_time"]),
        ],
    ),
    name(
        "wait_seconds",
        Wanted::Span,
        "how long it waited",
        &[("slurm", &["Planned", "Reserved"]), ("swf", &["wait_time"])],
    ),
    name(
        "wall_seconds",
        Wanted::Span,
        "how long it ran",
        &[
            ("slurm", &["Elapsed", "ElapsedRaw"]),
            ("condor", &["RemoteWallClockTime"]),
            ("lsf", &["run_time"]),
            ("pbs", &["resources_used.walltime"]),
            ("swf", &["run_time"]),
            ("uge", &["ru_wallclock"]),
        ],
    ),
    name(
        "wall_seconds_requested",
        Wanted::Span,
        "how long it might run",
        &[
            ("slurm", &["Timelimit", "TimelimitRaw"]),
            ("pbs", &["Resource_List.walltime"]),
            ("swf", &["requested_time"]),
        ],
    ),
    name(
        "cpu_seconds",
        Wanted::Span,
        "processor time used, all processors together",
        &[
            ("slurm", &["TotalCPU"]),
            ("lsf", &["cpu_time"]),
            ("pbs", &["resources_used.cput"]),
            ("uge", &["cpu"]),
        ],
    ),
    name(
        "cpu_user_seconds",
        Wanted::Span,
        "of it in the program",
        &[
            ("slurm", &["UserCPU"]),
            ("condor", &["RemoteUserCpu"]),
            ("lsf", &["ru_utime"]),
            ("uge", &["ru_utime"]),
        ],
    ),
    name(
        "cpu_system_seconds",
        Wanted::Span,
        "of it in the system",
        &[
            ("slurm", &["SystemCPU"]),
            ("condor", &["RemoteSysCpu"]),
            ("lsf", &["ru_stime"]),
            ("uge", &["ru_stime"]),
        ],
    ),
    name(
        "cpus_requested",
        Wanted::Count,
        "processors asked for",
        &[
            ("slurm", &["ReqCPUS"]),
            ("condor", &["RequestCpus"]),
            ("lsf", &["processors_requested", "numProcessors"]),
            ("pbs", &["Resource_List.ncpus"]),
            ("swf", &["requested_processors"]),
        ],
    ),
    name(
        "cpus_used",
        Wanted::Count,
        "processors or slots given",
        &[
            ("slurm", &["AllocCPUS", "NCPUS"]),
            ("condor", &["CpusProvisioned"]),
            ("lsf", &["slots"]),
            ("pbs", &["resources_used.ncpus"]),
            ("swf", &["allocated_processors"]),
            ("uge", &["slots"]),
        ],
    ),
    name(
        "gpus_requested",
        Wanted::Count,
        "graphics processors asked for",
        &[("condor", &["RequestGPUs"]), ("pbs", &["Resource_List.ngpus"])],
    ),
    name(
        "memory_requested_bytes",
        Wanted::Bytes,
        "memory asked for",
        &[("slurm", &["ReqMem"]), ("condor", &["RequestMemory"]), ("pbs", &["Resource_List.mem"])],
    ),
    name(
        "memory_used_bytes",
        Wanted::Bytes,
        "most memory held at once",
        &[
            ("slurm", &["MaxRSS"]),
            ("condor", &["MemoryUsage", "ResidentSetSize"]),
            ("lsf", &["max_memory", "maxRMem"]),
            ("pbs", &["resources_used.mem"]),
            ("uge", &["ru_maxrss"]),
        ],
    ),
    name(
        "memory_virtual_bytes",
        Wanted::Bytes,
        "most address space at once",
        &[
            ("slurm", &["MaxVMSize"]),
            ("lsf", &["maxRSwap"]),
            ("pbs", &["resources_used.vmem"]),
            ("uge", &["maxvmem"]),
        ],
    ),
    name(
        "exit_status",
        Wanted::Label,
        "what it returned",
        &[
            ("slurm", &["ExitCode"]),
            ("condor", &["ExitCode"]),
            ("lsf", &["exit_code", "exitStatus"]),
            ("pbs", &["Exit_status"]),
            ("uge", &["exit_status"]),
        ],
    ),
    name(
        "state",
        Wanted::Label,
        "how it ended, in the scheduler's words or numbers",
        &[
            ("slurm", &["State"]),
            ("condor", &["JobStatus"]),
            ("lsf", &["status", "jStatus"]),
            ("swf", &["status"]),
            ("uge", &["failed"]),
        ],
    ),
    name(
        "nodes",
        Wanted::Hosts,
        "the hosts it ran on",
        &[
            ("slurm", &["NodeList"]),
            ("lsf", &["execution_hosts", "execHosts"]),
            ("pbs", &["exec_host"]),
            ("uge", &["hostname"]),
        ],
    ),
    name(
        "node_count",
        Wanted::Count,
        "how many",
        &[("slurm", &["AllocNodes", "NNodes"]), ("pbs", &["Resource_List.nodect"])],
    ),
    name(
        "submit_host",
        Wanted::Label,
        "the host it was submitted from",
        &[("lsf", &["from_host", "fromHost"])],
    ),
    name(
        "command",
        Wanted::Label,
        "what was run",
        &[("slurm", &["SubmitLine"]), ("condor", &["Cmd"]), ("lsf", &["command"])],
    ),
    name(
        "work_dir",
        Wanted::Label,
        "the folder it ran in",
        &[("slurm", &["WorkDir"]), ("condor", &["Iwd"]), ("lsf", &["cwd"])],
    ),
];

#[cfg(test)]
mod tests;
