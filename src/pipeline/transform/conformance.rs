//! The suite that every registered transform passes, for every type it takes: encodings, slices, nulls,
//! batches, promises and words. What a transform computes is tested beside it, not here.
//!
//! A transform joins by an entry in [`cases`]; one without an entry fails the suite.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayData, ArrayRef, AsArray, DictionaryArray, Int32Array, ListArray, new_null_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{cast, concat};
use arrow::datatypes::{DataType, Field, Int32Type};

use super::testing::Fixture;
use super::{ALL, Bind, Transform, elements, find};
use crate::error::Result;
use crate::keys::{ColumnKeys, KeyRing};
use crate::policy::args::{Args, Value};

mod cases;
mod samples;

/// One way to use a transform.
pub(super) struct Case {
    transform: &'static dyn Transform,
    args: Args,
    /// Columns besides the [`samples`] of every type.
    own: Vec<ArrayRef>,
    reads: fn() -> Vec<ArrayRef>,
    /// Columns that it learns from, under `pseudonym: hmac`.
    learns: fn() -> Vec<ArrayRef>,
    files: Vec<(&'static str, &'static str)>,
    shows: Shows,
}

/// How much of the raw bytes the output may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Shows {
    /// No raw text as a whole.
    Nothing,
    /// Values, but nothing from under a null.
    Values,
    /// The array itself; the seal copies it.
    Array,
}

impl Case {
    /// A transform by its words, with some parameters set.
    pub(super) fn new(verb: &str, method: Option<&str>, set: &[(&str, Value)]) -> Self {
        let transform =
            find(verb, method).unwrap_or_else(|| panic!("no transform {verb} {method:?}"));
        Self {
            transform,
            args: super::testing::args(transform, set),
            own: Vec::new(),
            reads: Vec::new,
            learns: Vec::new,
            files: Vec::new(),
            shows: Shows::Nothing,
        }
    }

    /// With a column of its own besides the samples, [`samples::ROWS`] rows long.
    pub(super) fn column(mut self, raw: ArrayRef) -> Self {
        assert_eq!(raw.len(), samples::ROWS, "a sample has as many rows as the others");
        self.own.push(raw);
        self
    }

    /// With other columns to read, [`samples::ROWS`] rows long.
    pub(super) fn reads(mut self, reads: fn() -> Vec<ArrayRef>) -> Self {
        self.reads = reads;
        self
    }

    /// With other columns to learn from.
    pub(super) fn learns(mut self, learns: fn() -> Vec<ArrayRef>) -> Self {
        self.learns = learns;
        self
    }

    /// With a file in the policy's folder.
    pub(super) fn file(mut self, name: &'static str, text: &'static str) -> Self {
        self.files.push((name, text));
        self
    }

    /// Some raw values may leave as they are.
    pub(super) fn shows_values(mut self) -> Self {
        self.shows = Shows::Values;
        self
    }

    /// The raw array leaves as it is.
    pub(super) fn shows_array(mut self) -> Self {
        self.shows = Shows::Array;
        self
    }

    fn name(&self) -> String {
        self.transform.spec().name()
    }

    /// The sample columns whose type the transform takes with these parameters.
    fn columns(&self) -> Vec<ArrayRef> {
        let fits = |raw: &ArrayRef| matches!(self.promised(raw), Some(Some(_)));
        samples::all().into_iter().chain(self.own.iter().cloned()).filter(fits).collect()
    }

    /// The promised type; the inner `None` for a column that does not leave, the outer for a refusal.
    fn promised(&self, raw: &ArrayRef) -> Option<Option<DataType>> {
        self.transform.output(&self.args, raw.data_type()).ok()
    }

    /// A fixture that has learned from the whole column.
    fn fixture(&self, raw: &ArrayRef) -> Fixture {
        self.try_fixture(raw).unwrap()
    }

    /// The same, where a value may be refused.
    fn try_fixture(&self, raw: &ArrayRef) -> Result<Fixture> {
        let reads = (self.reads)();
        let types: Vec<_> = reads.iter().map(|column| column.data_type().clone()).collect();
        let mut fixture = Fixture::new("column", raw.data_type()).with_reads(&types);
        for (name, text) in &self.files {
            std::fs::write(fixture.folder().join(name), text).unwrap();
        }
        let hmac = find("pseudonym", Some("hmac")).unwrap();
        let learns = (self.learns)();
        for (name, column) in self.transform.learns_from(&self.args).iter().zip(&learns) {
            fixture = fixture.with_neighbour(name, column.data_type(), hmac, &[]);
        }
        if let Some(mut learner) = self.transform.learner(&self.args, &fixture.bind()).unwrap() {
            match learns.first() {
                Some(first) => learner.observe(first, &learns)?,
                None => learner.observe(raw, &reads)?,
            }
            fixture.learned = Some(learner.finish()?);
        }
        Ok(fixture)
    }

