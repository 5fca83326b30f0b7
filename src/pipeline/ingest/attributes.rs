//! Records of named attributes: which columns a first pass over the inputs finds, of which kinds, and how
//! a record's attributes become a row. Formats of this form bring a [`Layout`] that cuts text into records,
//! and a table of the attributes they know. Knows no scheduler.
//!
//! The kind of a known attribute holds where every value of the inputs fits it; of any other, the kind of
//! its literals: integers and numbers together are numbers, all other mixtures are text.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

use super::cells;
use super::column::{Column, Kind};
use super::format::{Opened, Options, Plan, Reader};
use super::input::Input;
use super::rows::Rows;
use super::zone::Zone;
use crate::diagnostic::did_you_mean;
use crate::error::{Code, Context, Error, Result};

/// More columns than this are refused: every attribute of every record is one.
const COLUMNS_MAX: usize = 10_000;
/// How much text is looked at at a time in the first pass.
const BLOCK_BYTES: usize = 4 << 20;
/// A record that is longer than this is not waited for.
const RECORD_BYTES_MAX: usize = 256 << 20;
/// How many bytes of an input tell its layout.
const HEAD_BYTES: usize = 1 << 20;

/// A value as it is written.
#[cfg_attr(test, derive(Debug, PartialEq, Eq))]
pub(super) enum Value<'t> {
    /// There is none.
    Undefined,
    /// A whole number.
    Integer(Cow<'t, str>),
    /// A number with a fraction or an exponent.
    Number(Cow<'t, str>),
    /// `true` or `false`.
    Flag(Cow<'t, str>),
    /// Anything else.
    Text(Cow<'t, str>),
}

impl<'t> Value<'t> {
    fn kind(&self) -> Option<Kind> {
        match self {
            Self::Undefined => None,
            Self::Integer(_) => Some(Kind::Integer),
            Self::Number(_) => Some(Kind::Number),
            Self::Flag(_) => Some(Kind::Flag),
            Self::Text(_) => Some(Kind::Text),
        }
    }

    /// The text of the value; none where there is none.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Undefined => None,
            Self::Integer(text) | Self::Number(text) | Self::Flag(text) | Self::Text(text) => {
                Some(text)
            }
        }
    }

    /// A number that is whole though it is written as a fraction or a power, as `1.0E+03`.
    fn whole(&self) -> Option<String> {
        let Self::Number(text) = self else { return None };
        let value: f64 = text.parse().ok()?;
        // Beyond 2^53 not every whole number is a float.
        (value.fract() == 0.0 && value.abs() < 9e15).then(|| format!("{value:.0}"))
    }

    /// Text.
    pub(super) fn of(text: impl Into<Cow<'t, str>>) -> Self {
        Self::Text(text.into())
    }
}

/// A record: names with values. What stands last counts, whatever the case of its name.
pub(super) type Record<'t> = Vec<(Cow<'t, str>, Value<'t>)>;

/// What some bytes of text are.
#[cfg_attr(test, derive(Debug, PartialEq, Eq))]
pub(super) enum Piece<'t> {
    /// A record.
    Record(Record<'t>),
    /// Nothing: blank lines, headings.
    Skip,
    /// A record that was not asked for; it is counted.
    LeaveOut,
    /// What cannot be read, and why, without values.
    Reject(Cow<'static, str>),
}

/// Cuts text into records.
pub(super) trait Layout: Send + Sync + std::fmt::Debug {
    /// As [`Reader::whole`].
    fn whole(&self, text: &[u8]) -> usize;

    /// The piece that `text` begins with, and how many bytes it takes: more than none.
    fn piece<'t>(&self, text: &'t [u8]) -> (usize, Piece<'t>);
}

/// How a format reads an input: its layout, and how many bytes come before the first record.
pub(super) struct Found {
    pub(super) layout: Arc<dyn Layout>,
    pub(super) header: usize,
}

/// An attribute that a format knows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) unit: Option<&'static str>,
    pub(super) nulls: &'static [&'static str],
}

impl Known {
    pub(super) const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, unit: None, nulls: &[] }
    }

    pub(super) const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = Some(unit);
        self
    }

    pub(super) const fn nulls(mut self, nulls: &'static [&'static str]) -> Self {
        self.nulls = nulls;
        self
    }

    fn column(&self, name: &str) -> Column {
        let mut column = Column::new(name, self.kind).with_nulls(self.nulls);
        column.unit = self.unit;
        column
    }
}

