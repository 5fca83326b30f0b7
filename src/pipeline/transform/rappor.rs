//! `rappor`: a text leaves as a cohort and noisy bits of a Bloom filter, from which whoever pulls can count guesses.
//! Which bits a value sets is said in `rappor/bloom.rs`, with which chances they lie in `rappor/odds.rs`. Counting is
//! done by whoever pulls (`examples/rappor_decode.py`).

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::builder::NullBufferBuilder;
use arrow::array::{Array, ArrayRef, BinaryArray, FixedSizeBinaryArray, StructArray, UInt16Array};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, Fields};

use self::bloom::{BITS_MAX, Filter, HASHES_MAX};
use self::odds::Odds;
use super::numbers::{rounded_up, units, written};
use super::params::{defaulted, optional, refusal, required};
use super::persons::{self, Draw};
use super::{Bind, Change, Exposure, Kernel, Refusal, Spec, Transform, text};
use crate::error::{Code, Context, Error, Result};
use crate::policy::args::{Args, Default, Kind};

mod bloom;
mod odds;

/// RAPPOR: a cohort, and a Bloom filter under two layers of noise.
///
/// - What it does: a person is in one of `cohorts` cohorts. The value sets up to `hashes` of `bits` bits, others in each
///   cohort. The permanent response turns each bit over with half the chance `f`, always in the same way for the
///   same person and value. A report makes each bit one with the chance `q` where it is one and `p` where it is
///   not: the same for the same person and value, or, with `report`, for the same report. Null stays null,
///   and so does a value of an unknown person.
/// - What it hides: the value, to a factor of `e^epsilon` in the odds of any guess. Epsilon is `2 hashes ln((1 - f/2) /
///   (f/2))` over all reports of a value, less for one report, which without `report` is all there is.
/// - What still leaks: how often a value that somebody can guess occurs, which is what it is for; each of a person's
///   different values costs epsilon once more; the cohort; whether there was a value.
/// - Parameters: `person`, `report`, `bits`, `hashes`, `cohorts`, `f`, `p`, `q`.
/// - Example: see [`Spec::example`].
/// - References: see [`Spec::references`].
#[derive(Debug)]
pub(super) struct Rappor;

/// The most cohorts: each needs many persons.
const COHORTS_MAX: i64 = 1_024;

/// More than this is no promise; the same bound as for the other local rules.
const EPSILON_MAX: f64 = 20.0;

static SPEC: Spec = Spec {
    verb: "rappor",
    method: None,
    primary: None,
    params: &[
        required("person", Kind::Column, "The column that names the person; null gives null."),
        optional(
            "report",
            Kind::Column,
            "The column that tells one report of a person from the next, such as the job's number; without it all \
             rows of a person with a value are one report.",
        ),
        defaulted(
            "bits",
            Kind::Integer { min: 8, max: BITS_MAX },
            Default::Integer(128),
            "The length k of the Bloom filter, a multiple of 8.",
        ),
        defaulted(
            "hashes",
            Kind::Integer { min: 1, max: HASHES_MAX },
            Default::Integer(2),
            "How many bits h a value sets.",
        ),
        defaulted(
            "cohorts",
            Kind::Integer { min: 1, max: COHORTS_MAX },
            Default::Integer(32),
            "How many cohorts m there are, each with hashes of its own.",
        ),
        defaulted(
            "f",
            Kind::Number { min: 0.000_1, max: 0.99 },
            Default::Number(0.5),
            "The chance with which a coin stands for a bit, for good; without it reports would add up to the truth.",
        ),
        defaulted(
            "p",
            Kind::Number { min: 0.0, max: 1.0 },
            Default::Number(0.5),
            "The chance with which a bit that is not set is reported as one.",
        ),
        defaulted(
            "q",
            Kind::Number { min: 0.0, max: 1.0 },
            Default::Number(0.75),
            "The chance with which a bit that is set is reported as one; `p: 0, q: 1` reports the permanent response.",
        ),
    ],
    does: "Lets a cohort and noisy bits of a Bloom filter leave for a text (RAPPOR), the permanent noise the same for \
           the same person and value.",
    hides: "Which value it is, up to a factor of e^epsilon in the odds of any guess (local differential privacy): \
            one epsilon for all reports of a value, a smaller one for each by itself.",
    leaks: "How often a value occurs that somebody can guess, with known error. Each different value of a person \
            costs epsilon once more, and so does each partner who compares, unless linkage is shared. The \
            cohort of a person. Without `report`, equal output hints at an equal value of a person. Whether \
            there was a value.",
    takes: "text and whole numbers",
    example: "{rappor: {person: User, report: JobId}}",
    references: &[
        "Erlingsson, Pihur, Korolova: RAPPOR: Randomized Aggregatable Privacy-Preserving Ordinal Response (CCS 2014)",
        "https://github.com/google/rappor: bits of a value, order of bits",
    ],
};

