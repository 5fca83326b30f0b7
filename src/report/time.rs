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

/// Adds a plot of the rows over time, if a time is released; `only` is a condition on the rows.
///
/// # Errors
/// When the statement fails.
pub(super) fn add(study: &Study<'_>, page: &mut Page, only: Option<&str>) -> Result<()> {
    let roles = [Role::Submit, Role::Start, Role::End];
    let Some((role, column)) =
        roles.into_iter().find_map(|role| Some((role, study.column(role)?.to_owned())))
    else {
        page.notes.push(study.missing(Role::Submit));
        return Ok(());
    };
    let name = quoted(&column);
    let only = only.map_or_else(String::new, |only| format!(" AND ({only})"));
    let sql = format!(
        "SELECT to_unixtime(hour), n FROM (SELECT date_trunc('hour', CAST({name} AS TIMESTAMP)) AS hour, \
         count(*) AS n FROM {} WHERE {name} IS NOT NULL{only} GROUP BY 1)",
        study.table()
    );
    let mut hours: Vec<(i64, u64)> = Vec::new();
    study.each(&sql, |[hour, rows]| {
        hours.extend(hour.as_i64().map(|hour| (hour, count(&rows))));
        Ok(())
    })?;
    let (points, span) = spans(&hours);
    let Some(((first, _), most)) =
        points.first().zip(points.iter().max_by(|one, other| one.1.total_cmp(&other.1)))
    else {
        return Ok(());
    };
    let word = match span {
        HOUR => "hour",
        DAY => "day",
        _ => "week",
    };
    let when = |at: i64| {
        let time = chrono::DateTime::from_timestamp(at, 0);
        time.map(|time| time.format("%Y-%m-%d").to_string()).unwrap_or_default()
    };
    let last = points.last().map_or(*first, |(at, _)| *at);
    page.plots.push(Plot {
        title: format!("Jobs over time, by {}", role.noun()),
        alt: format!(
            "Jobs a {word} from {} to {}, at most {} in the {word} of {}.",
            when(*first),
            when(last),
            super::page::decimal(most.1, 0),
            when(most.0)
        ),
        shape: Shape::Time { points, span },
    });
    if !page.columns.contains(&column) {
        page.columns.push(column);
    }
    Ok(())
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