    /// The bare kernel, fresh, over some rows.
    fn bare(&self, fixture: &Fixture, raw: &ArrayRef, reads: &[ArrayRef]) -> ArrayRef {
        let mut kernel = self.transform.kernel(&self.args, &fixture.bind()).unwrap();
        kernel.apply(raw, reads).unwrap()
    }

    /// The kernel with what surrounds it in the pipeline, as a plain array.
    fn surrounded(&self, fixture: &Fixture, raw: &ArrayRef, promised: &DataType) -> ArrayRef {
        let mut kernel = fixture.kernel(self.transform, &self.args).unwrap();
        cast(&kernel.apply(raw, &(self.reads)()).unwrap(), promised).unwrap()
    }
}

/// Runs a check for every case and every column that the case takes.
fn for_all(check: impl Fn(&Case, &Fixture, &ArrayRef, &DataType)) {
    for case in cases::all() {
        for raw in case.columns() {
            let promised = case.promised(&raw).flatten().unwrap();
            let fixture = case.fixture(&raw);
            println!("{} over {}", case.name(), raw.data_type());
            check(&case, &fixture, &raw, &promised);
        }
    }
}

fn sliced(columns: &[ArrayRef], offset: usize, rows: usize) -> Vec<ArrayRef> {
    columns.iter().map(|column| column.slice(offset, rows)).collect()
}

#[test]
fn every_registered_transform_has_a_case_that_its_own_rules_accept() {
    let cases = cases::all();
    let names: BTreeSet<String> = cases.iter().map(Case::name).collect();
    for transform in ALL {
        let name = transform.spec().name();
        assert!(names.contains(&name), "`{name}` has no case in conformance/cases.rs");
    }
    for case in &cases {
        let name = case.name();
        let params = case.transform.spec().params;
        assert_eq!(case.transform.check(&case.args), [], "{name}");
        for (set, _) in case.args.iter() {
            assert!(params.iter().any(|param| param.name == set), "{name} has no `{set}`");
        }
        for param in params.iter().filter(|param| param.required) {
            assert!(case.args.value(param.name).is_some(), "{name} needs `{}`", param.name);
        }
        let leaves = case.promised(&samples::all()[0]) != Some(None);
        assert!(!leaves || !case.columns().is_empty(), "{name} takes none of the samples");
        let learns: Vec<DataType> =
            (case.learns)().iter().map(|column| column.data_type().clone()).collect();
        assert_eq!(case.transform.learns_from(&case.args).len(), learns.len(), "{name}");
        assert_eq!(case.transform.learns_fit(&case.args, &learns), Ok(()), "{name}");
        let reads = case.transform.reads(&case.args).len();
        let types: Vec<DataType> =
            (case.reads)().iter().map(|column| column.data_type().clone()).collect();
        assert_eq!(reads, types.len(), "{name} reads {reads} columns");
        assert_eq!(case.transform.reads_fit(&case.args, &types), Ok(()), "{name}");
    }
}

#[test]
fn every_transform_says_in_words_what_it_does_and_what_leaks() {
    for transform in ALL {
        let spec = transform.spec();
        let name = spec.name();
        let sentence = |text: &str| {
            text.ends_with('.') && text.chars().next().is_some_and(|first| !first.is_whitespace())
        };
        for text in [spec.does, spec.hides, spec.leaks] {
            assert!(sentence(text), "{name}: {text:?}");
        }
        assert!(!spec.takes.is_empty(), "{name}");
        let braced = format!("{{{}: ", spec.verb);
        assert!(spec.example == spec.verb || spec.example.starts_with(&braced), "{name}");
        if let Some(method) = spec.method {
            assert!(spec.example.contains(method), "{name}");
        }
        assert_eq!(
            find(spec.verb, spec.method).map(|found| found.spec().name()),
            Some(name.clone())
        );
        let names: BTreeSet<_> = spec.params.iter().map(|param| param.name).collect();
        assert_eq!(names.len(), spec.params.len(), "{name} has a parameter twice");
        assert!(!names.contains("method"), "{name}");
        assert!(spec.primary.is_none_or(|primary| names.contains(primary)), "{name}");
        for param in spec.params {
            assert!(sentence(param.doc), "{name}.{}: {:?}", param.name, param.doc);
            assert!(!param.required || param.default.is_none(), "{name}.{}", param.name);
        }
    }
    for case in cases::all() {
        let text = case.transform.explain(&case.args);
        assert!(text.ends_with('.') && text.starts_with(char::is_uppercase), "{text:?}");
        assert!(case.transform.explain_leaks(&case.args).ends_with('.'), "{}", case.name());
        let same = case.transform.compare(&case.args, &case.args);
        assert_eq!(same, super::Change::Moves, "{} against itself", case.name());
    }
}