impl Transform for Rappor {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn check(&self, args: &Args) -> Vec<Refusal> {
        let mut refused = Vec::new();
        let bits = args.integer("bits").unwrap_or(0);
        if bits % 8 != 0 {
            let message = format!("{bits} bits are no whole bytes");
            refused.push(refusal("bits", message, "write a multiple of 8"));
        }
        for name in ["f", "p", "q"] {
            if millionths(args, name).is_none() {
                let message = format!("`{name}` has more than six digits after the point");
                refused.push(refusal(name, message, "chances are counted in millionths"));
            }
        }
        if args.number("p") >= args.number("q") {
            let message = "`p` is not below `q`, so reports tell nothing";
            refused.push(refusal("p", message, "the paper takes `p: 0.5, q: 0.75`"));
        }
        if let Some(epsilon) = self.epsilon(args)
            && epsilon > EPSILON_MAX
        {
            let message =
                format!("epsilon is {}, and over {EPSILON_MAX} hides nothing", rounded_up(epsilon));
            refused.push(refusal("f", message, "write a greater `f`, or fewer `hashes`"));
        }
        refused
    }

    fn output(&self, args: &Args, input: &DataType) -> Result<Option<DataType>, String> {
        text::or_whole(input)?;
        Ok(Some(DataType::Struct(fields(args).ok_or("takes whole bytes of bits")?)))
    }

    fn draws_for_person(&self) -> bool {
        true
    }

    fn reads(&self, args: &Args) -> Vec<String> {
        ["person", "report"].iter().filter_map(|name| args.text(name)).map(str::to_owned).collect()
    }

    fn exposure(&self, _args: &Args) -> Exposure {
        Exposure::Coarse
    }

    // PRIVACY: where all rows are one report, nothing else of the permanent response ever leaves.
    fn epsilon(&self, args: &Args) -> Option<f64> {
        let of =
            if args.text("report").is_some() { Odds::epsilon } else { Odds::epsilon_of_report };
        Some(of(&odds(args)?, count(args, "hashes")?))
    }

    fn told(&self, args: &Args) -> Vec<(&'static str, String)> {
        let number = |name| written(args.number(name).unwrap_or(0.0));
        let mut told = vec![
            ("veilflight.rappor.bits", number("bits")),
            ("veilflight.rappor.hashes", number("hashes")),
            ("veilflight.rappor.cohorts", number("cohorts")),
            ("veilflight.rappor.f", number("f")),
            ("veilflight.rappor.p", number("p")),
            ("veilflight.rappor.q", number("q")),
        ];
        if let (Some(odds), Some(hashes)) = (odds(args), count(args, "hashes")) {
            let epsilons = [odds.epsilon(hashes), odds.epsilon_of_report(hashes)].map(rounded_up);
            let keys = ["veilflight.local.epsilon_permanent", "veilflight.local.epsilon_report"];
            told.extend(keys.into_iter().zip(epsilons));
        }
        told
    }

