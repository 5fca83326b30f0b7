//! Which quasi-identifiers are numbers or times, read from the labels of their leaves: the values
//! reach the methods as text, whatever their type was. Decides nothing about values that are neither.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};

use super::table::Hierarchy;

impl Hierarchy {
    /// By leaf its number; `None` is null. Nothing where some value is no finite number.
    pub fn numbers(&self) -> Option<Vec<Option<f64>>> {
        self.read(number)
    }

    /// By leaf its place on a line, a number or the seconds of a date or a time of day; `None` is
    /// null. Nothing where values have no place, or where some are numbers and others times.
    pub fn positions(&self) -> Option<Vec<Option<f64>>> {
        self.numbers().or_else(|| self.read(time))
    }

    /// Every value read in the same way; nothing where one cannot be, or where there is only null.
    fn read(&self, how: impl Fn(&str) -> Option<f64>) -> Option<Vec<Option<f64>>> {
        let values = self.labels.first()?;
        values.iter().any(Option::is_some).then_some(())?;
        values
            .iter()
            .map(|value| match value {
                Some(text) => how(text).map(Some),
                None => Some(None),
            })
            .collect()
    }
}

/// A number as it is written in decimal; `nan` and `inf` are names, not numbers.
fn number(text: &str) -> Option<f64> {
    let plain =
        |byte: u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E');
    let value = text.bytes().all(plain).then(|| text.parse::<f64>().ok())??;
    value.is_finite().then_some(value)
}

/// Seconds of a date, of a date and time with or without an offset, or of a time of day.
#[expect(clippy::cast_precision_loss, reason = "seconds of dates are far below 2^53")]
fn time(text: &str) -> Option<f64> {
    let seconds = |at: NaiveDateTime| {
        at.and_utc().timestamp() as f64 + f64::from(at.and_utc().timestamp_subsec_nanos()) / 1e9
    };
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(seconds(at.naive_utc()));
    }
    for form in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"] {
        if let Ok(at) = NaiveDateTime::parse_from_str(text, form) {
            return Some(seconds(at));
        }
    }
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Some(seconds(day.and_time(NaiveTime::MIN)));
    }
    let time = NaiveTime::parse_from_str(text, "%H:%M:%S%.f").ok()?;
    Some(seconds(NaiveDate::default().and_time(time)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hierarchy(values: &[Option<&str>]) -> Hierarchy {
        let leaves = 0..u32::try_from(values.len()).unwrap();
        Hierarchy {
            name: "column".to_owned(),
            groups: vec![leaves.collect(), vec![0; values.len()]],
            labels: vec![
                values.iter().map(|value| value.map(str::to_owned)).collect(),
                vec![Some("*".to_owned())],
            ],
            weight: 1.0,
        }
    }

    #[test]
    fn numbers_are_numbers_and_null_is_none() {
        let read = hierarchy(&[Some("-3"), Some("2.5"), None, Some("1e3")]).positions();
        assert_eq!(read.unwrap(), [Some(-3.0), Some(2.5), None, Some(1000.0)]);
    }

    #[test]
    fn one_word_makes_a_column_of_words() {
        for word in ["x", "nan", "inf", "infinity", "", "[1, 2]", "*"] {
            assert_eq!(hierarchy(&[Some("1"), Some(word)]).positions(), None, "{word}");
        }
        assert_eq!(hierarchy(&[None]).positions(), None);
        assert_eq!(hierarchy(&[]).positions(), None);
    }

    #[test]
    fn times_stand_on_the_line_of_seconds() {
        let read = hierarchy(&[
            Some("1970-01-02"),
            Some("1970-01-01T00:00:10"),
            Some("1970-01-01 00:00:10.5"),
            Some("1970-01-01T01:00:00+01:00"),
        ]);
        assert_eq!(read.numbers(), None);
        assert_eq!(read.positions().unwrap(), [Some(86400.0), Some(10.0), Some(10.5), Some(0.0)]);
        assert_eq!(hierarchy(&[Some("1970-01-01"), Some("7")]).positions(), None);
    }
}
