//! `policy test`: sample rows through a policy, against what its author expects.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{DONE, ExitCode, FAILED, INVALID, Surroundings, cases_files, show};
use crate::diagnostic::{Report, render};
use crate::policy::fixture::{Cases, Mismatch, Outcome};

/// Run the sample rows that stand beside a policy through it.
///
/// Exit code 1 when a value is not what was expected.
#[derive(Debug, Args)]
pub struct Test {
    /// Cases files (`NAME.test.yaml`), or folders of them.
    #[arg(required = true, value_name = "FILES")]
    files: Vec<PathBuf>,
    /// Print what comes out of each row, as it could stand under `expect`.
    #[arg(long)]
    print: bool,
}

impl Test {
    /// Runs the verb.
    pub(super) fn run(self, around: &mut Surroundings<'_>) -> anyhow::Result<ExitCode> {
        let files = match cases_files(&self.files) {
            Ok(files) => files,
            Err(diagnostic) => {
                show(&Report::from(*diagnostic), around)?;
                return Ok(INVALID);
            }
        };
        let mut code = DONE;
        for file in files {
            let one = self.one(&file, around)?;
            code = code.max(one);
        }
        Ok(code)
    }

    fn one(&self, file: &Path, around: &mut Surroundings<'_>) -> anyhow::Result<ExitCode> {
        let name = file.display();
        let cases = match Cases::load(file) {
            Ok(cases) => cases,
            Err(report) => {
                around
                    .err
                    .write_all(render::human(report.diagnostics(), around.colour).as_bytes())?;
                return Ok(INVALID);
            }
        };
        let outcome = match cases.run() {
            Ok(outcome) => outcome,
            Err(error) => {
                writeln!(around.err, "{name}: {}", error.chain())?;
                return Ok(FAILED);
            }
        };
        if self.print {
            print(&outcome, around)?;
        }
        if outcome.mismatches.is_empty() {
            writeln!(around.out, "{name}: {} values as expected", outcome.compared)?;
            return Ok(DONE);
        }
        let (wrong, all) = (outcome.mismatches.len(), outcome.compared);
        writeln!(around.out, "{name}: {wrong} of {all} values are not as expected\n")?;
        around.out.write_all(table(&outcome.mismatches).as_bytes())?;
        Ok(FAILED)
    }
}

/// Each row's output as a flow map.
fn print(outcome: &Outcome, around: &mut Surroundings<'_>) -> anyhow::Result<()> {
    for row in &outcome.actual {
        let values: Vec<String> =
            row.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        writeln!(around.out, "expect: {{{}}}", values.join(", "))?;
    }
    Ok(())
}

/// An aligned table of what differs.
fn table(mismatches: &[Mismatch]) -> String {
    let head = ["line", "row", "column", "input", "expected", "actual"].map(str::to_owned);
    let mut lines = vec![head];
    lines.extend(mismatches.iter().map(|m| {
        let (line, row) = (m.line.to_string(), m.row.to_string());
        [line, row, m.column.clone(), m.input.clone(), m.expected.clone(), m.actual.clone()]
    }));
    let mut widths = [0; 6];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for line in &lines {
        let cells: Vec<String> =
            line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        out.push_str("  ");
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}