    fn explain(&self, args: &Args) -> String {
        let number = |name| written(args.number(name).unwrap_or(0.0));
        let percent = |chance: f64| written((chance * 1e4).round() / 1e2);
        let person = args.text("person").unwrap_or_default();
        let (Some(odds), Some(hashes)) = (odds(args), count(args, "hashes")) else {
            return "Leaves as bits without chances.".to_owned();
        };
        let loss = [odds.epsilon(hashes), odds.epsilon_of_report(hashes)].map(rounded_up);
        let (reports, loss) = match (args.text("report"), loss) {
            (_, [all, _]) if odds.is_one_time() => (
                "These bits are all reports of them".to_owned(),
                format!("rows of a value epsilon is {all}"),
            ),
            (Some(report), [all, one]) => (
                format!("Each `{report}` reports them with noise of its own"),
                format!("reports of a value epsilon is {all}, of one report {one}"),
            ),
            (None, [_, one]) => (
                "All rows report them with the same noise".to_owned(),
                format!("rows of a value epsilon is {one}"),
            ),
        };
        format!(
            "Leaves as one of {} cohorts, the same for the same `{person}`, and {} bits, of which the value sets up \
             to {}. Each bit is turned over for good with a chance of {} %, the same for the same `{person}` and \
             value. {reports}: of bits that the value sets, {} % are ones in the end, of the others {} %. Over all \
             {loss}.",
            number("cohorts"),
            number("bits"),
            number("hashes"),
            percent(args.number("f").unwrap_or(0.0) / 2.0),
            percent(odds.chance(true)),
            percent(odds.chance(false)),
        )
    }

    fn explain_leaks(&self, args: &Args) -> String {
        let equal = match args.text("report") {
            Some(_) => {
                "Of many reports of a person their permanent response to a value can be read."
            }
            None => "Equal output hints at an equal value of a person.",
        };
        format!(
            "How often a value occurs that somebody can guess, with known error. Each different value of a person \
             costs epsilon once more, and so does each partner who compares, unless linkage is shared. The cohort \
             of a person. {equal} Whether there was a value."
        )
    }

    fn compare(&self, old: &Args, new: &Args) -> Change {
        let more = |of: fn(&Args) -> Option<f64>| {
            let (old, new) = (of(old).unwrap_or(0.0), of(new).unwrap_or(0.0));
            if (new - old).abs() < 1e-9 { None } else { Some(new > old) }
        };
        let many = |args: &Args| args.text("report").is_some();
        let reports = (many(old) != many(new)).then(|| many(new));
        let all = [more(|args| Rappor.epsilon(args)), more(epsilon_of_report), reports];
        if all.contains(&Some(true)) {
            Change::Weakens
        } else if all.contains(&Some(false)) {
            Change::Strengthens
        } else {
            Change::Moves
        }
    }

    fn kernel(&self, args: &Args, bind: &Bind<'_>) -> Result<Box<dyn Kernel>> {
        self.reads_fit(args, bind.reads).map_err(|reason| Error::new(Code::SchemaDrift, reason))?;
        let whole = |name| count(args, name).filter(|count| *count > 0);
        let (Some(odds), Some(fields), Some(bits), Some(hashes), Some(cohorts)) =
            (odds(args), fields(args), whole("bits"), whole("hashes"), whole("cohorts"))
        else {
            return Err(Error::new(Code::Internal, "a filter without bits or chances"));
        };
        let draw = Draw::new(bind.keys, SPEC.verb)?;
        Ok(Box::new(Reports { draw, odds, fields, bits, hashes, cohorts, known: HashMap::new() }))
    }
}

/// A chance in millionths, where it is a whole number of them.
fn millionths(args: &Args, name: &str) -> Option<i128> {
    units(args, name, 6)
}

fn odds(args: &Args) -> Option<Odds> {
    Odds::new(millionths(args, "f")?, millionths(args, "p")?, millionths(args, "q")?)
}

fn epsilon_of_report(args: &Args) -> Option<f64> {
    Some(odds(args)?.epsilon_of_report(count(args, "hashes")?))
}

fn count(args: &Args, name: &str) -> Option<usize> {
    args.integer(name).and_then(|count| usize::try_from(count).ok())
}

/// The two columns inside of the one that leaves.
fn fields(args: &Args) -> Option<Fields> {
    let bits = args.integer("bits").filter(|bits| bits % 8 == 0)?;
    let width = i32::try_from(bits / 8).ok()?;
    // Both are null where the whole is, and SQL that takes one out must say so.
    Some(Fields::from(vec![
        Field::new("cohort", DataType::UInt16, true),
        Field::new("bits", DataType::FixedSizeBinary(width), true),
    ]))
}