/// A format of records of attributes.
pub(super) trait Attributed: Send + Sync + std::fmt::Debug + 'static {
    /// The attributes that it knows. Those of [`Attributed::always`] come first, in this order.
    fn known(&self) -> &'static [Known];

    /// Whether a known attribute is a column even if no record has it, so that the files of two months
    /// have the same columns.
    fn always(&self, name: &str) -> bool;

    /// How this input is read.
    ///
    /// # Errors
    /// When it is none of this format.
    fn look(&self, input: &Input, head: &[u8]) -> Result<Found>;
}

/// What the first pass found of one attribute.
struct Attribute {
    name: String,
    known: Option<Column>,
    /// Whether all values so far fit the known kind.
    fits: bool,
    /// The kind of the literals so far.
    literal: Option<Kind>,
}

/// Reads all inputs once and plans their columns.
pub(super) fn plan(
    format: Arc<dyn Attributed>,
    inputs: &[Input],
    options: &Options,
) -> Result<Arc<dyn Plan>> {
    let zone = options.zone;
    let mut found = Survey::new(format.as_ref());
    for input in inputs {
        let head = input.head(HEAD_BYTES)?;
        let Found { layout, header } = format.look(input, &head)?;
        let mut text = input.open(|_| ())?;
        let naming = || format!("`{}` cannot be read", input.path().display());
        let skipped = u64::try_from(header).unwrap_or(u64::MAX);
        std::io::copy(&mut text.by_ref().take(skipped), &mut std::io::sink())
            .context(Code::SourceUnreadable, naming)?;
        each_block(&mut text, layout.as_ref(), naming, |block| {
            found.look(layout.as_ref(), block, zone)
        })?;
    }
    let mut plan = Attributes::new(format, found.attributes);
    plan.retype(&options.types)?;
    Ok(Arc::new(plan))
}

/// Gives `each` the text in blocks of whole records.
fn each_block(
    text: &mut dyn Read,
    layout: &dyn Layout,
    naming: impl Fn() -> String,
    mut each: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut block = Vec::new();
    loop {
        let more = u64::try_from(BLOCK_BYTES).unwrap_or(u64::MAX);
        let read =
            text.take(more).read_to_end(&mut block).context(Code::SourceUnreadable, &naming)?;
        if read == 0 {
            return if block.is_empty() { Ok(()) } else { each(&block) };
        }
        let mut whole = layout.whole(&block).min(block.len());
        if whole == 0 && block.len() > RECORD_BYTES_MAX {
            whole = block.len();
        }
        each(block.get(..whole).unwrap_or_default())?;
        block.drain(..whole);
    }
}

struct Survey {
    attributes: Vec<Attribute>,
    places: HashMap<String, usize>,
    known: HashMap<String, Known>,
}

impl Survey {
    fn new(format: &dyn Attributed) -> Self {
        let known = format.known().iter().map(|known| (known.name.to_lowercase(), *known));
        let mut this =
            Self { attributes: Vec::new(), places: HashMap::new(), known: known.collect() };
        for known in format.known().iter().filter(|known| format.always(known.name)) {
            this.meet(known.name);
        }
        this
    }

    /// The attribute of this name, in any case.
    fn meet(&mut self, name: &str) -> usize {
        let key = name.to_lowercase();
        if let Some(place) = self.places.get(&key) {
            return *place;
        }
        let known = self.known.get(&key);
        // A name that is known is written as it is known.
        let name = known.map_or(name, |known| known.name).to_owned();
        let known = known.map(|known| known.column(&name));
        self.attributes.push(Attribute { name, known, fits: true, literal: None });
        let place = self.attributes.len() - 1;
        self.places.insert(key, place);
        place
    }

    fn look(&mut self, layout: &dyn Layout, mut text: &[u8], zone: Zone) -> Result<()> {
        while !text.is_empty() {
            let (bytes, piece) = layout.piece(text);
            if let Piece::Record(record) = piece {
                for (name, value) in &record {
                    let place = self.meet(name);
                    if let Some(attribute) = self.attributes.get_mut(place) {
                        attribute.see(value, zone);
                    }
                }
                if self.attributes.len() > COLUMNS_MAX {
                    let text = format!("the records have more than {COLUMNS_MAX} attributes");
                    return Err(Error::new(Code::Usage, text));
                }
            }
            text = text.get(bytes.max(1)..).unwrap_or_default();
        }
        Ok(())
    }
}

