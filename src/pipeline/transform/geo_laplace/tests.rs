//! Tests of `geo_laplace`: that both coordinates move together, and that the noise has the density that
//! the paper asks for. The keys are fixed, so a statistical test that passes once passes always.

use arrow::array::types::Float64Type;
use arrow::array::{AsArray, Float32Array, Float64Array, StringArray};

use super::super::geo::tests::metres;
use super::super::testing::{Fixture, args, keys, word};
use super::*;
use crate::policy::args::Value;

fn rule(axis: &str, other: &str, level: f64, radius_m: f64, decimals: i64) -> Args {
    args(
        &GeoLaplace,
        &[
            ("axis", word(axis)),
            ("other", word(other)),
            ("person", word("User")),
            ("level", Value::Number(level)),
            ("radius_m", Value::Number(radius_m)),
            ("decimals", Value::Integer(decimals)),
            ("domain", word("place")),
        ],
    )
}

struct Places {
    latitude: ArrayRef,
    longitude: ArrayRef,
    persons: ArrayRef,
}

impl Places {
    fn new(places: &[(f64, f64)], persons: &[&str]) -> Self {
        Self {
            latitude: Arc::new(Float64Array::from_iter_values(places.iter().map(|place| place.0))),
            longitude: Arc::new(Float64Array::from_iter_values(places.iter().map(|place| place.1))),
            persons: Arc::new(StringArray::from(persons.to_vec())),
        }
    }

    /// Where the places go: each coordinate by its own kernel.
    fn moved(&self, level: f64, radius_m: f64, decimals: i64) -> Vec<Option<(f64, f64)>> {
        let axis = |axis, own: &ArrayRef, other_name, other: &ArrayRef| {
            let args = rule(axis, other_name, level, radius_m, decimals);
            let reads = [ArrayRef::clone(other), ArrayRef::clone(&self.persons)];
            Fixture::new(axis, own.data_type())
                .with_reads(&[DataType::Float64, DataType::Utf8])
                .with_keys(keys("domain:place", Some("cern")))
                .apply(&GeoLaplace, &args, own, &reads)
                .unwrap()
        };
        let latitude = axis("latitude", &self.latitude, "longitude", &self.longitude);
        let longitude = axis("longitude", &self.longitude, "latitude", &self.latitude);
        let latitude = latitude.as_primitive::<Float64Type>();
        let longitude = longitude.as_primitive::<Float64Type>();
        assert_eq!(latitude.nulls(), longitude.nulls(), "both coordinates or none");
        latitude
            .iter()
            .zip(longitude)
            .map(|(latitude, longitude)| latitude.zip(longitude))
            .collect()
    }
}

const HELSINKI: (f64, f64) = (60.17, 24.94);