/// How many permanent responses are remembered; a limit for memory, not for persons.
const KNOWN_MAX: usize = 16_384;

struct Reports {
    draw: Draw,
    odds: Odds,
    fields: Fields,
    bits: usize,
    hashes: usize,
    cohorts: usize,
    known: HashMap<(Vec<u8>, String), (u16, Filter)>,
}

impl Reports {
    /// The cohort of a person and their permanent response to a value.
    // PRIVACY: a function of key, person and value alone, so it is one and the same in all rows, batches, pulls
    // and exports, and nothing has to be stored for that.
    fn permanent(&mut self, person: &[u8], value: &str) -> (u16, Filter) {
        let key = (person.to_vec(), value.to_owned());
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        // Even to within 2^-54, and the value has no part in it.
        let [number, ..] = self.draw.numbers(&[b"cohort", person]);
        let cohort = (u128::from(number) * self.cohorts as u128) >> 64;
        let cohort = u16::try_from(cohort).unwrap_or(0);
        let filter = Filter::of(value.as_bytes(), cohort, self.hashes, self.bits);
        let permanent = self.odds.permanent(&filter, self.bits, |kind, place| {
            self.draw.numbers(&[b"permanent", person, value.as_bytes(), &[kind, place]])
        });
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
        }
        self.known.insert(key, (cohort, permanent));
        (cohort, permanent)
    }

    /// What leaves for a value of a person in a report.
    // PRIVACY: the report's noise is a function of key, person, value and report, so that a second pull gives the
    // same bits and not a second look at the permanent response.
    fn report(&mut self, person: &[u8], value: &str, report: Option<&[u8]>) -> (u16, Filter) {
        let (cohort, permanent) = self.permanent(person, value);
        if self.odds.is_one_time() {
            return (cohort, permanent);
        }
        let reported = self.odds.report(&permanent, self.bits, |kind, place| {
            let (of, place) = ([b"report", person, value.as_bytes()], [kind, place]);
            // Lists of another length draw otherwise, so no report is like the one without a name.
            match report {
                Some(report) => self.draw.numbers(&[of[0], of[1], of[2], report, &place]),
                None => self.draw.numbers(&[of[0], of[1], of[2], &place]),
            }
        });
        (cohort, reported)
    }
}

impl Kernel for Reports {
    fn apply(&mut self, values: &ArrayRef, reads: &[ArrayRef]) -> Result<ArrayRef> {
        let rows = values.len();
        let names = persons::names(persons::read(reads, 0, rows)?)?;
        let reports: Option<BinaryArray> = match reads.len() {
            1 => None,
            _ => Some(persons::names(persons::read(reads, 1, rows)?)?),
        };
        let values = text::of(values)?;
        let width = self.bits / 8;
        let (mut cohorts, mut bytes) = (Vec::with_capacity(rows), Vec::with_capacity(rows * width));
        let mut valid = NullBufferBuilder::new(rows);
        for (row, value) in values.iter().enumerate() {
            let person = names.is_valid(row).then(|| names.value(row));
            let left = person.zip(value).map(|(person, value)| {
                let report = reports.as_ref().filter(|reports| reports.is_valid(row));
                self.report(person, value, report.map(|reports| reports.value(row)))
            });
            valid.append(left.is_some());
            let (cohort, filter) = left.unwrap_or_default();
            cohorts.push(cohort);
            bytes.extend(filter.bytes(self.bits));
        }
        let valid = valid.finish();
        let failed = || "reports".to_owned();
        let width =
            i32::try_from(width).map_err(|_| Error::new(Code::Internal, "too many bits"))?;
        let bits = FixedSizeBinaryArray::try_new(width, Buffer::from_vec(bytes), valid.clone())
            .context(Code::Internal, failed)?;
        let cohorts = UInt16Array::new(cohorts.into(), valid.clone());
        let columns: Vec<ArrayRef> = vec![Arc::new(cohorts), Arc::new(bits)];
        let out = StructArray::try_new(self.fields.clone(), columns, valid)
            .context(Code::Internal, failed)?;
        Ok(Arc::new(out))
    }
}

#[cfg(test)]
mod tests;
