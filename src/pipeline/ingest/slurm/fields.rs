//! The fields that `sacct` prints: their names, and what their texts mean. Reads nothing.

use super::super::column::{Column, Fold, Kind};

/// Texts that mean that there is no value, in fields that are no plain text.
const NULLS: &[&str] = &[
    "Unknown",
    "None",
    "NONE",
    "INVALID",
    "N/A",
    "NOT_SET",
    "UNLIMITED",
    "Partition_Limit",
    "(null)",
    "None assigned",
];

/// What one field of `sacct` becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// One column of this kind.
    Plain(Kind),
    /// A kind and a unit of its own.
    Unit(Kind, &'static str),
    /// Text in which anything may stand, the delimiter and newlines too.
    Free,
    /// `CANCELLED by 423120`: the state, and the user who cancelled.
    State,
    /// `0:15`: the exit status, and the signal.
    ExitCode,
    /// `48000Mn`, `4Gc`: bytes, and whether they are a node's or a processor's.
    RequestedMemory,
    /// A job's or a step's number: `123`, `123.batch`, `123_4`, `123_[5-9%2]`.
    Job,
}

/// A field of `sacct`.
pub(super) struct Known {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) fold: Named,
}

/// What folding makes of a field, by the name of another.
#[derive(Clone, Copy)]
pub(super) enum Named {
    Job,
    Most,
    Least,
    With(&'static str),
}

const fn known(name: &'static str, shape: Shape) -> Known {
    Known { name, shape, fold: Named::Job }
}

const fn most(name: &'static str, kind: Kind) -> Known {
    Known { name, shape: Shape::Plain(kind), fold: Named::Most }
}

const fn with(name: &'static str, kind: Kind, other: &'static str) -> Known {
    Known { name, shape: Shape::Plain(kind), fold: Named::With(other) }
}

/// Every field that is no plain text, and those whose text is free.
const KNOWN: &[Known] = &[
    known("Account", Shape::Plain(Kind::Text)),
    known("AdminComment", Shape::Free),
    known("AllocCPUS", Shape::Plain(Kind::Integer)),
    known("AllocNodes", Shape::Plain(Kind::Integer)),
    known("AllocTRES", Shape::Plain(Kind::Text)),
    known("AssocID", Shape::Plain(Kind::Integer)),
    known("AveCPU", Shape::Plain(Kind::ProcessorTime)),
    known("AveCPUFreq", Shape::Plain(Kind::Text)),
    known("AveDiskRead", Shape::Plain(Kind::Bytes)),
    known("AveDiskWrite", Shape::Plain(Kind::Bytes)),
    known("AvePages", Shape::Unit(Kind::Bytes, "pages")),
    known("AveRSS", Shape::Plain(Kind::Bytes)),
    known("AveVMSize", Shape::Plain(Kind::Bytes)),
    known("BlockID", Shape::Plain(Kind::Text)),
    known("Cluster", Shape::Plain(Kind::Text)),
    known("Comment", Shape::Free),
    known("Constraints", Shape::Free),
    known("ConsumedEnergy", Shape::Plain(Kind::Text)),
    known("ConsumedEnergyRaw", Shape::Unit(Kind::Integer, "joules")),
    known("Container", Shape::Plain(Kind::Text)),
    known("CPUTime", Shape::Plain(Kind::Seconds)),
    known("CPUTimeRAW", Shape::Plain(Kind::Seconds)),
    known("DBIndex", Shape::Plain(Kind::Integer)),
    known("DerivedExitCode", Shape::ExitCode),
    known("Elapsed", Shape::Plain(Kind::Seconds)),
    known("ElapsedRaw", Shape::Plain(Kind::Seconds)),
    known("Eligible", Shape::Plain(Kind::Time)),
    known("End", Shape::Plain(Kind::Time)),
    known("ExitCode", Shape::ExitCode),
    known("Extra", Shape::Free),
    known("FailedNode", Shape::Plain(Kind::Text)),
    known("Flags", Shape::Plain(Kind::Text)),
    known("GID", Shape::Plain(Kind::Integer)),
    known("Group", Shape::Plain(Kind::Text)),
    known("JobID", Shape::Job),
    known("JobIDRaw", Shape::Job),
    known("JobName", Shape::Free),
    known("Layout", Shape::Plain(Kind::Text)),
    known("Licenses", Shape::Plain(Kind::Text)),
    most("MaxDiskRead", Kind::Bytes),
    with("MaxDiskReadNode", Kind::Text, "MaxDiskRead"),
    with("MaxDiskReadTask", Kind::Integer, "MaxDiskRead"),
    most("MaxDiskWrite", Kind::Bytes),
    with("MaxDiskWriteNode", Kind::Text, "MaxDiskWrite"),
    with("MaxDiskWriteTask", Kind::Integer, "MaxDiskWrite"),
    Known { name: "MaxPages", shape: Shape::Unit(Kind::Bytes, "pages"), fold: Named::Most },
    with("MaxPagesNode", Kind::Text, "MaxPages"),
    with("MaxPagesTask", Kind::Integer, "MaxPages"),
    most("MaxRSS", Kind::Bytes),
    with("MaxRSSNode", Kind::Text, "MaxRSS"),
    with("MaxRSSTask", Kind::Integer, "MaxRSS"),
    most("MaxVMSize", Kind::Bytes),
    with("MaxVMSizeNode", Kind::Text, "MaxVMSize"),
    with("MaxVMSizeTask", Kind::Integer, "MaxVMSize"),
    known("McsLabel", Shape::Plain(Kind::Text)),
    Known { name: "MinCPU", shape: Shape::Plain(Kind::ProcessorTime), fold: Named::Least },
    with("MinCPUNode", Kind::Text, "MinCPU"),
    with("MinCPUTask", Kind::Integer, "MinCPU"),
    known("NCPUS", Shape::Plain(Kind::Integer)),
    known("NNodes", Shape::Plain(Kind::Integer)),
    known("NodeList", Shape::Plain(Kind::Nodes)),
    most("NTasks", Kind::Integer),
    known("Partition", Shape::Plain(Kind::Text)),
    known("Planned", Shape::Plain(Kind::Seconds)),
    known("PlannedCPU", Shape::Plain(Kind::Seconds)),
    known("PlannedCPURAW", Shape::Plain(Kind::Seconds)),
    known("Priority", Shape::Plain(Kind::Integer)),
    known("QOS", Shape::Plain(Kind::Text)),
    known("QOSRAW", Shape::Plain(Kind::Integer)),
    known("QOSREQ", Shape::Plain(Kind::Text)),
    known("Reason", Shape::Plain(Kind::Text)),
    known("ReqCPUFreq", Shape::Plain(Kind::Text)),
    known("ReqCPUFreqGov", Shape::Plain(Kind::Text)),
    known("ReqCPUFreqMax", Shape::Plain(Kind::Text)),
    known("ReqCPUFreqMin", Shape::Plain(Kind::Text)),
    known("ReqCPUS", Shape::Plain(Kind::Integer)),
    known("ReqMem", Shape::RequestedMemory),
    known("ReqNodes", Shape::Plain(Kind::Integer)),
    known("ReqTRES", Shape::Plain(Kind::Text)),
    known("Reservation", Shape::Plain(Kind::Text)),
    known("ReservationId", Shape::Plain(Kind::Integer)),
    known("Reserved", Shape::Plain(Kind::Seconds)),
    known("Restarts", Shape::Plain(Kind::Integer)),
    known("ResvCPU", Shape::Plain(Kind::Seconds)),
    known("ResvCPURAW", Shape::Plain(Kind::Seconds)),
    known("Start", Shape::Plain(Kind::Time)),
    known("State", Shape::State),
    known("StdErr", Shape::Free),
    known("StdIn", Shape::Free),
    known("StdOut", Shape::Free),
    known("Submit", Shape::Plain(Kind::Time)),
    known("SubmitLine", Shape::Free),
    known("Suspended", Shape::Plain(Kind::Seconds)),
    known("SystemComment", Shape::Free),
    known("SystemCPU", Shape::Plain(Kind::ProcessorTime)),
    known("Timelimit", Shape::Plain(Kind::Seconds)),
    known("TimelimitRaw", Shape::Plain(Kind::Minutes)),
    known("TotalCPU", Shape::Plain(Kind::ProcessorTime)),
    known("TRESUsageInAve", Shape::Plain(Kind::Text)),
    known("TRESUsageInMax", Shape::Plain(Kind::Text)),
    known("TRESUsageInMaxNode", Shape::Plain(Kind::Text)),
    known("TRESUsageInMaxTask", Shape::Plain(Kind::Text)),
    known("TRESUsageInMin", Shape::Plain(Kind::Text)),
    known("TRESUsageInMinNode", Shape::Plain(Kind::Text)),
    known("TRESUsageInMinTask", Shape::Plain(Kind::Text)),
    known("TRESUsageInTot", Shape::Plain(Kind::Text)),
    known("TRESUsageOutAve", Shape::Plain(Kind::Text)),
    known("TRESUsageOutMax", Shape::Plain(Kind::Text)),
    known("TRESUsageOutMaxNode", Shape::Plain(Kind::Text)),
    known("TRESUsageOutMaxTask", Shape::Plain(Kind::Text)),
    known("TRESUsageOutMin", Shape::Plain(Kind::Text)),
    known("TRESUsageOutMinNode", Shape::Plain(Kind::Text)),
    known("TRESUsageOutMinTask", Shape::Plain(Kind::Text)),
    known("TRESUsageOutTot", Shape::Plain(Kind::Text)),
    known("UID", Shape::Plain(Kind::Integer)),
    known("User", Shape::Plain(Kind::Text)),
    known("UserCPU", Shape::Plain(Kind::ProcessorTime)),
    known("WCKey", Shape::Plain(Kind::Text)),
    known("WCKeyID", Shape::Plain(Kind::Integer)),
    known("WorkDir", Shape::Free),
];

/// The field of this name; letter case does not count, nor does a width (`JobName%30`).
pub(super) fn find(name: &str) -> Option<&'static Known> {
    let name = name.split_once('%').map_or(name, |(name, _)| name);
    KNOWN.iter().find(|known| known.name.eq_ignore_ascii_case(name))
}