impl Attribute {
    fn see(&mut self, value: &Value<'_>, zone: Zone) {
        let (Some(kind), Some(text)) = (value.kind(), value.text()) else { return };
        if let Some(column) = &self.known {
            let whole = if column.kind == Kind::Integer { value.whole() } else { None };
            let text = whole.as_deref().unwrap_or(text);
            self.fits = self.fits && cells::fits(column, zone, text.as_bytes());
        }
        self.literal = Some(match self.literal {
            None => kind,
            Some(before) if before == kind => kind,
            Some(Kind::Integer | Kind::Number) if matches!(kind, Kind::Integer | Kind::Number) => {
                Kind::Number
            }
            Some(_) => Kind::Text,
        });
    }

    fn column(self) -> Column {
        match self.known {
            Some(column) if self.fits => column,
            // An attribute that is never defined is text; so says nothing of what it may become.
            _ => Column::new(self.name, self.literal.unwrap_or(Kind::Text)),
        }
    }
}

/// The columns that were found, and where each attribute goes.
#[derive(Debug)]
struct Attributes {
    format: Arc<dyn Attributed>,
    columns: Vec<Column>,
    /// By name in lower case: the column, and whether it is of whole numbers.
    places: Arc<HashMap<String, (usize, bool)>>,
}

impl Attributes {
    fn new(format: Arc<dyn Attributed>, found: Vec<Attribute>) -> Self {
        let columns: Vec<Column> = found.into_iter().map(Attribute::column).collect();
        let mut this = Self { format, columns, places: Arc::default() };
        this.places = Arc::new(this.find());
        this
    }

    fn find(&self) -> HashMap<String, (usize, bool)> {
        let columns = self.columns.iter().enumerate();
        let place = |(place, column): (usize, &Column)| {
            (column.name.to_lowercase(), (place, column.kind == Kind::Integer))
        };
        columns.map(place).collect()
    }

    /// What a person knows better.
    fn retype(&mut self, types: &[(String, Kind)]) -> Result<()> {
        for (name, kind) in types {
            let place = self.places.get(&name.to_lowercase());
            let Some(column) = place.and_then(|(place, _)| self.columns.get_mut(*place)) else {
                let meant =
                    did_you_mean(name, self.columns.iter().map(|known| known.name.as_str()));
                let meant = meant.map(|name| format!("; did you mean `{name}`?"));
                let text = format!("there is no column `{name}`{}", meant.unwrap_or_default());
                return Err(Error::new(Code::Usage, text));
            };
            if column.kind != *kind {
                *column = Column::new(column.name.clone(), *kind).with_nulls(column.nulls);
            }
        }
        self.places = Arc::new(self.find());
        Ok(())
    }
}

impl Plan for Attributes {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn open(&self, input: &Input, head: &[u8]) -> Result<Opened> {
        let Found { layout, header } = self.format.look(input, head)?;
        let reader = Arc::new(Records { layout, places: Arc::clone(&self.places) });
        Ok(Opened { reader, header })
    }
}

#[derive(Debug)]
struct Records {
    layout: Arc<dyn Layout>,
    places: Arc<HashMap<String, (usize, bool)>>,
}

impl Reader for Records {
    fn whole(&self, text: &[u8]) -> usize {
        self.layout.whole(text)
    }

    fn read(&self, rows: &mut Rows<'_>) {
        loop {
            let text = rows.rest();
            if text.is_empty() {
                return;
            }
            let (bytes, piece) = self.layout.piece(text);
            // A layout that takes nothing would never end.
            let bytes = bytes.clamp(1, text.len());
            match piece {
                Piece::Skip => rows.skip(bytes),
                Piece::LeaveOut => rows.leave_out(bytes),
                Piece::Reject(reason) => rows.reject(bytes, reason),
                Piece::Record(record) => self.record(rows, bytes, record),
            }
        }
    }
}

impl Records {
    fn record(&self, rows: &mut Rows<'_>, bytes: usize, record: Record<'_>) {
        for (name, value) in record {
            let place = self.places.get(name.as_ref()).copied();
            let place = place.or_else(|| self.places.get(&name.to_lowercase()).copied());
            let Some((column, integer)) = place else {
                return rows.reject(bytes, "an attribute that was not there in the first pass");
            };
            let whole = if integer { value.whole() } else { None };
            match whole.as_deref().or_else(|| value.text()) {
                None => rows.unset(column),
                Some(text) => rows.set(column, text.as_bytes()),
            }
        }
        rows.row(bytes);
    }
}

#[cfg(test)]
mod tests;
