//! `rare`: values that few rows, or few persons, share become one text. It counts one column alone; rare
//! combinations of columns are the business of a release.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use sha2::{Digest, Sha256};

use super::params::{defaulted, optional, required};
use super::persons;
use super::{Bind, Change, Exposure, Kernel, Learned, Learner, Spec, Transform, text};
use crate::error::{Code, Error, Result};
use crate::policy::args::{Args, Default, Kind};

/// Values shared by at least `below` rows or persons; the others are one.
///
/// - What it does: counts each value over all rows that the policy's filter lets through, before the
///   first value leaves; with `unit`, counts distinct persons instead of rows. A value counted fewer
///   than `below` times becomes `other`. Null stays null.
/// - What it hides: values that few share.
/// - What still leaks: frequent values, as they are; that a value is rare; between two versions of the
///   data, that a value passed the bound.
/// - Parameters: `below`, `other`, `unit`.
/// - Example: `{rare: {below: 10, unit: User}}`.
#[derive(Debug)]
pub(super) struct Rare;

static SPEC: Spec = Spec {
    verb: "rare",
    method: None,
    primary: Some("below"),
    params: &[
        required(
            "below",
            Kind::Integer { min: 2, max: 1_000_000_000 },
            "A value counted fewer times than this is rare.",
        ),
        defaulted("other", Kind::Text, Default::Text("other"), "What rare values become."),
        optional(
            "unit",
            Kind::Column,
            "The column that names persons; with it persons are counted, not rows.",
        ),
    ],
    does: "Replaces values that occur in few rows, or with few persons, by one text.",
    hides: "Rare values.",
    leaks: "Frequent values leave as they are, and it shows that the others are rare. One person with \
            many rows makes a value frequent unless `unit` names the persons. Where the data grows, a \
            value can become frequent between two pulls, which tells of the rows in between.",
    takes: "text and whole numbers",
    example: "{rare: {below: 10, unit: User}}",
    references: &[
        "Hundepool et al.: Statistical Disclosure Control (2012), recoding rare categories",
    ],
};

impl Transform for Rare {
    fn refuses_elements(&self) -> Option<&'static str> {
        Some("`rare` counts rows: one row could make a value frequent by holding it many times")
    }

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn output(&self, _args: &Args, input: &DataType) -> Result<Option<DataType>, String> {
        text::or_whole(input)?;
        Ok(Some(DataType::Utf8))
    }

    fn reads(&self, args: &Args) -> Vec<String> {
        args.text("unit").map(str::to_owned).into_iter().collect()
    }

    fn reads_fit(&self, _args: &Args, types: &[DataType]) -> Result<(), String> {
        types.iter().try_for_each(persons::fit)
    }

    fn exposure(&self, _args: &Args) -> Exposure {
        Exposure::Coarse
    }

    fn explain(&self, args: &Args) -> String {
        let below = args.integer("below").unwrap_or(0);
        let other = args.text("other").unwrap_or("other");
        match args.text("unit") {
            Some(unit) => format!(
                "Leaves as it is where at least {below} different `{unit}` share the value, else as \
                 `{other}`."
            ),
            None => format!(
                "Leaves as it is where at least {below} rows share the value, else as `{other}`."
            ),
        }
    }

    fn explain_leaks(&self, args: &Args) -> String {
        let rows = match args.text("unit") {
            Some(_) => "",
            None => {
                " Rows are counted, not persons: one person with many rows makes a value frequent."
            }
        };
        format!(
            "Frequent values, as they are, and that the others are rare.{rows} Where the data grows, \
             a value can become frequent between two pulls, which tells of the rows in between."
        )
    }

    fn compare(&self, old: &Args, new: &Args) -> Change {
        if old.text("unit") != new.text("unit") {
            // Distinct persons are never more than rows.
            return match (old.text("unit"), new.text("unit")) {
                (None, Some(_)) if new.integer("below") >= old.integer("below") => {
                    Change::Strengthens
                }
                (Some(_), None) if new.integer("below") <= old.integer("below") => Change::Weakens,
                _ => Change::Moves,
            };
        }
        match new.integer("below").cmp(&old.integer("below")) {
            std::cmp::Ordering::Greater => Change::Strengthens,
            std::cmp::Ordering::Less => Change::Weakens,
            std::cmp::Ordering::Equal => Change::Moves,
        }
    }

    fn learns_column(&self) -> bool {
        true
    }

    fn learner(&self, args: &Args, bind: &Bind<'_>) -> Result<Option<Box<dyn Learner>>> {
        bind.reads.iter().try_for_each(persons::check)?;
        let below = args
            .integer("below")
            .and_then(|below| u64::try_from(below).ok())
            .ok_or_else(|| Error::new(Code::Internal, "no bound for rare values"))?;
        Ok(Some(Box::new(Counts {
            below,
            by_unit: args.text("unit").is_some(),
            values_max: VALUES_MAX,
            seen: HashMap::new(),
            units: 0,
        })))
    }

    fn kernel(&self, args: &Args, bind: &Bind<'_>) -> Result<Box<dyn Kernel>> {
        let Some(Learned::Frequent(frequent)) = bind.learned else {
            return Err(Error::new(Code::Internal, "rare values were not counted"));
        };
        Ok(Box::new(Grouping {
            frequent: Arc::clone(frequent),
            other: args.text("other").unwrap_or("other").to_owned(),
        }))
    }
}

