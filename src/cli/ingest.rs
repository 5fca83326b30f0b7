//! `veilflight ingest`: text of schedulers and plain tables becomes typed parquet, from which policies
//! release. Releases nothing itself: what it writes is raw.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::builder::PossibleValuesParser;

use super::policy::DONE;
use super::progress::{Progress, Unit};
use crate::error::{Code, Error};
use crate::pipeline::ingest::column::Kind;
use crate::pipeline::ingest::format::{Options, Steps};
use crate::pipeline::ingest::zone::Zone;
use crate::pipeline::ingest::{ALL, Earlier, Limits, Observer, Request, Summary, format, run};

const EXAMPLES: &str = "\
Examples:
  veilflight ingest slurm sacct-2026-*.txt.gz --out data/jobs
                                             what `sacct --parsable2` printed, with a header line
  veilflight ingest slurm jobs.log --fields JobID,User,State,Submit,Elapsed --out data/jobs
                                             the same without one
  veilflight ingest slurm jobs.txt --steps fold --time-zone Europe/Berlin --out data/jobs
  veilflight ingest csv people.csv --types zip=text,joined=date --out data/people

Data that cannot be read goes to the rejects file, line by line, with the reason. A run that was
stopped goes on when it is started again. What is written is raw (mode 0600): partners get it through
a policy, see `veilflight policy`.";

/// Bring text of schedulers and plain tables in, as typed parquet
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Ingest {
    /// The format of the inputs
    #[arg(value_parser = PossibleValuesParser::new(ALL.iter().map(|format| {
        clap::builder::PossibleValue::new(format.name()).help(format.about())
    })))]
    format: String,
    /// The files; those packed with gzip too
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    /// The folder for the parquet files
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Where lines go that cannot be read [default: rejects.csv in the folder]
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// The names of the fields in their order, where no header line says them
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    fields: Option<Vec<String>>,
    /// The zone of times that name none: UTC, +01:00, Europe/Berlin
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    time_zone: Zone,
    /// What becomes of the rows of job steps
    #[arg(long, value_enum, default_value_t)]
    steps: Steps,
    /// Between fields: a character, or `tab` [default: by format, detected for csv]
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    delimiter: Option<u8>,
    /// Kinds of columns, as in `zip=text,start=time`: text, int, float, bool, date, time, epoch,
    /// seconds, minutes, cputime, bytes, nodes
    #[arg(long, value_name = "NAME=KIND,...", value_delimiter = ',', value_parser = typed)]
    types: Vec<(String, Kind)>,
    /// Which types of records are read, where a log has several: `E` for jobs that ended, as in pbs
    #[arg(long, value_name = "TYPE,...", value_delimiter = ',')]
    records: Vec<String>,
    /// From how many records of each input kinds are inferred; 0 for all [default: by format]
    #[arg(long, value_name = "RECORDS")]
    sample: Option<u64>,
    /// Give columns the names that all schedulers share
    #[arg(long)]
    normalize: bool,
    /// Add to what an earlier run wrote into the folder
    #[arg(long, conflicts_with = "overwrite")]
    append: bool,
    /// Remove what an earlier run wrote into the folder, and begin anew
    #[arg(long)]
    overwrite: bool,
    /// About how many rows a row group has
    #[arg(long, value_name = "ROWS", default_value_t = 131_072)]
    rows_per_group: usize,
    /// At about how many rows a new file begins
    #[arg(long, value_name = "ROWS", default_value_t = 1_048_576)]
    rows_per_file: u64,
    /// How many threads read and encode [default: one a processor, 16 at most]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        [one] if one.is_ascii() && !one.is_ascii_alphanumeric() && !b"\"\r\n".contains(one) => {
            Ok(*one)
        }
        _ => Err("write one character that is no letter, digit or quote, or `tab`".to_owned()),
    }
}