/// PRIVACY: releases are built once for all partners, by rules that say they are the same for all.
#[test]
fn a_transform_without_keys_works_without_a_key_and_alone() {
    let none = ColumnKeys::new(Arc::new(KeyRing::none()), "domain:person", Some("cern"), 1);
    let mut keyless = BTreeSet::new();
    for_all(|case, fixture, _, _| {
        let (transform, args) = (case.transform, &case.args);
        if transform.is_keyed(args) {
            return;
        }
        let bind = Bind { keys: &none, ..fixture.bind() };
        assert!(transform.kernel(args, &bind).is_ok(), "{} needs a key", case.name());
        let learns = transform.learner(args, &bind).unwrap().is_some();
        assert_eq!(learns, transform.learns_column(), "{}", case.name());
    });
    for case in cases::all().iter().filter(|case| !case.transform.is_keyed(&case.args)) {
        keyless.insert(case.name());
    }
    assert!(keyless.contains("truncate") && keyless.contains("ip.truncate"), "{keyless:?}");
    for keyed in [
        "shift_time",
        "geo_laplace",
        "laplace",
        "randomized_response",
        "rappor",
        "scrub",
        "pseudonym.token",
        "ip.crypto_pan",
    ] {
        assert!(!keyless.contains(keyed), "{keyed}");
    }
}

#[test]
fn an_empty_column_gives_an_empty_column_of_the_promised_type() {
    for_all(|case, fixture, raw, promised| {
        let out = case.bare(fixture, &raw.slice(0, 0), &sliced(&(case.reads)(), 0, 0));
        assert_eq!((out.len(), out.data_type()), (0, promised));
    });
}

#[test]
fn the_type_is_the_promised_one_and_nulls_are_where_they_may_be() {
    for_all(|case, fixture, raw, promised| {
        let mut kernel = case.transform.kernel(&case.args, &fixture.bind()).unwrap();
        let replaces = kernel.replaces_nulls();
        let out = kernel.apply(raw, &(case.reads)()).unwrap();
        assert_eq!((out.len(), out.data_type()), (raw.len(), promised));
        for row in 0..raw.len() {
            if raw.is_null(row) {
                assert_eq!(out.is_null(row), !replaces, "row {row}");
            } else if !case.transform.adds_nulls(&case.args) {
                assert!(out.is_valid(row), "row {row}");
            }
        }
        if case.transform.is_pseudonym()
            && let Some(token) = kernel.null_token().unwrap()
        {
            assert_eq!((token.len(), token.data_type(), token.null_count()), (1, promised, 0));
        }
    });
}

#[test]
fn the_ends_of_a_type_are_answered_or_refused_but_never_a_panic() {
    // A panic ends the stream with nothing but "the worker died"; its message may quote a value.
    for case in cases::all() {
        for raw in
            samples::ends().into_iter().filter(|raw| matches!(case.promised(raw), Some(Some(_))))
        {
            println!("{} over {}", case.name(), raw.data_type());
            let reads = (case.reads)();
            let Ok(fixture) = case.try_fixture(&raw) else { continue };
            let mut kernel = case.transform.kernel(&case.args, &fixture.bind()).unwrap();
            if let Ok(out) = kernel.apply(&raw, &reads) {
                assert_eq!(out.len(), raw.len());
                out.to_data().validate_full().unwrap();
            }
        }
    }
}

#[test]
fn an_all_null_column_stays_null() {
    for_all(|case, fixture, raw, promised| {
        let none = new_null_array(raw.data_type(), 5);
        let mut kernel = case.transform.kernel(&case.args, &fixture.bind()).unwrap();
        let out = kernel.apply(&none, &sliced(&(case.reads)(), 0, 5)).unwrap();
        assert_eq!((out.len(), out.data_type()), (5, promised));
        assert_eq!(out.null_count(), if kernel.replaces_nulls() { 0 } else { 5 });
    });
}

