//! The files of a site's rows: JSON and CSV, written row by row. Counts nothing.

use std::io::Write;

use serde_json::{Map, Value};

use super::super::Output;
use super::super::cell::text;
use super::super::folder::Draft;
use super::super::page::Page;
use super::super::write::Format;
use crate::error::{Code, Context, Result};

/// The rows' own files.
pub(super) struct Sink {
    json: Option<(Draft, bool)>,
    csv: Option<csv::Writer<Draft>>,
}

impl Sink {
    /// Begins them.
    ///
    /// # Errors
    /// When one is there already or cannot be made.
    pub(super) fn open(
        page: &mut Page,
        names: &[String],
        buffer: usize,
        output: &Output<'_>,
    ) -> Result<Self> {
        let mut sink = Self { json: None, csv: None };
        if output.formats.contains(&Format::Json) {
            let name = format!("{}.json", page.stem);
            let mut draft = output.folder.draft(&name)?.waiting_with(buffer);
            let begun = draft.write_all(b"{\n\"jobs_at_site\": [");
            begun.map_err(|cause| draft.failed(cause))?;
            sink.json = Some((draft, true));
            page.written.push(name);
        }
        if output.formats.contains(&Format::Csv) {
            let name = format!("{}.csv", page.stem);
            let mut writer =
                csv::Writer::from_writer(output.folder.draft(&name)?.waiting_with(buffer));
            writer.write_record(names).context(Code::Usage, failed)?;
            sink.csv = Some(writer);
            page.written.push(name);
        }
        Ok(sink)
    }

    /// Writes a row.
    pub(super) fn row(&mut self, names: &[String], row: &[Value]) -> Result<()> {
        if let Some((draft, first)) = &mut self.json {
            let object: Map<_, _> = names.iter().cloned().zip(row.iter().cloned()).collect();
            let between: &[u8] = if *first { b"\n" } else { b",\n" };
            *first = false;
            let written = draft.write_all(between).and_then(|()| {
                serde_json::to_writer(&mut *draft, &object).map_err(std::io::Error::from)
            });
            written.map_err(|cause| draft.failed(cause))?;
        }
        if let Some(csv) = &mut self.csv {
            csv.write_record(row.iter().map(text)).context(Code::Usage, failed)?;
        }
        Ok(())
    }

    /// Gives them their names.
    pub(super) fn close(self, page: &Page, output: &mut Output<'_>) -> Result<()> {
        if let Some((mut draft, _)) = self.json {
            let end = || -> std::io::Result<()> {
                draft.write_all(b"\n],\n\"meta\": ")?;
                serde_json::to_writer_pretty(&mut draft, &output.meta.json(page))?;
                draft.write_all(b",\n\"notes\": ")?;
                serde_json::to_writer_pretty(&mut draft, &page.notes)?;
                draft.write_all(b"\n}\n")
            };
            let mut end = end;
            let ended = end();
            ended.map_err(|cause| draft.failed(cause))?;
            output.folder.keep(draft)?;
        }
        if let Some(csv) = self.csv {
            let draft = csv.into_inner().map_err(|cause| {
                crate::error::Error::new(Code::Usage, failed()).because(cause.into_error())
            })?;
            output.folder.keep(draft)?;
        }
        Ok(())
    }
}

fn failed() -> String {
    "the rows cannot be written".to_owned()
}
