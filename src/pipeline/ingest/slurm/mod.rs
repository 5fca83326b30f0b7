//! Slurm: what `sacct --parsable2` prints, with a header line or with field names given. `fields.rs` says
//! what fields mean, `reader.rs` reads records. Asks no Slurm.

use std::sync::Arc;

use super::chunk::HEAD_BYTES;
use super::column::Column;
use super::format::{Format, Opened, Options, Plan};
use super::input::Input;
use crate::error::{Code, Error, Result};

mod fields;
mod reader;
#[cfg(test)]
mod tests;

/// The format.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slurm;

impl Format for Slurm {
    fn name(&self) -> &'static str {
        "slurm"
    }

    fn about(&self) -> &'static str {
        "what `sacct --parsable2` prints, with a header line or with --fields"
    }

    fn left_out(&self) -> [&'static str; 2] {
        ["job step", "job steps"]
    }

    fn plan(&self, inputs: &[Input], options: &Options) -> Result<Arc<dyn Plan>> {
        let delimiter = options.delimiter.unwrap_or(b'|');
        let mut names: Option<(Vec<String>, &Input)> = None;
        for input in inputs {
            let head = input.head(HEAD_BYTES)?;
            let found = header(input, &head, delimiter, options)?.names;
            match &names {
                None => names = Some((found, input)),
                Some((first, _)) if same(first, &found) => {}
                Some((first, other)) => {
                    let lacks = |from: &[String], name: &String| {
                        !from.iter().any(|own| own.eq_ignore_ascii_case(name))
                    };
                    let odd = found.iter().find(|name| lacks(first, name));
                    let odd = odd.or_else(|| first.iter().find(|name| lacks(&found, name)));
                    let text = format!(
                        "`{}` and `{}` do not have the same fields (`{}` is in one of them); bring \
                         them into folders of their own",
                        other.path().display(),
                        input.path().display(),
                        odd.map_or("", String::as_str)
                    );
                    return Err(Error::new(Code::Usage, text));
                }
            }
        }
        let (names, _) = names.ok_or_else(|| Error::new(Code::Usage, "there are no inputs"))?;
        let (_, columns) = fields::columns(&names);
        Ok(Arc::new(Sacct { names, columns, delimiter, options: options.clone() }))
    }
}

/// Whether two lists hold the same names, in whatever order.
fn same(one: &[String], other: &[String]) -> bool {
    let sorted = |names: &[String]| {
        let mut names: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
        names.sort();
        names
    };
    sorted(one) == sorted(other)
}

/// What the first line of an input says.
struct Header {
    names: Vec<String>,
    /// The length of the header line, zero when there is none.
    bytes: usize,
    /// `sacct --parsable`: a delimiter stands behind the last field too.
    trailing: bool,
    /// The names stood in quotes, so fields may.
    quoted: bool,
}

fn header(input: &Input, head: &[u8], delimiter: u8, options: &Options) -> Result<Header> {
    let refuse = |what: String| {
        Err(Error::new(Code::Usage, format!("`{}`: {what}", input.path().display())))
    };
    let bytes = memchr::memchr(b'\n', head).map_or(head.len(), |newline| newline + 1);
    let line = head.get(..bytes).unwrap_or_default().trim_ascii();
    let line = String::from_utf8_lossy(line);
    let given = options.fields.as_ref();
    if line.is_empty() && given.is_none() {
        return refuse("is empty; a header line is needed, or `--fields`".to_owned());
    }
    let delimiter = char::from(delimiter);
    let cells: Vec<&str> = line.split(delimiter).map(str::trim).collect();
    let unquoted: Vec<&str> = cells.iter().map(|cell| unquote(cell)).collect();
    let quoted = !cells.is_empty() && cells != unquoted;
    // Names of fields are told from values by those that are known: half of them is enough.
    let known = unquoted.iter().filter(|name| fields::find(name).is_some()).count();
    let is_header =
        known > 0 && known * 2 >= unquoted.iter().filter(|name| !name.is_empty()).count();
    let trailing = unquoted.len() > 1 && unquoted.last() == Some(&"");
    if let Some(names) = given {
        if is_header && !same(names, &owned(&unquoted, trailing)) {
            return refuse("has a header line, and `--fields` names others".to_owned());
        }
        let names = if is_header { owned(&unquoted, trailing) } else { names.clone() };
        let trailing = !line.is_empty() && cells.len() == names.len() + 1 && trailing;
        return Ok(Header { names, bytes: if is_header { bytes } else { 0 }, trailing, quoted });
    }
    if !is_header {
        if cells.len() < 2 {
            return refuse(format!(
                "there is no `{delimiter}` in the first line; is it what `sacct --parsable2` prints? \
                 `--delimiter` names another character"
            ));
        }
        return refuse(format!(
            "has no header line; name its {} fields in their order, as in `--fields \
             JobID,JobIDRaw,User,...`",
            cells.len()
        ));
    }
    let names = owned(&unquoted, trailing);
    if let Some(at) = names.iter().position(String::is_empty) {
        return refuse(format!("field {} of the header line has no name", at + 1));
    }
    Ok(Header { names, bytes, trailing, quoted })
}

fn owned(cells: &[&str], trailing: bool) -> Vec<String> {
    let count = cells.len() - usize::from(trailing);
    cells
        .iter()
        .take(count)
        .map(|name| fields::find(name).map_or(*name, |known| known.name).to_owned())
        .collect()
}

fn unquote(cell: &str) -> &str {
    cell.strip_prefix('"').and_then(|cell| cell.strip_suffix('"')).unwrap_or(cell)
}

/// Inputs with these fields.
#[derive(Debug)]
struct Sacct {
    names: Vec<String>,
    columns: Vec<Column>,
    delimiter: u8,
    options: Options,
}

impl Plan for Sacct {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn open(&self, input: &Input, head: &[u8]) -> Result<Opened> {
        let header = header(input, head, self.delimiter, &self.options)?;
        // The columns are in the order of the first input; each may have an order of its own.
        let (of_all, _) = fields::columns(&self.names);
        let mut own = Vec::with_capacity(header.names.len());
        for name in &header.names {
            let at = self.names.iter().position(|all| all.eq_ignore_ascii_case(name));
            let field = at.and_then(|at| of_all.get(at));
            own.extend(field.copied());
        }
        let reader = reader::Sacct::new(
            own,
            self.columns.clone(),
            self.delimiter,
            header.trailing,
            header.quoted,
            &self.options,
        );
        Ok(Opened { reader: Arc::new(reader), header: header.bytes })
    }
}
