//! `geo_grid`: a coordinate becomes the centre of its grid cell. Each coordinate is treated alone; a cell
//! is a rectangle in degrees, narrower in metres the nearer it is to a pole.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use super::geo::{AXES, Axis, DEGREE_M, only_degrees, rounded};
use super::numbers::{self, written};
use super::params::{optional, refusal, refusal_of_rule, required};
use super::{Bind, Change, Exposure, Kernel, Refusal, Spec, Transform};
use crate::error::{Code, Error, Result};
use crate::policy::args::{Args, Kind};

/// The centre of a grid cell.
///
/// - What it does: divides the axis into cells of `degrees`, or of `metres` at the latitude
///   `at_latitude`, from -90 or -180 on, and sends the centre of the cell to seven digits. What is no
///   coordinate, not-a-number included, becomes null.
/// - What it hides: where in the cell the place lies.
/// - What still leaks: the cell. A cell with one house names its owner, and a row of cells over time
///   shows a way.
/// - Parameters: `axis`; `degrees` or `metres`, with `at_latitude` for metres of longitude.
/// - Example: `{geo_grid: {axis: latitude, metres: 1000}}`.
#[derive(Debug)]
pub(super) struct GeoGrid;

static SPEC: Spec = Spec {
    verb: "geo_grid",
    method: None,
    primary: None,
    params: &[
        required("axis", Kind::Choice(AXES), "Which coordinate the column holds."),
        optional(
            "degrees",
            Kind::Number { min: 1e-6, max: 90.0 },
            "The size of a cell in degrees.",
        ),
        optional("metres", Kind::Number { min: 1.0, max: 5e6 }, "The size of a cell in metres."),
        optional(
            "at_latitude",
            Kind::Number { min: -89.0, max: 89.0 },
            "The latitude at which a cell of longitude has its size in metres.",
        ),
    ],
    does: "Replaces a latitude or longitude by the centre of its grid cell.",
    hides: "Where in the cell the place lies.",
    leaks: "The cell: in thinly settled places it can hold one household, and cells over time show \
            where a person goes.",
    takes: "latitudes and longitudes in degrees, as floats",
    example: "{geo_grid: {axis: latitude, metres: 1000}}",
    references: &["Hundepool et al.: Statistical Disclosure Control (2012), geographical data"],
};

impl Transform for GeoGrid {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn check(&self, args: &Args) -> Vec<Refusal> {
        let help = "write `degrees: 0.01` or `metres: 1000`";
        let mut problems = match (args.value("degrees"), args.value("metres")) {
            (Some(_), Some(_)) => {
                vec![refusal_of_rule("`degrees` and `metres` exclude each other", help)]
            }
            (None, None) => vec![refusal_of_rule("`degrees` or `metres` is missing", help)],
            _ => Vec::new(),
        };
        let needs = args.value("metres").is_some() && Axis::of(args) == Axis::Longitude;
        match (needs, args.value("at_latitude")) {
            (true, None) => problems.push(refusal_of_rule(
                "metres of longitude need `at_latitude`",
                "a degree of longitude is shorter the farther from the equator; name a latitude in \
                 the middle of the data",
            )),
            (false, Some(_)) => problems.push(refusal(
                "at_latitude",
                "`at_latitude` is for metres of longitude only",
                "leave it out",
            )),
            _ => {}
        }
        problems
    }

    fn output(&self, _args: &Args, input: &DataType) -> Result<Option<DataType>, String> {
        only_degrees(input)?;
        Ok(Some(input.clone()))
    }

    fn adds_nulls(&self, _args: &Args) -> bool {
        true
    }

    fn exposure(&self, _args: &Args) -> Exposure {
        Exposure::Coarse
    }

    fn explain(&self, args: &Args) -> String {
        let axis = Axis::of(args).word();
        let degrees = written(rounded(cell(args), 7));
        let size = match (args.number("metres"), args.number("at_latitude")) {
            (Some(metres), Some(at)) => format!(
                "{degrees} degrees ({} metres at latitude {})",
                written(metres),
                written(at)
            ),
            (Some(metres), None) => format!("{degrees} degrees ({} metres)", written(metres)),
            (None, _) => format!("{degrees} degrees"),
        };
        format!("Leaves as the centre of a grid cell {size} of {axis} wide.")
    }

    fn compare(&self, old: &Args, new: &Args) -> Change {
        let (old, new) = (cell(old), cell(new));
        let times = new / old;
        if times > 1.0 && (times - times.round()).abs() < 1e-9 * times {
            Change::Strengthens
        } else if new < old {
            Change::Weakens
        } else {
            Change::Moves
        }
    }

    fn kernel(&self, args: &Args, _bind: &Bind<'_>) -> Result<Box<dyn Kernel>> {
        let cell = cell(args);
        if cell.is_nan() || cell <= 0.0 {
            return Err(Error::new(Code::Internal, "a grid without a cell"));
        }
        Ok(Box::new(Grid { axis: Axis::of(args), cell }))
    }
}

