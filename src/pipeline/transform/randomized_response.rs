//! `randomized_response`: a category leaves as itself or, by a secret coin, as another of a fixed list. It does
//! not hide which person a row is about, and it counts nothing: that is done by whoever pulls.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringBuilder};
use arrow::datatypes::DataType;

use super::numbers::written;
use super::params::{defaulted, refusal, required};
use super::persons::{self, Draw};
use super::{Bind, Change, Exposure, Kernel, Refusal, Spec, Transform, text};
use crate::error::{Code, Error, Result};
use crate::policy::args::{Args, Default, Kind};

/// A category, or by chance another one.
///
/// - What it does: of k categories the true one leaves with the chance `e^epsilon / (e^epsilon + k - 1)`, else one
///   of the others, each with the same chance. The coin is drawn from the key, the person and the category,
///   so that a person's category always leaves as the same one. What is not in `values` is the category `other`.
///   Null stays null, and so does a value of an unknown person.
/// - What it hides: the category of one value, to a factor of `e^epsilon` in the odds of any guess.
/// - What still leaks: frequencies, which is what it is for; each of a person's different categories costs
///   epsilon once more; that a person's category changed can show; whether there was a value.
/// - Parameters: `values`, `person`, `epsilon`, `other`.
/// - Example: see [`Spec::example`].
/// - References: see [`Spec::references`].
#[derive(Debug)]
pub(super) struct RandomizedResponse;

/// The most categories: with more, next to nothing of the frequencies is left.
const VALUES_MAX: usize = 1_000;

static SPEC: Spec = Spec {
    verb: "randomized_response",
    method: None,
    primary: None,
    params: &[
        required(
            "values",
            Kind::Texts,
            "The categories, from public knowledge; not from the data.",
        ),
        required("person", Kind::Column, "The column that names the person; null gives null."),
        required(
            "epsilon",
            Kind::Number { min: 0.01, max: 20.0 },
            "The privacy loss of one category of one person: 1 lets odds change by a factor of 2.7.",
        ),
        defaulted(
            "other",
            Kind::Text,
            Default::Text("other"),
            "The category of values that are not listed; one of the list, or one more.",
        ),
    ],
    does: "Lets a category leave as itself or, by a secret coin, as another of a fixed list; the same for the \
           same person and category.",
    hides: "Which category one value is, up to a factor of e^epsilon in the odds of any guess (local \
            differential privacy).",
    leaks: "Frequencies, with known error. Each different category of a person costs epsilon once more, and \
            so does each partner who compares, unless linkage is shared. Equal output hints at an equal \
            category of a person, other output at a change. Whether there was a value.",
    takes: "text and whole numbers",
    example: "{randomized_response: {values: [low, normal, high], person: User, epsilon: 1.1}}",
    references: &[
        "Warner: Randomized Response (JASA 1965)",
        "Kairouz, Bonawitz, Ramage: Discrete Distribution Estimation under Local Privacy (ICML 2016)",
        "Erlingsson, Pihur, Korolova: RAPPOR (CCS 2014), the permanent response",
    ],
};

impl Transform for RandomizedResponse {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn check(&self, args: &Args) -> Vec<Refusal> {
        let values = args.texts("values");
        let mut refused = Vec::new();
        if let Some(twice) = values
            .iter()
            .enumerate()
            .find(|(at, value)| values.iter().take(*at).any(|before| before == *value))
        {
            let message = format!("`{}` is listed twice", twice.1);
            refused.push(refusal("values", message, "list each category once"));
        }
        if values.len() > VALUES_MAX {
            let message = format!("{} categories are more than {VALUES_MAX}", values.len());
            refused.push(refusal("values", message, "group them; `other` takes what is rare"));
        }
        if Coin::new(args).categories.len() < 2 {
            refused.push(refusal("values", "one category tells nothing", "list at least two"));
        }
        refused
    }

    fn output(&self, _args: &Args, input: &DataType) -> Result<Option<DataType>, String> {
        text::or_whole(input)?;
        Ok(Some(DataType::Utf8))
    }

    fn draws_for_person(&self) -> bool {
        true
    }

    fn exposure(&self, _args: &Args) -> Exposure {
        Exposure::Coarse
    }

    fn epsilon(&self, args: &Args) -> Option<f64> {
        args.number("epsilon")
    }

