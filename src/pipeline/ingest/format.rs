//! The contract between formats and the rest of `ingest`: a [`Format`] looks at the inputs and makes a
//! [`Plan`], a plan opens each input and gives a [`Reader`], a reader cuts text into records and hands
//! their fields to [`Rows`]. Types values, writes, counts, rejects and resumes nothing itself.
//!
//! ```text
//! inputs -> Format::plan -> Plan::columns                      (once a run; may read the inputs)
//! each input, its first bytes -> Plan::open -> Reader, length of the header
//! text -> Reader::whole (one thread, in order) -> blocks -> Reader::read (any thread) -> Rows
//! ```
//!
//! A new format is one file: a unit struct that implements `Format`, a plan, a reader, its tests, and a
//! line in [`super::ALL`]. For what `Reader::read` owes to `Rows`, see there.

use std::sync::Arc;

use super::column::{Column, Kind};
use super::input::Input;
use super::rows::Rows;
use super::zone::Zone;
use crate::error::{Code, Error, Result};

/// A format of text that can be ingested.
pub trait Format: Send + Sync + std::fmt::Debug {
    /// Its name on the command line and in the schema's metadata, in lower case.
    fn name(&self) -> &'static str;

    /// What it is, in a line for `--help`.
    fn about(&self) -> &'static str;

    /// Whether its logs have several types of records, so that [`Options::records`] says something.
    fn has_records(&self) -> bool {
        false
    }

    /// What a record is that is left out and counted: the words for one, and for several.
    fn left_out(&self) -> [&'static str; 2] {
        ["record of another type", "records of other types"]
    }

    /// Which columns there will be. May read the inputs, as often as it needs.
    ///
    /// # Errors
    /// `Usage` when the options do not fit the inputs, with what to write instead; `SourceUnreadable`.
    fn plan(&self, inputs: &[Input], options: &Options) -> Result<Arc<dyn Plan>>;
}

/// How the inputs of one run are read.
pub trait Plan: Send + Sync + std::fmt::Debug {
    /// The columns of the output, in order; the same for all inputs.
    fn columns(&self) -> &[Column];

    /// What the inputs say of themselves beside their records, such as acknowledgements: names and texts for
    /// the metadata of the output's schema.
    fn notes(&self) -> &[(String, String)] {
        &[]
    }

    /// What readers need for this input, from the bytes it begins with (a megabyte, or all of it; no
    /// byte-order mark, unpacked).
    ///
    /// # Errors
    /// When the input is none of this format.
    fn open(&self, input: &Input, head: &[u8]) -> Result<Opened>;
}

/// An input whose header was read.
#[derive(Debug)]
pub struct Opened {
    /// Reads what follows.
    pub reader: Arc<dyn Reader>,
    /// The length of the header: so many bytes are skipped.
    pub header: usize,
}

/// Reads records of one input. Has no state: blocks are read by several threads, in any order.
pub trait Reader: Send + Sync + std::fmt::Debug {
    /// How many bytes of `text` are whole records; zero when its first record goes on behind its end.
    /// `text` begins where a record begins and may end anywhere.
    ///
    /// What is cut here decides nothing but which block a record is in: reading all blocks, however they
    /// were cut, gives what reading the whole input at once would give. It is enough to find some
    /// boundary near the end. Records that belong together (a job and its steps, when they are folded)
    /// stay in one block.
    fn whole(&self, text: &[u8]) -> usize;

    /// Reads a block: all of `rows.text()`. The last block of an input may end without a newline or amid
    /// a record; a record that is larger than a block may be comes cut at a newline.
    fn read(&self, rows: &mut Rows<'_>);
}

/// What a person may say about the inputs. A format takes what it knows.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The names of the fields, where there is no header (`--fields`).
    pub fields: Option<Vec<String>>,
    /// Where times without a zone are from (`--time-zone`).
    pub zone: Zone,
    /// What becomes of job steps (`--steps`).
    pub steps: Steps,
    /// Between fields (`--delimiter`).
    pub delimiter: Option<u8>,
    /// Kinds of columns that a person knows better (`--types`).
    pub types: Vec<(String, Kind)>,
    /// The types of records that are read, where there are several (`--records`); the format's own choice
    /// when none is named.
    pub records: Vec<String>,
    /// How many records of each input types are inferred from, where they are (`--sample`); all when
    /// none.
    pub sample: Option<u64>,
}

impl Options {
    /// Refuses what says something of delimited text only.
    ///
    /// # Errors
    /// `Usage`, naming the option.
    pub(super) fn without_fields(&self, format: &str) -> Result<()> {
        let given = [
            ("--fields", self.fields.is_some()),
            ("--delimiter", self.delimiter.is_some()),
            ("--steps", self.steps != Steps::default()),
            ("--sample", self.sample.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((option, _)) => {
                let text = format!("`{option}` says nothing of `{format}`; leave it out");
                Err(Error::new(Code::Usage, text))
            }
            None => Ok(()),
        }
    }
}

/// What becomes of the rows of job steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Steps {
    /// They are rows like those of jobs.
    #[default]
    Keep,
    /// Their greatest use of memory and disk goes into their job's row.
    Fold,
    /// They are left out and counted.
    Drop,
}