/// More distinct values than this are no categories; the rule is wrong, and counting would fill memory.
const VALUES_MAX: usize = 1_000_000;

/// Persons remembered in all, of values that are not frequent yet.
const UNITS_MAX: usize = 16_000_000;

/// How often a value was seen, as long as it is not frequent.
enum Seen {
    Rows(u64),
    /// Digests of persons: 16 bytes each, and a collision only makes a value rarer.
    Units(HashSet<[u8; 16]>),
    Enough,
}

struct Counts {
    below: u64,
    by_unit: bool,
    values_max: usize,
    seen: HashMap<String, Seen>,
    /// Persons held in `seen`.
    units: usize,
}

impl Counts {
    fn count(&mut self, value: &str, unit: Option<&[u8]>) -> Result<()> {
        if !self.seen.contains_key(value) {
            if self.seen.len() >= self.values_max {
                return Err(Error::new(
                    Code::SourceValue,
                    format!(
                        "`rare` counts up to {VALUES_MAX} different values, and there are more"
                    ),
                ));
            }
            let none = if self.by_unit { Seen::Units(HashSet::new()) } else { Seen::Rows(0) };
            self.seen.insert(value.to_owned(), none);
        }
        let Some(seen) = self.seen.get_mut(value) else { return Ok(()) };
        let enough = match seen {
            Seen::Enough => return Ok(()),
            Seen::Rows(rows) => {
                *rows += 1;
                *rows >= self.below
            }
            Seen::Units(units) => {
                // PRIVACY: rows without a person are nobody's, so they make no value frequent.
                let Some(unit) = unit else { return Ok(()) };
                let mut digest = [0; 16];
                digest.iter_mut().zip(Sha256::digest(unit)).for_each(|(to, from)| *to = from);
                self.units += usize::from(units.insert(digest));
                if self.units > UNITS_MAX {
                    return Err(Error::new(
                        Code::SourceValue,
                        "`rare` remembers too many persons of rare values; lower `below`",
                    ));
                }
                let enough = units.len() as u64 >= self.below;
                self.units -= if enough { units.len() } else { 0 };
                enough
            }
        };
        if enough {
            *seen = Seen::Enough;
        }
        Ok(())
    }
}

