//! `geo_laplace`: moves a place by planar Laplace noise, the mechanism of geo-indistinguishability. It
//! does not keep places out of water or on roads, and it protects places, not ways between them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Builder};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use super::geo::{self, AXES, Axis, only_degrees, rounded};
use super::numbers::{self, written};
use super::params::{defaulted, refusal, required};
use super::persons::{self, Draw};
use super::{Bind, Change, Exposure, Kernel, Refusal, Spec, Transform};
use crate::error::{Code, Context, Error, Result};
use crate::policy::Column;
use crate::policy::args::{Args, Default, Kind};

/// A place moved by planar Laplace noise.
///
/// - What it does: moves the place in an even direction by a distance of density `e*e*r*exp(-e*r)`,
///   where `e` is `level / radius_m` a metre; then rounds. The noise is drawn from the key, the person
///   and the place, so both coordinates move together and the same visit always moves the same way.
///   Null where latitude, longitude or person is null or no coordinate.
/// - What it hides: places within `radius_m` of each other can be told apart by a factor of at most
///   `exp(level)`; half of all places move more than `1.68 / e` metres.
/// - What still leaks: the rough place. Different places of one person are protected one by one: n of
///   them near each other add up to n times the level, and their middle shows through. Persons seen at
///   the same place draw apart, so a place of many can be found by averaging over them.
/// - Parameters: `axis`, `other`, `person`, `level`, `radius_m`, `decimals`, `domain`.
/// - Example: see [`Spec::example`]; the rule for longitude names the same numbers and domain.
#[derive(Debug)]
pub(super) struct GeoLaplace;

static SPEC: Spec = Spec {
    verb: "geo_laplace",
    method: None,
    primary: None,
    params: &[
        required("axis", Kind::Choice(AXES), "Which coordinate the column holds."),
        required("other", Kind::Column, "The column with the other coordinate."),
        required("person", Kind::Column, "The column that names the person; null gives null."),
        required(
            "level",
            Kind::Number { min: 1e-3, max: 100.0 },
            "The privacy level within the radius: 1.4 lets two places there differ by a factor of 4.",
        ),
        required(
            "radius_m",
            Kind::Number { min: 1.0, max: 1e6 },
            "The radius in metres within which places are alike to that level.",
        ),
        defaulted(
            "decimals",
            Kind::Integer { min: 0, max: 7 },
            Default::Integer(5),
            "Digits after the point that leave; 5 is about a metre.",
        ),
        required(
            "domain",
            Kind::Text,
            "A name that the rules of both coordinates share, so that they draw the same noise.",
        ),
    ],
    does: "Moves a place by random noise that makes nearby places hard to tell apart \
           (geo-indistinguishability), the same for the same person at the same place.",
    hides: "Which of the places within the radius it was, up to a factor of the exponential of the \
            level.",
    leaks: "The rough place. Each place of a person is protected by itself: many places near each \
            other add up, and their middle shows through. Where many persons share a place, averaging \
            over them finds it; so do partners who compare their draws, unless linkage is shared. Equal \
            output shows the same person at the same place again.",
    takes: "latitudes and longitudes in degrees, as floats",
    example: "{geo_laplace: {axis: latitude, other: Longitude, person: User, level: 1.4, \
              radius_m: 500, domain: place}}",
    references: &[
        "Andrés, Bordenabe, Chatzikokolakis, Palamidessi: Geo-Indistinguishability: Differential \
         Privacy for Location-Based Systems (CCS 2013)",
    ],
};

impl Transform for GeoLaplace {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    // PRIVACY: the guarantee is for both coordinates moved by one draw. A second column that tells the
    // other coordinate, or moves it by a draw of its own, is another mechanism than the one explained.
    fn check_beside(&self, args: &Args, column: &str, columns: &[Column]) -> Vec<Refusal> {
        let other = args.text("other").unwrap_or_default();
        let Some(beside) = columns.iter().find(|beside| beside.name == other) else {
            return Vec::new();
        };
        if other == column {
            return vec![refusal(
                "other",
                format!("`other` names `{column}` itself"),
                "name the column with the other coordinate",
            )];
        }
        let rule = &beside.rule;
        if rule.transform.exposure(&rule.args) == Exposure::Nothing {
            return Vec::new();
        }
        if rule.transform.spec().verb != SPEC.verb {
            return vec![refusal(
                "other",
                format!(
                    "`{other}` leaves by `{}`, so only one coordinate would move",
                    rule.transform.spec().name()
                ),
                "give both coordinates `geo_laplace`, or drop the other one",
            )];
        }
        let unlike = ["person", "level", "radius_m", "domain"].into_iter().find(|name| {
            args.value(name) != rule.args.value(name) && !same_number(args, &rule.args, name)
        });
        let mirrored =
            rule.args.text("other") == Some(column) && Axis::of(args) != Axis::of(&rule.args);
        let message = match unlike {
            Some(name) => format!("`{name}` is not the same as in the rule of `{other}`"),
            None if !mirrored => {
                format!("the rule of `{other}` must name `{column}` as `other`, and the other axis")
            }
            None => return Vec::new(),
        };
        vec![refusal(
            unlike.unwrap_or("other"),
            message,
            "both coordinates must be moved by the same draw",
        )]
    }

    fn output(&self, _args: &Args, input: &DataType) -> Result<Option<DataType>, String> {
        only_degrees(input)?;
        Ok(Some(input.clone()))
    }

    fn draws_for_person(&self) -> bool {
        true
    }