    fn explain(&self, args: &Args) -> String {
        let coin = Coin::new(args);
        let (keep, each) = coin.chances();
        format!(
            "Leaves as one of {} categories: as the true one with a chance of {} %, as each other with {} %. The \
             same `{}` with the same category always leaves as the same one. Among n rows of different \
             persons, of which c show a category, about (c - {} n) / {} have it.",
            coin.categories.len(),
            written((keep * 1e4).round() / 1e2),
            written((each * 1e4).round() / 1e2),
            args.text("person").unwrap_or_default(),
            written((each * 1e6).round() / 1e6),
            written(((keep - each) * 1e6).round() / 1e6),
        )
    }

    fn compare(&self, old: &Args, new: &Args) -> Change {
        let same = |name| old.value(name) == new.value(name);
        let by = old.number("epsilon").zip(new.number("epsilon"));
        match by {
            Some((old, new)) if new > old => Change::Weakens,
            Some((old, new)) if new < old && same("values") && same("other") => Change::Strengthens,
            _ => Change::Moves,
        }
    }

    fn kernel(&self, args: &Args, bind: &Bind<'_>) -> Result<Box<dyn Kernel>> {
        self.reads_fit(args, bind.reads).map_err(|reason| Error::new(Code::SchemaDrift, reason))?;
        let coin = Coin::new(args);
        if coin.categories.len() < 2 || !coin.epsilon.is_finite() || coin.epsilon <= 0.0 {
            return Err(Error::new(Code::Internal, "a response without a choice or an epsilon"));
        }
        Ok(Box::new(Response { draw: Draw::new(bind.keys, SPEC.verb)?, coin }))
    }
}

/// The categories and the odds.
struct Coin {
    /// Those of the policy, then `other` if it is none of these.
    categories: Vec<String>,
    other: usize,
    epsilon: f64,
}

impl Coin {
    fn new(args: &Args) -> Self {
        let mut categories = args.texts("values").to_vec();
        let other = args.text("other").unwrap_or("other");
        let at = categories.iter().position(|value| value == other).unwrap_or_else(|| {
            categories.push(other.to_owned());
            categories.len() - 1
        });
        Self { categories, other: at, epsilon: args.number("epsilon").unwrap_or(0.0) }
    }

    /// The chance of the true category, and of each other.
    fn chances(&self) -> (f64, f64) {
        let others = self.categories.len().saturating_sub(1) as f64;
        let keep = 1.0 / (1.0 + others * (-self.epsilon).exp());
        (keep, (1.0 - keep) / others)
    }

    /// Below how many of 2^53 numbers the true category leaves. Rounded down, to less of the truth; the
    /// chances are those stated to within 2^-50.
    fn bar(&self) -> u64 {
        // The chance is under one, so the product is under 2^53.
        let bar = (self.chances().0 * (1_u64 << 53) as f64).floor() as u64;
        bar.saturating_sub(1)
    }

    /// Which category leaves for the true one.
    fn leaves(&self, truth: usize, [coin, which, ..]: [u64; 4]) -> usize {
        if coin >> 11 < self.bar() {
            return truth;
        }
        // One of the others: a number below k - 1, which skips the true one. Even to within k / 2^64.
        let others = self.categories.len().saturating_sub(1) as u128;
        let other = usize::try_from((u128::from(which) * others) >> 64).unwrap_or(0);
        if other < truth { other } else { other + 1 }
    }
}

struct Response {
    draw: Draw,
    coin: Coin,
}

impl Response {
    // PRIVACY: seeded by person and category, so that neither repeated rows nor repeated pulls give a
    // second coin; all values outside the list are one category.
    fn of(&self, person: &[u8], value: &str) -> Option<&str> {
        let truth = self.coin.categories.iter().position(|category| category == value);
        let truth = truth.unwrap_or(self.coin.other);
        let category = self.coin.categories.get(truth)?;
        let leaves = self.coin.leaves(truth, self.draw.numbers(&[person, category.as_bytes()]));
        self.coin.categories.get(leaves).map(String::as_str)
    }
}

impl Kernel for Response {
    fn apply(&mut self, values: &ArrayRef, reads: &[ArrayRef]) -> Result<ArrayRef> {
        let names = persons::names(persons::read(reads, 0, values.len())?)?;
        let values = text::of(values)?;
        let mut out = StringBuilder::with_capacity(values.len(), 16 * values.len());
        for (row, value) in values.iter().enumerate() {
            let person = names.is_valid(row).then(|| names.value(row));
            out.append_option(person.zip(value).and_then(|(person, value)| self.of(person, value)));
        }
        Ok(Arc::new(out.finish()))
    }
}

#[cfg(test)]
mod tests;