impl Learner for Counts {
    fn observe(&mut self, values: &ArrayRef, reads: &[ArrayRef]) -> Result<()> {
        let values = text::of(values)?;
        let units = match self.by_unit {
            true => Some(persons::names(persons::read(reads, 0, values.len())?)?),
            false => None,
        };
        let unit = |row: usize| {
            units.as_ref().and_then(|units| units.is_valid(row).then(|| units.value(row)))
        };
        for (row, value) in values.iter().enumerate() {
            if let Some(value) = value {
                self.count(value, unit(row))?;
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Learned> {
        let frequent = self
            .seen
            .into_iter()
            .filter_map(|(value, seen)| matches!(seen, Seen::Enough).then_some(value));
        Ok(Learned::Frequent(Arc::new(frequent.collect())))
    }
}

struct Grouping {
    frequent: Arc<HashSet<String>>,
    other: String,
}

impl Kernel for Grouping {
    fn apply(&mut self, values: &ArrayRef, _reads: &[ArrayRef]) -> Result<ArrayRef> {
        Ok(text::map(&text::of(values)?, |value| {
            Some(if self.frequent.contains(value) {
                Cow::Borrowed(value)
            } else {
                Cow::Owned(self.other.clone())
            })
        }))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int16Array;

    use super::super::testing::{Fixture, args, text, text_or_null, texts, word};
    use super::*;
    use crate::policy::args::Value;

    /// Learns from all batches, then transforms all.
    fn group(
        set: &[(&str, Value)],
        batches: &[(ArrayRef, Option<ArrayRef>)],
    ) -> Result<Vec<Option<String>>> {
        let args = args(&Rare, set);
        let mut fixture = Fixture::new("Site", batches[0].0.data_type());
        if let Some(units) = &batches[0].1 {
            fixture = fixture.with_reads(&[units.data_type().clone()]);
        }
        let mut learner = Rare.learner(&args, &fixture.bind())?.unwrap();
        for (values, units) in batches {
            learner.observe(values, units.as_slice())?;
        }
        fixture.learned = Some(learner.finish()?);
        let mut kernel = fixture.kernel(&Rare, &args)?;
        let mut out = Vec::new();
        for (values, units) in batches {
            out.extend(texts(&kernel.apply(values, units.as_slice())?));
        }
        Ok(out)
    }

    fn some(values: &[&str]) -> Vec<Option<String>> {
        values.iter().map(|value| Some((*value).to_owned())).collect()
    }

    #[test]
    fn a_value_seen_often_enough_over_all_batches_stays() {
        let batches = [(text(&["a", "b", "a"]), None), (text(&["a", "b", "c"]), None)];
        let out = group(&[("below", Value::Integer(3))], &batches).unwrap();
        assert_eq!(out, some(&["a", "other", "a", "a", "other", "other"]));
    }

    #[test]
    fn null_stays_null_and_is_not_counted() {
        let batches = [(text_or_null(&[None, None, Some("a"), None]), None)];
        let set = [("below", Value::Integer(2)), ("other", word("(few)"))];
        assert_eq!(group(&set, &batches).unwrap(), [None, None, Some("(few)".to_owned()), None]);
    }

    #[test]
    fn one_person_with_many_rows_makes_nothing_frequent_where_persons_are_counted() {
        let values = text(&["a", "a", "a", "b", "b", "b"]);
        let persons =
            text_or_null(&[Some("ada"), Some("ada"), Some("ada"), Some("ada"), Some("bob"), None]);
        let rows = group(&[("below", Value::Integer(2))], &[(ArrayRef::clone(&values), None)]);
        assert_eq!(rows.unwrap(), some(&["a", "a", "a", "b", "b", "b"]));
        let set = [("below", Value::Integer(2)), ("unit", word("User"))];
        let units = group(&set, &[(values, Some(persons))]).unwrap();
        assert_eq!(units, some(&["other", "other", "other", "b", "b", "b"]));
    }

    #[test]
    fn rows_without_a_person_make_nothing_frequent() {
        let set = [("below", Value::Integer(2)), ("unit", word("User"))];
        let persons = text_or_null(&[None, None, Some("ada")]);
        let out = group(&set, &[(text(&["a", "a", "a"]), Some(persons))]).unwrap();
        assert_eq!(out, some(&["other", "other", "other"]));
    }

    #[test]
    fn whole_numbers_leave_as_text() {
        let raw: ArrayRef = Arc::new(Int16Array::from(vec![7, 7, -1]));
        let out = group(&[("below", Value::Integer(2))], &[(raw, None)]).unwrap();
        assert_eq!(out, some(&["7", "7", "other"]));
    }

    #[test]
    fn without_counts_nothing_leaves() {
        let fixture = Fixture::new("Site", &DataType::Utf8);
        let set = args(&Rare, &[("below", Value::Integer(2))]);
        assert!(Rare.kernel(&set, &fixture.bind()).is_err());
    }

    #[test]
    fn a_column_of_too_many_values_is_refused() {
        let mut counts =
            Counts { below: 2, by_unit: false, values_max: 3, seen: HashMap::new(), units: 0 };
        for value in ["0", "1", "2"] {
            counts.count(value, None).unwrap();
        }
        counts.count("0", None).unwrap();
        assert_eq!(counts.count("one more", None).unwrap_err().code(), Code::SourceValue);
    }

    #[test]
    fn a_higher_bound_and_counting_persons_strengthen() {
        let two = args(&Rare, &[("below", Value::Integer(2))]);
        let ten = args(&Rare, &[("below", Value::Integer(10))]);
        let persons = args(&Rare, &[("below", Value::Integer(10)), ("unit", word("User"))]);
        assert_eq!(Rare.compare(&two, &ten), Change::Strengthens);
        assert_eq!(Rare.compare(&ten, &two), Change::Weakens);
        assert_eq!(Rare.compare(&two, &persons), Change::Strengthens);
        assert_eq!(Rare.compare(&persons, &two), Change::Weakens);
    }
}