#[test]
fn a_slice_gives_the_slice_of_the_whole() {
    for_all(|case, fixture, raw, _| {
        let reads = (case.reads)();
        let whole = case.bare(fixture, raw, &reads);
        for (offset, rows) in [(0, 7), (3, 9), (8, 8), (11, 13), (samples::ROWS - 1, 1)] {
            let part = case.bare(fixture, &raw.slice(offset, rows), &sliced(&reads, offset, rows));
            assert_eq!(&part, &whole.slice(offset, rows), "{rows} rows from {offset}");
        }
    });
}

#[test]
fn batches_do_not_show_and_twice_is_the_same() {
    for_all(|case, fixture, raw, _| {
        let reads = (case.reads)();
        let whole = case.bare(fixture, raw, &reads);
        assert_eq!(&case.bare(&case.fixture(raw), raw, &reads), &whole, "with a fresh fixture");
        for rows in [1, 3, 8] {
            let mut kernel = case.transform.kernel(&case.args, &fixture.bind()).unwrap();
            let parts: Vec<ArrayRef> = (0..raw.len())
                .step_by(rows)
                .map(|offset| {
                    let rows = rows.min(raw.len() - offset);
                    kernel.apply(&raw.slice(offset, rows), &sliced(&reads, offset, rows)).unwrap()
                })
                .collect();
            let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
            assert_eq!(&concat(&parts).unwrap(), &whole, "batches of {rows}");
        }
    });
}

#[test]
fn a_dictionary_gives_what_the_plain_column_gives() {
    for_all(|case, fixture, raw, promised| {
        // The values stand backwards behind some that no row uses; every second null is a null key,
        // the others are keys of null values.
        let unused = 5;
        let backwards: Vec<u32> = (0..raw.len() as u32).rev().collect();
        let backwards = arrow::array::UInt32Array::from(backwards);
        let values = arrow::compute::take(raw, &backwards, None).unwrap();
        let values = concat(&[&raw.slice(0, unused), &values]).unwrap();
        let keys: Int32Array = (0..raw.len())
            .map(|row| {
                let key = i32::try_from(unused + raw.len() - 1 - row).unwrap();
                (raw.is_valid(row) || row.is_multiple_of(2)).then_some(key)
            })
            .collect();
        let dictionary: ArrayRef =
            Arc::new(DictionaryArray::<Int32Type>::try_new(keys, values).unwrap());
        let plain = case.surrounded(fixture, raw, promised);
        assert_eq!(&case.surrounded(fixture, &dictionary, promised), &plain);
        let other_keys =
            DataType::Dictionary(Box::new(DataType::UInt16), Box::new(raw.data_type().clone()));
        if let Ok(other) = cast(&dictionary, &other_keys) {
            assert_eq!(&case.surrounded(fixture, &other, promised), &plain);
        }
    });
}

#[test]
fn views_and_large_types_give_what_the_plain_column_gives() {
    for_all(|case, fixture, raw, promised| {
        let others = match raw.data_type() {
            DataType::Utf8 => [DataType::LargeUtf8, DataType::Utf8View],
            DataType::Binary => [DataType::LargeBinary, DataType::BinaryView],
            _ => return,
        };
        let plain = case.surrounded(fixture, raw, promised);
        for other in others {
            let same = cast(raw, &other).unwrap();
            assert_eq!(&case.surrounded(fixture, &same, promised), &plain, "{other}");
        }
    });
}

#[test]
fn no_buffer_holds_a_raw_text_or_what_stood_under_a_null() {
    for_all(|case, fixture, raw, _| {
        if case.shows == Shows::Array {
            return;
        }
        let out = case.bare(fixture, raw, &(case.reads)());
        let mut bytes = Vec::new();
        all_bytes(&out.to_data(), &mut bytes);
        for row in 0..raw.len() {
            let canary = samples::bytes_under(raw, row);
            let hidden = match raw.is_null(row) {
                true => canary.len() >= 4,
                false => case.shows == Shows::Nothing && samples::is_text(raw) && canary.len() >= 8,
            };
            if hidden {
                let found = bytes.windows(canary.len()).any(|window| window == canary);
                assert!(!found, "the bytes of row {row} are in the output");
            }
        }
    });
}

