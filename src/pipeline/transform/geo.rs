//! Places on the Earth taken as a sphere: what the two coordinate transforms share. Other shapes of the
//! Earth, and heights, are not known here.

use arrow::datatypes::DataType;

use super::text::in_words;
use crate::policy::args::Args;

/// The mean radius of the Earth in metres.
pub(super) const EARTH_RADIUS_M: f64 = 6_371_008.8;

/// The length of a degree of latitude in metres.
pub(super) const DEGREE_M: f64 = EARTH_RADIUS_M * std::f64::consts::PI / 180.0;

/// Which coordinate a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    Latitude,
    Longitude,
}

/// The words of the parameter `axis`.
pub(super) const AXES: &[&str] = &["latitude", "longitude"];

impl Axis {
    pub(super) fn of(args: &Args) -> Self {
        match args.text("axis") {
            Some("longitude") => Self::Longitude,
            _ => Self::Latitude,
        }
    }

    /// The greatest coordinate; the least is its negative.
    pub(super) const fn max(self) -> f64 {
        match self {
            Self::Latitude => 90.0,
            Self::Longitude => 180.0,
        }
    }

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Latitude => "latitude",
            Self::Longitude => "longitude",
        }
    }

    /// Whether it is a coordinate; not-a-number and infinities are none.
    pub(super) fn holds(self, value: f64) -> bool {
        value.abs() <= self.max()
    }
}

/// Whether the column holds degrees as floats, or why not.
///
/// # Errors
/// A reason for the policy's author.
pub(super) fn only_degrees(input: &DataType) -> Result<(), String> {
    match input {
        DataType::Float32 | DataType::Float64 => Ok(()),
        other => Err(format!("takes degrees as floats, and the column holds {}", in_words(other))),
    }
}

/// A number with so many digits after the point, and no negative zero.
pub(super) fn rounded(value: f64, decimals: i32) -> f64 {
    let power = 10_f64.powi(decimals);
    (value * power).round() / power + 0.0
}

/// A longitude from -180, included, to 180, not included.
pub(super) fn wrapped(longitude: f64) -> f64 {
    (longitude + 180.0).rem_euclid(360.0) - 180.0
}

/// The place in so many metres from a place, in the direction of an angle from north.
pub(super) fn moved(latitude: f64, longitude: f64, metres: f64, angle: f64) -> (f64, f64) {
    let (sin_lat, cos_lat) = latitude.to_radians().sin_cos();
    let (sin_far, cos_far) = (metres / EARTH_RADIUS_M).sin_cos();
    let (sin_angle, cos_angle) = angle.sin_cos();
    let sin_there = (sin_lat * cos_far + cos_lat * sin_far * cos_angle).clamp(-1.0, 1.0);
    let turn = (sin_angle * sin_far * cos_lat).atan2(cos_far - sin_lat * sin_there);
    (sin_there.asin().to_degrees().clamp(-90.0, 90.0), wrapped(longitude + turn.to_degrees()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The distance of two places in metres, by the haversine formula.
    pub(in super::super) fn metres(a: (f64, f64), b: (f64, f64)) -> f64 {
        let half = |a: f64, b: f64| ((b - a).to_radians() / 2.0).sin().powi(2);
        let cos = a.0.to_radians().cos() * b.0.to_radians().cos();
        2.0 * EARTH_RADIUS_M * (half(a.0, b.0) + cos * half(a.1, b.1)).sqrt().min(1.0).asin()
    }

    #[test]
    fn moving_goes_as_far_as_it_says_everywhere() {
        for place in [(0.0, 0.0), (60.2, 24.9), (-89.999, 10.0), (90.0, 0.0), (12.0, 179.999)] {
            for far in [1.0, 500.0, 80_000.0] {
                for angle in [0.0, 1.0, 2.5, 4.0, 6.0] {
                    let there = moved(place.0, place.1, far, angle);
                    assert!((metres(place, there) - far).abs() < 1e-3 + far * 1e-6, "{place:?}");
                    assert!(Axis::Latitude.holds(there.0) && Axis::Longitude.holds(there.1));
                }
            }
        }
    }

    #[test]
    fn longitudes_wrap_at_the_date_line() {
        assert_eq!(wrapped(180.0), -180.0);
        assert_eq!(wrapped(190.0), -170.0);
        assert_eq!(wrapped(-190.0), 170.0);
        let (_, east) = moved(0.0, 179.9999, 1_000.0, std::f64::consts::FRAC_PI_2);
        assert!(east < -179.9, "{east}");
    }
}