/// Distances in metres and directions in turns of one place seen by many persons.
fn draws(count: usize, place: (f64, f64)) -> (Vec<f64>, Vec<f64>) {
    let names: Vec<String> = (0..count).map(|n| format!("person {n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let moved = Places::new(&vec![place; count], &names).moved(4_f64.ln(), 200.0, 7);
    moved
        .into_iter()
        .map(|there| {
            let there = there.unwrap();
            let north = there.0 - place.0;
            let east = (there.1 - place.1) * place.0.to_radians().cos();
            let turn = (east.atan2(north) / std::f64::consts::TAU).rem_euclid(1.0);
            (metres(place, there), turn)
        })
        .unzip()
}

/// The greatest distance between the sample's distribution and `expected`, times the root of its size.
fn kolmogorov(mut sample: Vec<f64>, expected: impl Fn(f64) -> f64) -> f64 {
    sample.sort_by(f64::total_cmp);
    let count = sample.len() as f64;
    let worst = sample.iter().enumerate().fold(0.0_f64, |worst, (rank, value)| {
        let expected = expected(*value);
        worst
            .max((expected - rank as f64 / count).abs())
            .max(((rank + 1) as f64 / count - expected).abs())
    });
    worst * count.sqrt()
}

/// The false-alarm rate of each statistical test, over keys.
const ALPHA: f64 = 1e-6;

/// What [`kolmogorov`] exceeds with probability at most [`ALPHA`] (Dvoretzky, Kiefer, Wolfowitz; Massart).
fn kolmogorov_max() -> f64 {
    ((2.0 / ALPHA).ln() / 2.0).sqrt()
}

#[test]
fn distances_have_the_density_of_planar_laplace_noise() {
    let (distances, _) = draws(20_000, HELSINKI);
    let epsilon = 4_f64.ln() / 200.0;
    let statistic =
        kolmogorov(distances, |metres| 1.0 - (1.0 + epsilon * metres) * (-epsilon * metres).exp());
    assert!(statistic < kolmogorov_max(), "{statistic}");
}

#[test]
fn directions_are_even() {
    let (_, turns) = draws(20_000, HELSINKI);
    let statistic = kolmogorov(turns, |turn| turn);
    assert!(statistic < kolmogorov_max(), "{statistic}");
}

#[test]
fn half_of_all_places_move_farther_than_explain_says() {
    let (distances, _) = draws(20_000, HELSINKI);
    let median = MEDIAN * 200.0 / 4_f64.ln();
    let farther = distances.iter().filter(|metres| **metres > median).count();
    // 4.9 standard deviations of 70.7.
    assert!(farther.abs_diff(10_000) < 347, "{farther}");
}

#[test]
fn the_same_person_at_the_same_place_always_moves_the_same_way() {
    let places = Places::new(&[HELSINKI, (1.0, 1.0), HELSINKI], &["ada", "ada", "ada"]);
    let moved = places.moved(1.4, 500.0, 5);
    assert_eq!(moved[0], moved[2]);
    assert_ne!(moved[0], moved[1]);
}

#[test]
fn another_person_or_another_place_draws_anew() {
    let near = (HELSINKI.0 + 1e-9, HELSINKI.1);
    let places = Places::new(&[HELSINKI, HELSINKI, near], &["ada", "bob", "ada"]);
    let moved: Vec<_> = places.moved(1.4, 500.0, 5).into_iter().flatten().collect();
    assert!(metres(moved[0], moved[1]) > 1.0);
    assert!(metres(moved[0], moved[2]) > 1.0);
}

#[test]
fn an_unknown_person_or_place_becomes_null_in_both_coordinates() {
    let mut places =
        Places::new(&[HELSINKI, (91.0, 0.0), (0.0, f64::NAN), (0.0, 181.0), HELSINKI], &["ada"; 5]);
    places.persons =
        Arc::new(StringArray::from(vec![Some("ada"), Some("ada"), Some("ada"), Some("ada"), None]));
    let moved = places.moved(1.4, 500.0, 5);
    assert!(moved[0].is_some());
    assert_eq!(moved[1..], [None; 4]);
}

#[test]
fn places_near_a_pole_and_the_date_line_stay_on_the_earth() {
    let moved =
        Places::new(&[(90.0, 0.0), (-90.0, 0.0), (0.0, 180.0)], &["ada"; 3]).moved(0.1, 1e6, 3);
    for (latitude, longitude) in moved.into_iter().flatten() {
        assert!(latitude.abs() <= 90.0 && longitude.abs() <= 180.0, "{latitude} {longitude}");
    }
}

#[test]
fn only_the_stated_digits_leave() {
    let moved = Places::new(&[(60.123_456_7, 24.123_456_7)], &["ada"]).moved(1.4, 500.0, 2);
    let (latitude, longitude) = moved[0].unwrap();
    assert_eq!(latitude, rounded(latitude, 2));
    assert_eq!(longitude, rounded(longitude, 2));
}

#[test]
fn floats_of_32_bits_stay_that() {
    let raw: ArrayRef = Arc::new(Float32Array::from(vec![60.0_f32]));
    let reads: [ArrayRef; 2] =
        [Arc::new(Float32Array::from(vec![24.0_f32])), Arc::new(StringArray::from(vec!["ada"]))];
    let out = Fixture::new("latitude", raw.data_type())
        .with_reads(&[DataType::Float32, DataType::Utf8])
        .apply(&GeoLaplace, &rule("latitude", "longitude", 1.4, 500.0, 5), &raw, &reads)
        .unwrap();
    assert_eq!(out.data_type(), &DataType::Float32);
}

#[test]
fn a_coordinate_that_is_its_own_other_is_refused() {
    let fixture = Fixture::new("latitude", &DataType::Float64)
        .with_reads(&[DataType::Float64, DataType::Utf8]);
    let args = rule("latitude", "latitude", 1.4, 500.0, 5);
    assert_eq!(GeoLaplace.kernel(&args, &fixture.bind()).err().unwrap().code(), Code::SchemaDrift);
}

#[test]
fn columns_that_cannot_be_read_are_refused_before_a_value_is() {
    let rule = rule("latitude", "longitude", 1.4, 500.0, 5);
    let fit = |types: &[DataType]| GeoLaplace.reads_fit(&rule, types);
    assert_eq!(fit(&[DataType::Float64, DataType::Int32]), Ok(()));
    assert!(fit(&[DataType::Utf8, DataType::Int32]).unwrap_err().contains("holds text"));
    assert!(fit(&[DataType::Float64, DataType::Float64]).unwrap_err().contains("holds numbers"));
}

#[test]
fn coordinates_that_would_not_move_together_are_refused() {
    let column = |name: &str, transform: &'static dyn Transform, args: Args| Column {
        name: name.to_owned(),
        class: None,
        rule: crate::policy::Rule { transform, args },
    };
    let latitude = rule("latitude", "b", 1.4, 500.0, 5);
    let refused = |beside: Column| -> Vec<String> {
        let columns = [column("a", &GeoLaplace, latitude.clone()), beside];
        let problems = GeoLaplace.check_beside(&latitude, "a", &columns);
        problems.into_iter().map(|problem| problem.message).collect()
    };
    let mirror = rule("longitude", "a", 1.4, 500.0, 5);
    assert_eq!(refused(column("b", &GeoLaplace, mirror.clone())), [""; 0]);
    let whole = mirror.clone().with("radius_m", Value::Integer(500));
    assert_eq!(refused(column("b", &GeoLaplace, whole)), [""; 0]);
    let find = |verb| super::super::find(verb, None).unwrap();
    assert_eq!(refused(column("b", find("drop"), Args::new())), [""; 0]);
    assert_eq!(
        refused(column("b", find("keep"), Args::new())),
        ["`b` leaves by `keep`, so only one coordinate would move"]
    );
    assert_eq!(
        refused(column("b", &GeoLaplace, mirror.clone().with("domain", word("elsewhere")))),
        ["`domain` is not the same as in the rule of `b`"]
    );
    assert_eq!(
        refused(column("b", &GeoLaplace, mirror.with("axis", word("latitude")))),
        ["the rule of `b` must name `a` as `other`, and the other axis"]
    );
    let own = rule("latitude", "a", 1.4, 500.0, 5);
    let columns = [column("a", &GeoLaplace, own.clone())];
    assert_eq!(GeoLaplace.check_beside(&own, "a", &columns)[0].message, "`other` names `a` itself");
}

#[test]
fn less_epsilon_a_metre_strengthens() {
    let [near, far] = [500.0, 1000.0].map(|radius_m| rule("latitude", "b", 1.4, radius_m, 5));
    assert_eq!(GeoLaplace.compare(&near, &far), Change::Strengthens);
    assert_eq!(GeoLaplace.compare(&far, &near), Change::Weakens);
}