fn typed(text: &str) -> Result<(String, Kind), String> {
    let (name, kind) = text.rsplit_once('=').ok_or("write NAME=KIND, as in `zip=text`")?;
    let kind = match kind.to_ascii_lowercase().as_str() {
        "text" | "string" => Kind::Text,
        "int" | "integer" => Kind::Integer,
        "float" | "number" => Kind::Number,
        "bool" | "flag" => Kind::Flag,
        "date" => Kind::Date,
        "time" | "timestamp" => Kind::Time,
        "epoch" => Kind::Epoch,
        "seconds" => Kind::Seconds,
        "minutes" => Kind::Minutes,
        "cputime" => Kind::ProcessorTime,
        "bytes" => Kind::Bytes,
        "nodes" => Kind::Nodes,
        _ => {
            return Err("kinds are text, int, float, bool, date, time, epoch, seconds, minutes, \
                        cputime, bytes and nodes"
                .to_owned());
        }
    };
    Ok((name.to_owned(), kind))
}

impl Ingest {
    /// Brings the inputs in and says what became of them.
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<u8> {
        let format = format(&self.format)
            .ok_or_else(|| Error::new(Code::Usage, format!("there is no `{}`", self.format)))?;
        let limits = Limits::default();
        let request = Request {
            format,
            inputs: self.inputs,
            out: self.out,
            rejects: self.rejects,
            options: Options {
                fields: self.fields,
                zone: self.time_zone,
                steps: self.steps,
                delimiter: self.delimiter,
                types: self.types,
                records: self.records,
                sample: self.sample,
            },
            normalize: self.normalize,
            earlier: match (self.append, self.overwrite) {
                (true, _) => Earlier::Append,
                (_, true) => Earlier::Overwrite,
                _ => Earlier::Resume,
            },
            limits: Limits {
                rows_per_group: self.rows_per_group.max(1),
                rows_per_file: self.rows_per_file.max(1),
                threads: self.threads.map_or(limits.threads, usize::from),
            },
        };
        let progress = Arc::new(Shown(Progress::start("bringing in", Unit::Bytes)));
        let observer: Arc<dyn Observer> = Arc::<Shown>::clone(&progress);
        let done = run(&request, &observer);
        progress.0.finish();
        tell(&request, &done?, out)?;
        Ok(DONE)
    }
}

struct Shown(Progress);

impl Observer for Shown {
    fn begin(&self, bytes: u64) {
        self.0.expect(bytes);
    }

    fn read(&self, bytes: u64) {
        self.0.advance(bytes);
    }
}