    fn reads(&self, args: &Args) -> Vec<String> {
        ["other", "person"].iter().filter_map(|name| args.text(name)).map(str::to_owned).collect()
    }

    fn reads_fit(&self, _args: &Args, types: &[DataType]) -> Result<(), String> {
        match types {
            [other, person] => only_degrees(other).and_then(|()| persons::fit(person)),
            _ => Err("needs the other coordinate and a person".to_owned()),
        }
    }

    fn exposure(&self, _args: &Args) -> Exposure {
        Exposure::Coarse
    }

    fn explain(&self, args: &Args) -> String {
        let number = |name| written(args.number(name).unwrap_or(0.0));
        format!(
            "Leaves as the {} of a place moved at random: places within {} metres are alike to level \
             {}, and half of all places move more than {} metres. The same `{}` at the same place \
             always moves the same way. Rounded to {} digits after the point.",
            Axis::of(args).word(),
            number("radius_m"),
            number("level"),
            written((MEDIAN / per_metre(args)).round()),
            args.text("person").unwrap_or_default(),
            args.integer("decimals").unwrap_or(5),
        )
    }

    fn compare(&self, old: &Args, new: &Args) -> Change {
        let (before, after) = (per_metre(old), per_metre(new));
        if after < before {
            Change::Strengthens
        } else if after > before {
            Change::Weakens
        } else {
            Change::Moves
        }
    }

    fn kernel(&self, args: &Args, bind: &Bind<'_>) -> Result<Box<dyn Kernel>> {
        if args.text("other") == Some(bind.column) {
            return Err(Error::new(
                Code::SchemaDrift,
                "`other` of `geo_laplace` must name the other coordinate's column",
            ));
        }
        self.reads_fit(args, bind.reads).map_err(|reason| Error::new(Code::SchemaDrift, reason))?;
        let per_metre = per_metre(args);
        if per_metre.is_nan() || per_metre <= 0.0 {
            return Err(Error::new(Code::Internal, "noise without a level"));
        }
        Ok(Box::new(Noise {
            draw: Draw::new(bind.keys, "geo_laplace")?,
            axis: Axis::of(args),
            per_metre,
            decimals: args.integer("decimals").and_then(|n| i32::try_from(n).ok()).unwrap_or(5),
        }))
    }
}

/// The median of the distance, in units of one over epsilon: where `1 - (1 + x) exp(-x)` is a half.
const MEDIAN: f64 = 1.678_346_99;

/// Whether both rules write the same number, be it `500` or `500.0`.
fn same_number(one: &Args, other: &Args, name: &str) -> bool {
    one.number(name).is_some() && one.number(name) == other.number(name)
}

/// Epsilon a metre.
fn per_metre(args: &Args) -> f64 {
    args.number("level").unwrap_or(0.0) / args.number("radius_m").unwrap_or(f64::INFINITY)
}

struct Noise {
    draw: Draw,
    axis: Axis,
    per_metre: f64,
    decimals: i32,
}

impl Noise {
    /// Where a person's place goes.
    // PRIVACY: seeded by person and exact place, so that neither repeated rows nor repeated pulls give a
    // second draw to average.
    fn place(&self, person: &[u8], latitude: f64, longitude: f64) -> (f64, f64) {
        let bits = |value: f64| (value + 0.0).to_bits().to_be_bytes();
        let [a, b, c, _] = self.draw.numbers(&[person, &bits(latitude), &bits(longitude)]);
        // The sum of two exponential numbers has the density of the distance.
        let metres = -(unit(a).ln() + unit(b).ln()) / self.per_metre;
        // Logarithm and sine may differ in their last bit between machines; rounding to at most seven
        // digits hides that, save for about one place in ten million.
        geo::moved(latitude, longitude, metres, unit(c) * std::f64::consts::TAU)
    }

    /// The coordinate that leaves, where person and place are known.
    fn coordinate(
        &self,
        person: Option<&[u8]>,
        value: Option<f64>,
        other: Option<f64>,
    ) -> Option<f64> {
        let (latitude, longitude) = match self.axis {
            Axis::Latitude => (value?, other?),
            Axis::Longitude => (other?, value?),
        };
        if !Axis::Latitude.holds(latitude) || !Axis::Longitude.holds(longitude) {
            return None;
        }
        let (latitude, longitude) = self.place(person?, latitude, longitude);
        let moved = match self.axis {
            Axis::Latitude => latitude,
            Axis::Longitude => longitude,
        };
        Some(rounded(moved, self.decimals))
    }
}

/// A number above 0 and up to 1, in steps of 2^-53.
fn unit(bits: u64) -> f64 {
    ((bits >> 11) + 1) as f64 / (1_u64 << 53) as f64
}

impl Kernel for Noise {
    fn apply(&mut self, values: &ArrayRef, reads: &[ArrayRef]) -> Result<ArrayRef> {
        let others = numbers::floats(persons::read(reads, 0, values.len())?)?;
        let names = persons::names(persons::read(reads, 1, values.len())?)?;
        let mut out = Float64Builder::with_capacity(values.len());
        for (row, (value, other)) in numbers::floats(values)?.into_iter().zip(others).enumerate() {
            let person = names.is_valid(row).then(|| names.value(row));
            out.append_option(self.coordinate(person, value, other));
        }
        let out: ArrayRef = Arc::new(out.finish());
        // The column's own type: 32 bits stay 32 bits.
        cast(&out, values.data_type()).context(Code::Internal, || "coordinates".to_owned())
    }
}

#[cfg(test)]
mod tests;