/// The size of a cell in degrees.
fn cell(args: &Args) -> f64 {
    if let Some(degrees) = args.number("degrees") {
        return degrees;
    }
    let shrink = match Axis::of(args) {
        Axis::Latitude => 1.0,
        Axis::Longitude => args.number("at_latitude").unwrap_or(0.0).to_radians().cos(),
    };
    let degrees = args.number("metres").unwrap_or(0.0) / (DEGREE_M * shrink);
    // Cells of a fixed decimal size are the same on every machine.
    rounded(degrees, 9).min(2.0 * Axis::of(args).max())
}

struct Grid {
    axis: Axis,
    cell: f64,
}

impl Grid {
    fn centre(&self, value: f64) -> Option<f64> {
        if !self.axis.holds(value) {
            return None;
        }
        let max = self.axis.max();
        let cells = (2.0 * max / self.cell).ceil();
        // The last cell may be cut short, and the greatest coordinate belongs to it.
        let index = ((value + max) / self.cell).floor().min(cells - 1.0);
        let lower = index.mul_add(self.cell, -max);
        Some(rounded((lower + (lower + self.cell).min(max)) / 2.0, 7))
    }
}

impl Kernel for Grid {
    fn apply(&mut self, values: &ArrayRef, _reads: &[ArrayRef]) -> Result<ArrayRef> {
        numbers::map(values, &mut |_| None, &mut |value| self.centre(value))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::types::Float64Type;
    use arrow::array::{AsArray, Float32Array, Float64Array};
    use proptest::prelude::*;

    use super::super::testing::{apply, args, word};
    use super::*;
    use crate::policy::args::Value;

    fn centres(set: &[(&str, Value)], values: &[f64]) -> Vec<Option<f64>> {
        let raw: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
        apply(&GeoGrid, set, &raw).as_primitive::<Float64Type>().iter().collect()
    }

    fn degrees(axis: &str, degrees: f64) -> [(&'static str, Value); 2] {
        [("axis", word(axis)), ("degrees", Value::Number(degrees))]
    }

    #[test]
    fn the_centre_of_the_cell_leaves() {
        let out = centres(&degrees("latitude", 0.1), &[60.17, 60.1999, -0.01, 90.0, -90.0]);
        assert_eq!(out, [60.15, 60.15, -0.05, 89.95, -89.95].map(Some));
        let out = centres(&degrees("longitude", 1.0), &[180.0, -180.0, 24.94]);
        assert_eq!(out, [179.5, -179.5, 24.5].map(Some));
    }

    #[test]
    fn what_is_no_coordinate_becomes_null() {
        let odd = [90.1, -91.0, f64::NAN, f64::INFINITY];
        assert_eq!(centres(&degrees("latitude", 1.0), &odd), [None; 4]);
        assert_eq!(centres(&degrees("longitude", 1.0), &[90.1, 180.1]), [Some(90.5), None]);
    }

    #[test]
    fn metres_of_longitude_shrink_towards_the_poles() {
        let metres = |set: &[(&str, Value)]| cell(&args(&GeoGrid, set));
        let latitude = metres(&[("axis", word("latitude")), ("metres", Value::Integer(1000))]);
        let longitude = metres(&[
            ("axis", word("longitude")),
            ("metres", Value::Integer(1000)),
            ("at_latitude", Value::Integer(60)),
        ]);
        assert!((latitude - 0.008_993_2).abs() < 1e-6, "{latitude}");
        assert!((longitude - 2.0 * latitude).abs() < 1e-6, "{longitude}");
    }

    #[test]
    fn a_grid_that_says_too_little_or_too_much_is_refused() {
        let refused = |set: &[(&str, Value)]| -> Vec<String> {
            let problems = GeoGrid.check(&args(&GeoGrid, set));
            problems.into_iter().map(|problem| problem.message).collect()
        };
        let (lon, metres) = (("axis", word("longitude")), ("metres", Value::Integer(5)));
        assert_eq!(refused(std::slice::from_ref(&lon)), ["`degrees` or `metres` is missing"]);
        assert_eq!(
            refused(&[lon.clone(), metres.clone()]),
            ["metres of longitude need `at_latitude`"]
        );
        assert_eq!(
            refused(&[("axis", word("latitude")), metres, ("at_latitude", Value::Integer(5))]),
            ["`at_latitude` is for metres of longitude only"]
        );
        assert_eq!(refused(&degrees("latitude", 1.0)), [""; 0]);
    }

    #[test]
    fn floats_of_32_bits_stay_that() {
        let raw: ArrayRef = Arc::new(Float32Array::from(vec![60.17_f32]));
        let out = apply(&GeoGrid, &degrees("latitude", 0.5), &raw);
        assert_eq!(out.as_ref(), &Float32Array::from(vec![60.25_f32]) as &dyn arrow::array::Array);
    }

    proptest! {
        #[test]
        fn a_centre_is_within_half_a_cell_and_is_its_own_centre(
            value in -180.0_f64..180.0, hundredths in 1_i32..500,
        ) {
            let cell = f64::from(hundredths) / 100.0;
            let set = degrees("longitude", cell);
            let out = centres(&set, &[value])[0].unwrap();
            prop_assert!((out - value).abs() <= cell / 2.0 + 1e-6);
            prop_assert_eq!(centres(&set, &[out])[0], Some(out));
        }
    }
}