/// A field of the input, and the number of its first column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) shape: Shape,
    pub(super) column: usize,
}

/// The columns that fields of these names become, in their order.
pub(super) fn columns(names: &[String]) -> (Vec<Field>, Vec<Column>) {
    let (mut fields, mut columns) = (Vec::new(), Vec::<Column>::new());
    for name in names {
        let known = find(name);
        let name = known.map_or(name.as_str(), |known| known.name);
        let shape = known.map_or(Shape::Plain(Kind::Text), |known| known.shape);
        fields.push(Field { shape, column: columns.len() });
        let integer = |name: String| Column::new(name, Kind::Integer).with_nulls(NULLS);
        match shape {
            Shape::Plain(Kind::Text) | Shape::Free | Shape::Job => {
                columns.push(Column::new(name, Kind::Text));
            }
            Shape::Plain(kind) => columns.push(Column::new(name, kind).with_nulls(NULLS)),
            Shape::Unit(kind, unit) => {
                columns.push(Column::new(name, kind).with_nulls(NULLS).in_unit(unit));
            }
            Shape::State => {
                columns.push(Column::new(name, Kind::Text));
                columns.push(integer("CancelledBy".to_owned()));
            }
            Shape::ExitCode => {
                columns.push(integer(name.to_owned()));
                columns.push(integer(format!("{}Signal", name.trim_end_matches("Code"))));
            }
            Shape::RequestedMemory => {
                columns.push(Column::new(name, Kind::Bytes).with_nulls(NULLS));
                columns.push(Column::new(format!("{name}Per"), Kind::Text));
            }
        }
    }
    let named: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    for column in &mut columns {
        column.fold = match find(&column.name).map_or(Named::Job, |known| known.fold) {
            Named::Job => Fold::Job,
            Named::Most => Fold::Most,
            Named::Least => Fold::Least,
            Named::With(other) => {
                named.iter().position(|name| name == other).map_or(Fold::Job, Fold::With)
            }
        };
    }
    (fields, columns)
}
