//! The zone of times that do not name one: UTC, an offset, or a name of the time-zone database. Parses
//! no times.

use std::str::FromStr;

use arrow::array::timezone::Tz;
use chrono::{LocalResult, NaiveDateTime, TimeDelta, TimeZone};

/// A time zone.
#[derive(Debug, Clone, Copy, Default)]
pub enum Zone {
    /// Coordinated universal time.
    #[default]
    Utc,
    /// Another.
    Named(Tz),
}

impl Zone {
    /// The moment of a wall clock in this zone, in microseconds since 1970 in UTC. A time that the clock
    /// shows twice is the first of the two; one that it skips is as long after the gap's begin.
    pub fn micros(self, wall: NaiveDateTime) -> i64 {
        let Self::Named(zone) = self else { return wall.and_utc().timestamp_micros() };
        match zone.from_local_datetime(&wall) {
            LocalResult::Single(moment) | LocalResult::Ambiguous(moment, _) => {
                moment.timestamp_micros()
            }
            LocalResult::None => {
                // The offset of an hour before the gap.
                let before = wall.checked_sub_signed(TimeDelta::hours(3)).unwrap_or(wall);
                let shift = wall.and_utc().timestamp_micros() - before.and_utc().timestamp_micros();
                zone.from_local_datetime(&before).earliest().map_or_else(
                    || wall.and_utc().timestamp_micros(),
                    |moment| moment.timestamp_micros() + shift,
                )
            }
        }
    }
}

impl FromStr for Zone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if matches!(text, "UTC" | "utc" | "Z") {
            return Ok(Self::Utc);
        }
        text.parse::<Tz>().map(Self::Named).map_err(|_| {
            "write `UTC`, an offset such as `+01:00`, or a name such as `Europe/Berlin`".to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(zone: &str, wall: &str) -> i64 {
        let wall = NaiveDateTime::parse_from_str(wall, "%Y-%m-%dT%H:%M:%S").unwrap();
        zone.parse::<Zone>().unwrap().micros(wall) / 1_000_000
    }

    #[test]
    fn a_wall_clock_means_a_moment() {
        assert_eq!(seconds("UTC", "1970-01-02T00:00:01"), 86_401);
        assert_eq!(seconds("+01:00", "1970-01-01T01:00:00"), 0);
        assert_eq!(seconds("America/Chicago", "1970-01-01T00:00:00"), 6 * 3600);
        // Clocks in Berlin went from 02:00 to 03:00 on 31 March 2024, and back from 03:00 on 27 October.
        assert_eq!(
            seconds("Europe/Berlin", "2024-03-31T02:30:00"),
            seconds("UTC", "2024-03-31T01:30:00")
        );
        assert_eq!(
            seconds("Europe/Berlin", "2024-10-27T02:30:00"),
            seconds("UTC", "2024-10-27T00:30:00")
        );
        assert!("Europe/Berlim".parse::<Zone>().unwrap_err().contains("Europe/Berlin"));
    }
}