/// `[rows 0, 1], null over row 2, [], [row 3], [rows 4, 5], ...`: lists of a column's values, and which
/// of these are in a list that is there.
fn listed(raw: &ArrayRef) -> (ListArray, Vec<bool>) {
    let (mut lengths, mut valid, mut seen) = (Vec::new(), Vec::new(), Vec::new());
    for length in [2, 1, 0, 1].into_iter().cycle() {
        let length = length.min(raw.len() - seen.len());
        let there = lengths.len() % 4 != 1;
        lengths.push(length);
        valid.push(there);
        seen.extend(std::iter::repeat_n(there, length));
        if seen.len() == raw.len() {
            break;
        }
    }
    let item = Arc::new(Field::new("item", raw.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths(lengths);
    (ListArray::new(item, offsets, Arc::clone(raw), Some(valid.into())), seen)
}

#[test]
fn a_list_gives_what_its_elements_give_and_holds_nothing_else() {
    let taken = std::cell::RefCell::new(BTreeSet::new());
    for_all(|case, fixture, raw, promised| {
        let (lists, seen) = listed(raw);
        let fit = elements::fit(case.transform, &case.args, lists.data_type());
        let row_by_row =
            !case.transform.reads(&case.args).is_empty() || case.name().starts_with("rare");
        if row_by_row {
            assert!(fit.unwrap_err().starts_with("it holds lists, and "), "{}", case.name());
            return;
        }
        let fit = fit.unwrap();
        if !fit.by_element {
            assert!(["keep", "null", "constant"].contains(&case.name().as_str()));
            return;
        }
        let mut surrounded = Fixture::new("column", lists.data_type());
        surrounded.tokens = Arc::clone(&fixture.tokens);
        surrounded.learned = fixture.learned.clone();
        for (name, text) in &case.files {
            std::fs::write(surrounded.folder().join(name), text).unwrap();
        }
        // The elements alone, of the lists that are there.
        let plain = case.surrounded(fixture, raw, promised);
        let seen: arrow::array::BooleanArray = seen.into_iter().map(Some).collect();
        let plain = arrow::compute::filter(&plain, &seen).unwrap();
        let out = surrounded
            .kernel(case.transform, &case.args)
            .unwrap()
            .apply(&(Arc::new(lists.clone()) as ArrayRef), &[])
            .unwrap();
        assert_eq!(Some(out.data_type()), fit.output.as_ref());
        let out: &ListArray = out.as_list();
        assert_eq!(out.values(), &plain);
        for row in 0..lists.len() {
            assert_eq!(out.is_null(row), lists.is_null(row), "row {row}");
            let length = if lists.is_null(row) { 0 } else { lists.value_length(row) };
            assert_eq!(out.value_length(row), length, "row {row}");
        }
        // What only a null list held is nowhere.
        let mut bytes = Vec::new();
        all_bytes(&out.to_data(), &mut bytes);
        if samples::is_text(raw) {
            for row in (0..raw.len()).filter(|row| !seen.value(*row)) {
                let canary = samples::bytes_under(raw, row);
                let elsewhere = (0..raw.len())
                    .any(|at| seen.value(at) && samples::bytes_under(raw, at) == canary);
                let found = bytes.windows(canary.len().max(1)).any(|window| window == canary);
                assert!(!found || elsewhere || canary.len() < 8, "row {row} is in the output");
            }
        }
        taken.borrow_mut().insert(case.name());
    });
    assert!(taken.borrow().len() > 15, "{taken:?}");
}

/// Every byte of every buffer, also outside of slices and under nulls.
fn all_bytes(data: &ArrayData, out: &mut Vec<u8>) {
    for buffer in data.buffers() {
        out.extend_from_slice(buffer.as_slice());
        out.extend_from_slice(b"|");
    }
    for child in data.child_data() {
        all_bytes(child, out);
    }
}

#[test]
fn the_suite_sees_a_kernel_that_only_clears_validity() {
    // What `nullif` does, done by hand: the check above must find the bytes.
    let raw = samples::all().remove(0);
    let cleared = raw.to_data().into_builder().nulls(None).null_bit_buffer(None).build().unwrap();
    let mut bytes = Vec::new();
    all_bytes(&cleared, &mut bytes);
    let row = (0..raw.len()).find(|row| raw.is_null(*row)).unwrap();
    let canary = samples::bytes_under(&raw, row);
    assert!(canary.len() >= 8);
    assert!(bytes.windows(canary.len()).any(|window| window == canary));
}
