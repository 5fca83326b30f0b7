//! Tests of `rappor`. Keys are fixed, so a statistical test that passes once passes always.

use arrow::array::{AsArray, Int32Array, StringArray};
use arrow::datatypes::UInt16Type;

use super::super::testing::{Fixture, args, keys, word};
use super::*;
use crate::policy::args::Value;

fn rule(set: &[(&str, Value)]) -> Args {
    set.iter().fold(args(&Rappor, &[("person", word("User"))]), |args, (name, value)| {
        args.with(name, value.clone())
    })
}

fn once() -> Args {
    rule(&[("p", Value::Integer(0)), ("q", Value::Integer(1))])
}

/// A report as it leaves: the cohort, and the bits from the first.
type Told = (u16, Vec<bool>);
type Report = Option<Told>;

/// Person, value and report.
type Row<'a> = (Option<&'a str>, Option<&'a str>, Option<&'a str>);

/// Ones among bits.
type Ones = (usize, usize);

/// What leaves for rows.
fn reports(args: &Args, rows: &[Row<'_>]) -> Vec<Report> {
    of_partner(args, rows, "cern")
}

fn of_partner(args: &Args, rows: &[Row<'_>], partner: &str) -> Vec<Report> {
    let column = |of: fn(&Row<'_>) -> Option<String>| {
        Arc::new(rows.iter().map(of).collect::<StringArray>()) as ArrayRef
    };
    let values = column(|row| row.1.map(str::to_owned));
    let mut reads = vec![column(|row| row.0.map(str::to_owned))];
    if args.text("report").is_some() {
        reads.push(column(|row| row.2.map(str::to_owned)));
    }
    let types: Vec<_> = reads.iter().map(|read| read.data_type().clone()).collect();
    let out = Fixture::new("Cmd", &DataType::Utf8)
        .with_reads(&types)
        .with_keys(keys("column:Cmd", Some(partner)))
        .apply(&Rappor, args, &values, &reads)
        .unwrap();
    read(&out)
}

fn read(out: &ArrayRef) -> Vec<Report> {
    let out = out.as_struct();
    let cohorts = out.column_by_name("cohort").unwrap().as_primitive::<UInt16Type>();
    let bits = out.column_by_name("bits").unwrap().as_fixed_size_binary();
    let is_one = |bytes: &[u8], bit: usize| bytes[bytes.len() - 1 - bit / 8] >> (bit % 8) & 1 == 1;
    (0..out.len())
        .map(|row| {
            let bytes = out.is_valid(row).then(|| bits.value(row))?;
            let bits = (0..8 * bytes.len()).map(|bit| is_one(bytes, bit)).collect();
            Some((cohorts.value(row), bits))
        })
        .collect()
}

const PERSONS: usize = 20_000;

fn persons() -> Vec<String> {
    (0..PERSONS).map(|n| format!("person {n}")).collect()
}

/// The reports of one value by many persons, and for each bit that of many persons the value sets it, or not, how
/// often it is one.
fn counted(args: &Args, value: &str) -> (Vec<Told>, [Ones; 2]) {
    let persons = persons();
    let rows: Vec<_> =
        persons.iter().map(|person| (Some(person.as_str()), Some(value), Some("a"))).collect();
    let all: Vec<_> = reports(args, &rows).into_iter().flatten().collect();
    assert_eq!(all.len(), PERSONS);
    let (bits, hashes) = (count(args, "bits").unwrap(), count(args, "hashes").unwrap());
    let mut ones = [(0, 0); 2];
    for (cohort, report) in &all {
        let filter = Filter::of(value.as_bytes(), *cohort, hashes, bits);
        for (bit, one) in report.iter().enumerate() {
            let of = &mut ones[usize::from(filter.has(bit))];
            of.0 += usize::from(*one);
            of.1 += 1;
        }
    }
    (all, ones)
}

/// The square of the deviation from a chance, in deviations: chi-square of one degree of freedom. Over 25 is one
/// false alarm in 1.7 million.
fn chi_square((ones, all): Ones, chance: f64) -> f64 {
    let all = all as f64;
    (ones as f64 - all * chance).powi(2) / (all * chance * (1.0 - chance))
}

#[test]
fn permanent_bits_lie_with_half_of_f() {
    let (_, [zeros, ones]) = counted(&once(), "fermilab");
    assert!(chi_square(zeros, 0.25) < 25.0, "{zeros:?}");
    assert!(chi_square(ones, 0.75) < 25.0, "{ones:?}");
    // An f of 0.47 would be seen.
    assert!(chi_square(zeros, 0.235) > 25.0 && chi_square(ones, 0.765) > 25.0);
}

#[test]
fn reported_bits_are_ones_with_the_chances_of_the_paper() {
    for (set, one, zero) in [
        (vec![], 0.6875, 0.5625),
        (vec![("report", word("Id"))], 0.6875, 0.5625),
        // f/2 = 1/6 to six digits: q* = 5/6 0.9 + 1/6 0.1, p* = 5/6 0.1 + 1/6 0.9.
        (
            vec![
                ("f", Value::Number(0.333_333)),
                ("p", Value::Number(0.1)),
                ("q", Value::Number(0.9)),
                ("bits", Value::Integer(40)),
            ],
            0.766_667,
            0.233_333,
        ),
    ] {
        let (_, [zeros, ones]) = counted(&rule(&set), "fermilab");
        assert!(chi_square(zeros, zero) < 25.0, "{set:?} {zeros:?}");
        assert!(chi_square(ones, one) < 25.0, "{set:?} {ones:?}");
        assert!(chi_square(ones, one - 0.02) > 25.0 && chi_square(zeros, zero + 0.02) > 25.0);
    }
}

/// Chi-square of 128 bits, each against its own chance, and of 32 cohorts; the bounds are passed by chance once in a
/// million: 128 and 31 degrees of freedom, the normal approximation of Wilson and Hilferty at 4.75 deviations.
#[test]
fn no_bit_and_no_cohort_is_preferred() {
    let bound = |degrees: f64| {
        let part = 2.0 / (9.0 * degrees);
        degrees * (1.0 - part + 4.75 * part.sqrt()).powi(3)
    };
    let (all, _) = counted(&once(), "fermilab");
    let mut cohorts = [0_usize; 32];
    let mut bits = [[(0_usize, 0_usize); 2]; 128];
    for (cohort, report) in &all {
        cohorts[usize::from(*cohort)] += 1;
        let filter = Filter::of(b"fermilab", *cohort, 2, 128);
        for (bit, one) in report.iter().enumerate() {
            let of = &mut bits[bit][usize::from(filter.has(bit))];
            of.0 += usize::from(*one);
            of.1 += 1;
        }
    }
    let unset: f64 = bits.iter().map(|bit| chi_square(bit[0], 0.25)).sum();
    assert!(unset < bound(128.0), "{unset}");
    let expected = PERSONS as f64 / 32.0;
    let spread: f64 =
        cohorts.iter().map(|count| (*count as f64 - expected).powi(2) / expected).sum();
    assert!(spread < bound(31.0), "{spread}");
}

/// Neighbouring bits, and the same bit of neighbouring persons, lie independently: 5 deviations, one false alarm in
/// 1.7 million a line.
#[test]
fn bits_and_persons_draw_independently() {
    let (all, _) = counted(&once(), "fermilab");
    let lies: Vec<Vec<bool>> = all
        .iter()
        .map(|(cohort, report)| {
            let filter = Filter::of(b"fermilab", *cohort, 2, 128);
            report.iter().enumerate().map(|(bit, one)| *one != filter.has(bit)).collect()
        })
        .collect();
    let mut both = [(0, 0); 4];
    for (row, next) in lies.iter().zip(lies.iter().skip(1)) {
        for bit in 0..96 {
            let pairs = [row[bit + 1], row[bit + 8], row[bit + 32], next[bit]];
            for (count, other) in both.iter_mut().zip(pairs) {
                count.0 += usize::from(row[bit] && other);
                count.1 += 1;
            }
        }
    }
    for both in both {
        // Pairs that share a coin are not independent of each other, which at a quarter makes sums of them
        // at most 1.5 times as wide.
        assert!(chi_square(both, 0.0625) < 25.0 * 2.25, "{both:?}");
    }
}

#[test]
fn the_same_person_and_value_leave_the_same_permanent_bits_and_others_do_not() {
    let args = once();
    let ada = [(Some("ada"), Some("x"), None); 50];
    let told = reports(&args, &ada);
    assert!(told.iter().all(|report| *report == told[0]), "repeats average nothing out");
    let one =
        |person, value| reports(&args, &[(Some(person), Some(value), None)]).remove(0).unwrap();
    assert_eq!(Some(one("ada", "x")), told[0]);
    assert_ne!(one("ada", "x").1, one("ada", "y").1);
    assert_eq!(one("ada", "x").0, one("ada", "y").0, "a person stays in their cohort");
    assert_ne!(one("ada", "x").1, one("bob", "x").1);
    let desy = of_partner(&args, &ada[..1], "desy").remove(0).unwrap();
    assert_ne!(one("ada", "x").1, desy.1, "partners have noise of their own");
}

#[test]
fn batches_and_what_is_remembered_change_nothing() {
    let args = rule(&[("report", word("Id"))]);
    let persons: Vec<String> = (0..300).map(|n| format!("person {}", n % 7)).collect();
    let rows: Vec<_> = persons
        .iter()
        .enumerate()
        .map(|(at, person)| {
            let value = ["x", "y", "z"][at % 3];
            (Some(person.as_str()), Some(value), (at % 5 > 0).then_some(["1", "2"][at % 2]))
        })
        .collect();
    let whole = reports(&args, &rows);
    let cut: Vec<_> = rows.chunks(7).flat_map(|rows| reports(&args, rows)).collect();
    assert_eq!(whole, cut);
    let back: Vec<_> = rows.iter().rev().copied().collect();
    let mut back = reports(&args, &back);
    back.reverse();
    assert_eq!(whole, back);
}

#[test]
fn each_report_has_noise_of_its_own_and_a_second_pull_gives_it_again() {
    let of =
        |args: &Args, report| reports(args, &[(Some("ada"), Some("x"), report)]).remove(0).unwrap();
    let many = rule(&[("report", word("Id"))]);
    assert_eq!(of(&many, Some("1")), of(&many, Some("1")));
    assert_ne!(of(&many, Some("1")).1, of(&many, Some("2")).1);
    assert_ne!(of(&many, Some("1")).1, of(&many, None).1);
    let single = rule(&[]);
    assert_eq!(of(&single, Some("1")), of(&single, Some("2")), "all rows are one report");
    // Of many reports the permanent response shows, and nothing behind it.
    let ids: Vec<String> = (0..2_000).map(|n| n.to_string()).collect();
    let rows: Vec<_> = ids.iter().map(|id| (Some("ada"), Some("x"), Some(id.as_str()))).collect();
    let all = reports(&many, &rows);
    let permanent = reports(&once(), &rows[..1]).remove(0).unwrap().1;
    for (bit, truth) in permanent.iter().enumerate() {
        let ones = all.iter().flatten().filter(|report| report.1[bit]).count();
        let chance = if *truth { 0.75 } else { 0.5 };
        assert!(chi_square((ones, 2_000), chance) < 25.0, "bit {bit}: {ones}");
    }
}

#[test]
fn one_report_for_all_rows_tells_less_than_the_permanent_response() {
    // Where there is no `report`, bits of the permanent response stay unknown.
    let persons = persons();
    let rows: Vec<_> =
        persons[..500].iter().map(|person| (Some(person.as_str()), Some("x"), None)).collect();
    let (told, permanent) = (reports(&rule(&[]), &rows), reports(&once(), &rows));
    let pairs = told.iter().flatten().zip(permanent.iter().flatten());
    let other = pairs
        .flat_map(|(told, permanent)| told.1.iter().zip(&permanent.1))
        .filter(|(told, permanent)| told != permanent)
        .count();
    // Of ones a quarter, of zeros a half: about 0.435 with two bits of 128 set.
    let share = other as f64 / (500.0 * 128.0);
    assert!((share - 0.435).abs() < 0.02, "{share}");
}

#[test]
fn null_and_unknown_persons_are_null_and_numbers_are_their_text() {
    let rows = [(Some("ada"), None, None), (None, Some("1"), None), (Some("ada"), Some("1"), None)];
    let told = reports(&rule(&[]), &rows);
    assert_eq!(told[..2], [None, None]);
    let persons: ArrayRef = Arc::new(StringArray::from(vec!["ada"]));
    let numbers: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    let out = Fixture::new("Cmd", &DataType::Int32)
        .with_reads(&[DataType::Utf8])
        .with_keys(keys("column:Cmd", Some("cern")))
        .apply(&Rappor, &rule(&[]), &numbers, &[persons])
        .unwrap();
    assert_eq!(read(&out)[0], told[2]);
}

#[test]
fn settings_that_promise_nothing_or_tell_nothing_are_refused() {
    let refused = |set: &[(&str, Value)]| {
        Rappor.check(&rule(set)).iter().map(|refusal| refusal.param).collect::<Vec<_>>()
    };
    let number = Value::Number;
    assert_eq!(refused(&[]), []);
    assert_eq!(refused(&[("bits", Value::Integer(12))]), [Some("bits")]);
    assert_eq!(refused(&[("p", number(0.75))]), [Some("p")]);
    assert_eq!(refused(&[("p", number(0.8))]), [Some("p")]);
    assert_eq!(refused(&[("f", number(0.123_456_7))]), [Some("f")]);
    assert_eq!(refused(&[("f", number(0.01)), ("report", word("Id"))]), [Some("f")]);
    assert_eq!(refused(&[("f", number(0.02)), ("report", word("Id"))]), []);
    assert_eq!(refused(&[("f", number(0.01))]), [], "one report is all that leaves");
}

#[test]
fn more_epsilon_and_more_reports_are_weaker() {
    let plain = rule(&[]);
    let moved = |set: &[(&str, Value)]| {
        let other = rule(set);
        (Rappor.compare(&plain, &other), Rappor.compare(&other, &plain))
    };
    use Change::{Moves, Strengthens, Weakens};
    assert_eq!(moved(&[("f", Value::Number(0.25))]), (Weakens, Strengthens));
    assert_eq!(moved(&[("q", Value::Number(0.9))]), (Weakens, Strengthens));
    assert_eq!(moved(&[("hashes", Value::Integer(1))]), (Strengthens, Weakens));
    assert_eq!(moved(&[("report", word("Id"))]), (Weakens, Strengthens));
    assert_eq!(moved(&[("cohorts", Value::Integer(8))]), (Moves, Moves));
}

#[test]
fn explain_and_the_schema_say_chances_and_costs() {
    assert_eq!(
        Rappor.explain(&rule(&[("report", word("Id"))])),
        "Leaves as one of 32 cohorts, the same for the same `User`, and 128 bits, of which the value sets up to 2. \
         Each bit is turned over for good with a chance of 25 %, the same for the same `User` and value. Each `Id` \
         reports them with noise of its own: of bits that the value sets, 68.75 % are ones in the end, of the others \
         56.25 %. Over all reports of a value epsilon is 4.3945, of one report 1.0743."
    );
    let (one, once) = (Rappor.explain(&rule(&[])), Rappor.explain(&once()));
    assert!(one.contains("All rows report them with the same noise: "));
    assert!(one.ends_with("Over all rows of a value epsilon is 1.0743."), "{one}");
    assert!(once.contains("These bits are all reports of them: "));
    assert!(once.ends_with("Over all rows of a value epsilon is 4.3945."), "{once}");
    let told = Rappor.told(&rule(&[]));
    let said: Vec<_> = told.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(
        said,
        [
            "veilflight.rappor.bits=128",
            "veilflight.rappor.hashes=2",
            "veilflight.rappor.cohorts=32",
            "veilflight.rappor.f=0.5",
            "veilflight.rappor.p=0.5",
            "veilflight.rappor.q=0.75",
            "veilflight.local.epsilon_permanent=4.3945",
            "veilflight.local.epsilon_report=1.0743",
        ]
    );
}