fn tell(request: &Request, done: &Summary, out: &mut dyn Write) -> std::io::Result<()> {
    let counts = done.counts;
    let plural = |count: u64, one: &str| {
        if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
    };
    writeln!(
        out,
        "{} of {} from {}: {} in `{}` ({} bytes, mode 0600)",
        plural(counts.rows, "row"),
        plural(done.columns as u64, "column"),
        plural(done.inputs as u64, "input"),
        plural(done.files as u64, "file"),
        request.out.display(),
        done.bytes,
    )?;
    if done.earlier.rows > 0 {
        let rows = plural(done.earlier.rows, "row");
        writeln!(out, "{rows} of it were there from the run that was stopped")?;
    }
    if counts.left_out > 0 {
        let [one, many] = request.format.left_out();
        let what = match request.options.steps {
            Steps::Fold => "folded into the jobs",
            _ if request.format.has_records() => "left out; `--records` names those to read",
            _ => "left out",
        };
        let noun = if counts.left_out == 1 { one } else { many };
        writeln!(out, "{} {noun} {what}", counts.left_out)?;
    }
    if counts.rejected > 0 {
        let count = plural(counts.rejected, "record");
        let file = done.rejects.display();
        writeln!(out, "{count} could not be read: see `{file}` (raw text, mode 0600)")?;
    }
    writeln!(
        out,
        "records read {} = rows {} + rejects {} + {} {}",
        counts.rows + counts.rejected + counts.left_out,
        counts.rows,
        counts.rejected,
        if request.format.name() == "slurm" { "steps" } else { "left out" },
        counts.left_out
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Only {
        #[command(flatten)]
        ingest: Ingest,
    }

    fn call(words: &[&str]) -> Result<String, String> {
        let all = std::iter::once("ingest").chain(words.iter().copied());
        let only = Only::try_parse_from(all).map_err(|usage| usage.to_string())?;
        let mut out = Vec::new();
        match only.ingest.run(&mut out) {
            Ok(code) => assert_eq!(code, DONE),
            Err(error) => return Err(format!("{error:#}")),
        }
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn what_became_of_the_inputs_is_told_and_adds_up() {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("jobs.txt");
        let text = "1|ada|00:01:00\n1.batch|ada|00:01:00\n2|bob|soon\n";
        std::fs::write(&input, text).unwrap();
        let (input, out) = (input.to_str().unwrap(), folder.path().join("out"));
        let out = out.to_str().unwrap();
        let words = ["slurm", input, "--out", out, "--fields", "JobID,User,Elapsed"];
        let told = call(&[&words[..], &["--steps", "drop"]].concat()).unwrap();
        let bytes = std::fs::metadata(format!("{out}/jobs-00000.parquet")).unwrap().len();
        let told = told.replace(out, "OUT").replace(&bytes.to_string(), "BYTES");
        insta::assert_snapshot!(told, @r"
        1 row of 3 columns from 1 input: 1 file in `OUT` (BYTES bytes, mode 0600)
        1 job step left out
        1 record could not be read: see `OUT/rejects.csv` (raw text, mode 0600)
        records read 3 = rows 1 + rejects 1 + steps 1
        ");
        let error = call(&words).unwrap_err();
        assert!(error.contains("other options"), "{error}");
        call(&[&words[..], &["--overwrite"]].concat()).unwrap();
    }

    #[test]
    fn what_is_left_out_is_called_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let told = |format: &str, text: &str| {
            let input = folder.path().join(format);
            std::fs::write(&input, text).unwrap();
            let out = folder.path().join(format!("{format}-out"));
            let words = [format, input.to_str().unwrap(), "--out", out.to_str().unwrap()];
            let told = call(&words).unwrap();
            told.lines().skip(1).collect::<Vec<_>>().join("\n")
        };
        let one = "01/15/2024 08:00:00;Q;7.srv;queue=batch\n";
        let ended = "01/15/2024 09:00:00;E;7.srv;user=ann queue=batch\n";
        insta::assert_snapshot!(told("pbs", &format!("{one}{one}{ended}")), @r"
        2 records of other types left out; `--records` names those to read
        records read 3 = rows 1 + rejects 0 + left out 2
        ");
        let resized = "\"JOB_RESIZE\" \"10.1\" 1705314030 1001\n";
        insta::assert_snapshot!(told("lsf", resized), @r"
        1 record of another type left out
        records read 1 = rows 0 + rejects 0 + left out 1
        ");
    }

    #[test]
    fn wrong_words_are_told_with_what_to_write() {
        let flags = ["x", "--out", "y"];
        for (words, expected) in [
            (&["sulrm"][..], "similar value exists: 'slurm'"),
            (&["csv", "--types", "zip"], "write NAME=KIND, as in `zip=text`"),
            (&["csv", "--types", "zip=word"], "kinds are text, int"),
            (&["csv", "--delimiter", "ab"], "or `tab`"),
            (&["csv", "--time-zone", "Berlin"], "a name such as `Europe/Berlin`"),
            (&["csv", "--append", "--overwrite"], "cannot be used with"),
        ] {
            let error = call(&[words, &flags[..]].concat()).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        assert_eq!(delimiter("tab"), Ok(b'\t'));
        assert_eq!(typed("a=b=TIME"), Ok(("a=b".to_owned(), Kind::Time)));
    }
}
