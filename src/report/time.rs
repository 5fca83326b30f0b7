//! Jobs over time: a plot of how many a day, or an hour where there are few days, or a week where there are
//! many. Works on the times that leave, which a policy may have made coarser.

use super::page::Page;
use super::plot::{Plot, Shape};
use super::roles::Role;
use super::study::{Study, count, quoted};
use crate::error::Result;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
/// More spans than this are no bars any more.
const SPANS_MAX: i64 = 400;

/// The column that tells when, and in which role.
fn when<'a>(study: &'a Study<'_>) -> Option<(Role, &'a str)> {
    let roles = [Role::Submit, Role::Start, Role::End];
    roles.into_iter().find_map(|role| Some((role, study.column(role)?)))
}

/// The hour that a row counts for, in seconds since 1970, as SQL; nothing where no time is released.
pub(super) fn hour(study: &Study<'_>) -> Option<String> {
    let (_, column) = when(study)?;
    let name = quoted(column);
    Some(format!("to_unixtime(date_trunc('hour', CAST({name} AS TIMESTAMP)))"))
}

/// Adds a plot of the rows over time, if a time is released.
///
/// # Errors
/// When the statement fails.
pub(super) fn add(study: &Study<'_>, page: &mut Page) -> Result<()> {
    let mut hours: Vec<(i64, u64)> = Vec::new();
    if let Some(hour) = hour(study) {
        let sql = format!("SELECT {hour}, count(*) FROM {} GROUP BY 1", study.table());
        study.each(&sql, |[hour, rows]| {
            hours.extend(hour.as_i64().map(|hour| (hour, count(&rows))));
            Ok(())
        })?;
    }
    draw(study, page, &hours);
    Ok(())
}

/// The plot of rows an hour, or the note that there is no time.
pub(super) fn draw(study: &Study<'_>, page: &mut Page, hours: &[(i64, u64)]) {
    let Some((role, column)) = when(study) else {
        page.notes.push(study.missing(Role::Submit));
        return;
    };
    let (points, span) = spans(hours);
    let Some(((first, _), most)) =
        points.first().zip(points.iter().max_by(|one, other| one.1.total_cmp(&other.1)))
    else {
        return;
    };
    let word = match span {
        HOUR => "hour",
        DAY => "day",
        _ => "week",
    };
    let day = |at: i64| {
        let time = chrono::DateTime::from_timestamp(at, 0);
        time.map(|time| time.format("%Y-%m-%d").to_string()).unwrap_or_default()
    };
    let last = points.last().map_or(*first, |(at, _)| *at);
    page.plots.push(Plot {
        title: format!("Jobs over time, by {}", role.noun()),
        alt: format!(
            "Jobs a {word} from {} to {}, at most {} in the {word} of {}.",
            day(*first),
            day(last),
            super::page::decimal(most.1, 0),
            day(most.0)
        ),
        shape: Shape::Time { points, span },
    });
    if !page.columns.iter().any(|known| known == column) {
        page.columns.push(column.to_owned());
    }
}

/// Counts an hour as counts a span that suits their range.
fn spans(hours: &[(i64, u64)]) -> (Vec<(i64, f64)>, i64) {
    let first = hours.iter().map(|(at, _)| *at).min().unwrap_or(0);
    let last = hours.iter().map(|(at, _)| *at).max().unwrap_or(0);
    let range = last.saturating_sub(first);
    let span = if range < 4 * DAY {
        HOUR
    } else if range < SPANS_MAX * DAY {
        DAY
    } else {
        // As many weeks as make it fit.
        7 * DAY * (range / (7 * DAY * SPANS_MAX) + 1)
    };
    let mut points = std::collections::BTreeMap::<i64, u64>::new();
    for (at, rows) in hours {
        let start = at.div_euclid(span).saturating_mul(span);
        let sum = points.entry(start).or_default();
        *sum = sum.saturating_add(*rows);
    }
    (points.into_iter().map(|(at, rows)| (at, rows as f64)).collect(), span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_suit_the_range() {
        assert_eq!(spans(&[(0, 1), (HOUR, 2)]), (vec![(0, 1.0), (HOUR, 2.0)], HOUR));
        assert_eq!(
            spans(&[(0, 1), (HOUR, 2), (9 * DAY, 4)]),
            (vec![(0, 3.0), (9 * DAY, 4.0)], DAY)
        );
        let (points, span) = spans(&[(0, 1), (50_000 * DAY, 1)]);
        assert!(span % (7 * DAY) == 0 && points.len() == 2);
        assert_eq!(spans(&[]).0, []);
    }
}
