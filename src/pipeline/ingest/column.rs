//! What a column of ingested data is: its name, the kind of its values, their unit, and what folding job
//! steps does to it. Reads no values; that is done in `cells.rs`.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field, TimeUnit};

/// The field metadata that names a unit: `seconds`, `bytes`, ...
pub const UNIT: &str = "veilflight.unit";

/// What the texts of a column mean. A text that does not is a reason to reject its row, never a null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// UTF-8 text, as it stands.
    Text,
    /// A 64-bit integer. `12.0` is one, `1.5` is none.
    Integer,
    /// A 64-bit float.
    Number,
    /// `true`, `false`, `yes`, `no`, `1`, `0`, `t`, `f` in any case.
    Flag,
    /// A day, `2024-01-15`.
    Date,
    /// A moment, `2024-01-15T08:00:00` and its kin; without a zone it is in the one of the options.
    /// Microseconds in UTC.
    Time,
    /// A moment as seconds since 1970 in UTC, perhaps with a fraction. Microseconds in UTC.
    Epoch,
    /// A span in whole seconds: `7-20:39:39`, `1-02:03` (days-hours:minutes), `02:15:18`, `05:12`
    /// (minutes:seconds), `90`, and `MM:SS.mmm`, whose fraction is cut off.
    Seconds,
    /// A span in minutes as a plain number or as [`Kind::Seconds`] writes it, in whole seconds.
    Minutes,
    /// A span with its fraction, as a 64-bit float of seconds, written as [`Kind::Seconds`] is.
    ProcessorTime,
    /// An amount of memory or disk: `48000M`, `1.5G`, `512`, by powers of 1,024, in bytes.
    Bytes,
    /// An amount of memory in kibibytes as a plain number, or as [`Kind::Bytes`] writes it, in bytes.
    Kibibytes,
    /// An amount of memory in mebibytes as a plain number, or as [`Kind::Bytes`] writes it, in bytes.
    Mebibytes,
    /// A list of hosts, `cpn-f13-03-[01-02],login1`, one element a host.
    Nodes,
}

impl Kind {
    /// The type of the column's values.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Integer
            | Self::Seconds
            | Self::Minutes
            | Self::Bytes
            | Self::Kibibytes
            | Self::Mebibytes => DataType::Int64,
            Self::Number | Self::ProcessorTime => DataType::Float64,
            Self::Flag => DataType::Boolean,
            Self::Date => DataType::Date32,
            Self::Time | Self::Epoch => {
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
            }
            Self::Nodes => DataType::new_list(DataType::Utf8, true),
        }
    }

    /// The unit that follows from the kind.
    pub const fn unit(self) -> Option<&'static str> {
        match self {
            Self::Seconds | Self::Minutes | Self::ProcessorTime => Some("seconds"),
            Self::Bytes | Self::Kibibytes | Self::Mebibytes => Some("bytes"),
            _ => None,
        }
    }

    /// What a text of this kind is called where one is rejected.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Flag => "yes or no",
            Self::Date => "date",
            Self::Time => "date and time",
            Self::Epoch => "count of seconds since 1970",
            Self::Seconds | Self::Minutes | Self::ProcessorTime => "span of time",
            Self::Bytes | Self::Kibibytes | Self::Mebibytes => "amount of memory",
            Self::Nodes => "list of hosts",
        }
    }
}

/// What `--steps fold` makes of a column: the value of the job's own row and of its steps' rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fold {
    /// The job's own value; the steps' are left out.
    #[default]
    Job,
    /// The greatest of all, nulls left out.
    Most,
    /// The least of all, nulls left out.
    Least,
    /// The value of the row that gave the greatest of the column with this number, so that the node on
    /// which memory was greatest goes with the memory.
    With(usize),
}

/// A column as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name in the output; unique among the columns, letter case included.
    pub name: String,
    /// What its texts mean.
    pub kind: Kind,
    /// Its unit, when the kind does not say.
    pub unit: Option<&'static str>,
    /// Texts that mean null, compared as they stand. The empty text is null for every kind but `Text`.
    pub nulls: &'static [&'static str],
    /// What folding makes of it.
    pub fold: Fold,
}

impl Column {
    /// A column of this kind.
    pub fn new(name: impl Into<String>, kind: Kind) -> Self {
        Self { name: name.into(), kind, unit: None, nulls: &[], fold: Fold::Job }
    }

    /// The same column with a unit.
    #[must_use]
    pub const fn in_unit(mut self, unit: &'static str) -> Self {
        self.unit = Some(unit);
        self
    }

    /// The same column with texts that mean null.
    #[must_use]
    pub const fn with_nulls(mut self, nulls: &'static [&'static str]) -> Self {
        self.nulls = nulls;
        self
    }

    /// The same column, folded like this.
    #[must_use]
    pub const fn folded(mut self, fold: Fold) -> Self {
        self.fold = fold;
        self
    }

    /// The column's field in the schema of the output.
    pub fn field(&self) -> Field {
        let unit = self.unit.or_else(|| self.kind.unit());
        let metadata: HashMap<String, String> =
            unit.map(|unit| (UNIT.to_owned(), unit.to_owned())).into_iter().collect();
        Field::new(&self.name, self.kind.data_type(), true).with_metadata(metadata)
    }
}
