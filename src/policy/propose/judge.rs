//! What a column is, by its name and by its values. Where the two disagree, the one that protects more
//! counts. Does not say what to do about it.

use arrow::datatypes::DataType;

use super::kind::Kind;
use super::names::said;
use crate::pipeline::profile::{ColumnProfile, Look};
use crate::pipeline::transform::column::canonical;

/// A column's kind, and how that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judgement {
    /// The kind.
    pub(super) kind: Kind,
    /// Why, in sentences without a full stop.
    pub(super) reasons: Vec<String>,
}

/// Looks at one column.
pub(super) fn judge(column: &ColumnProfile) -> Judgement {
    let number = is_number(column);
    let name = said(&column.name, number);
    let content = by_content(column);
    let mut reasons = Vec::new();
    if let Some(said) = &name {
        reasons.push(format!("the name says {}", said.word));
    }
    let name = name.map(|said| said.kind);
    let kind = match (name, &content) {
        (None, None) => Kind::Unknown,
        (None, Some((kind, ..))) => *kind,
        (Some(named), None) => named,
        (Some(named), Some((found, ..))) => together(named, *found),
    };
    if let Some((_, look, share)) = content {
        reasons.push(format!("{} of the values look like {}", percent(share), look.words()));
    }
    let checked = doubt(kind, column);
    if checked != kind {
        reasons.push(match checked {
            Kind::Unknown => "the values do not fit that".to_owned(),
            other => format!("the values are rather those of: {}", other.words()),
        });
    }
    for (look, count) in &column.inside {
        let share = count.checked_mul(1000).and_then(|parts| parts.checked_div(column.telling()));
        if look.identifies() && share.is_some() {
            let share = crate::pipeline::profile::ratio(*count, column.telling());
            reasons.push(format!("{} of the values have {} inside", percent(share), look.words()));
        }
    }
    Judgement { kind: checked, reasons }
}

/// The kind that nearly all values show by their form, with that form and its share.
fn by_content(column: &ColumnProfile) -> Option<(Kind, Look, f64)> {
    const MOST: f64 = 0.8;
    let by_look = |kind, look: Look| {
        let share = column.share(&[look]);
        (share >= MOST).then_some((kind, look, share))
    };
    let by_number =
        |kind, look, count: fn(&crate::pipeline::profile::Numbers) -> u64, most: f64| {
            let share = column.of_numbers(count);
            (share >= most && column.telling() >= 10).then_some((kind, look, share))
        };
    const FORMS: [(Kind, Look); 22] = [
        (Kind::Email, Look::Email),
        (Kind::Certificate, Look::Principal),
        (Kind::Host, Look::Slot),
        (Kind::Address, Look::Address),
        (Kind::Mac, Look::Mac),
        (Kind::Uuid, Look::Uuid),
        (Kind::Link, Look::Url),
        (Kind::Certificate, Look::DistinguishedName),
        (Kind::Path, Look::Path),
        (Kind::Secret, Look::Secret),
        (Kind::Digest, Look::Digest),
        (Kind::BankAccount, Look::Iban),
        (Kind::Card, Look::Card),
        (Kind::NationalId, Look::NationalId),
        (Kind::Phone, Look::Phone),
        (Kind::Environment, Look::Environment),
        (Kind::Structured, Look::Json),
        (Kind::Command, Look::Command),
        (Kind::HostList, Look::NodeList),
        (Kind::Host, Look::Host),
        (Kind::Prose, Look::Prose),
        (Kind::Time, Look::Time),
    ];
    FORMS
        .into_iter()
        .find_map(|(kind, look)| by_look(kind, look))
        .or_else(|| by_number(Kind::Card, Look::Card, |numbers| numbers.card, 0.9))
        .or_else(|| {
            // A mixture of forms that all tell who or where.
            let share = FORMS
                .iter()
                .filter(|(_, look)| look.identifies())
                .map(|(_, look)| column.share(&[*look]))
                .sum::<f64>();
            (share >= 0.02).then_some((Kind::Prose, Look::Other, share)).map(|_| {
                let most = FORMS
                    .iter()
                    .filter(|(_, look)| look.identifies())
                    .max_by(|(_, a), (_, b)| column.share(&[*a]).total_cmp(&column.share(&[*b])));
                let look = most.map_or(Look::Other, |(_, look)| *look);
                (Kind::Prose, look, column.share(&[look]))
            })
        })
}

/// One kind of what the name and the values say.
fn together(named: Kind, found: Kind) -> Kind {
    // A pseudonym of the whole hides whatever stands in it.
    if found == Kind::Prose
        && matches!(
            named,
            Kind::User
                | Kind::Email
                | Kind::Host
                | Kind::HostList
                | Kind::Group
                | Kind::Account
                | Kind::Certificate
        )
    {
        return named;
    }
    let keeps_name = match named {
        // Names of people's accounts are often their addresses.
        Kind::User => matches!(found, Kind::Email | Kind::Certificate | Kind::Uuid | Kind::Digest),
        Kind::Email => matches!(found, Kind::Certificate),
        Kind::Host | Kind::HostList => matches!(found, Kind::Host | Kind::HostList | Kind::Email),
        Kind::Time | Kind::Day | Kind::Birthday => matches!(found, Kind::Time),
        // What is dropped in any case.
        Kind::Secret
        | Kind::PersonName
        | Kind::NationalId
        | Kind::Card
        | Kind::BankAccount
        | Kind::Street
        | Kind::Row
        | Kind::Environment => true,
        Kind::Certificate => !matches!(found, Kind::Path | Kind::Command | Kind::Secret),
        Kind::Job | Kind::Number | Kind::PersonNumber => {
            matches!(found, Kind::Uuid | Kind::Digest | Kind::Host | Kind::HostList | Kind::Prose)
        }
        Kind::Account | Kind::Group => matches!(found, Kind::Digest),
        _ => false,
    };
    match (named, found) {
        (Kind::Host, Kind::HostList) => Kind::HostList,
        _ if keeps_name => named,
        // Sentences by form: the name says of what.
        (named, Kind::Prose) if drops(named) => named,
        _ => found,
    }
}

/// Kinds that are dropped as text is.
const fn drops(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Path
            | Kind::Command
            | Kind::Environment
            | Kind::Prose
            | Kind::Title
            | Kind::Structured
            | Kind::Link
    )
}

/// Whether the values can be of a kind that leaves in part; what is not sure becomes unknown.
fn doubt(kind: Kind, column: &ColumnProfile) -> Kind {
    if column.telling() == 0 {
        return kind;
    }
    let text = is_text(&column.data_type);
    let number = is_number(column);
    let leaks = leaks(column);
    let numeral = text && column.share(&[Look::Whole, Look::Decimal]) >= 0.98;
    let all = |looks: &[Look]| text && column.share(looks) >= 0.98;
    let temporal = canonical(&column.data_type).is_temporal();
    let moment = column.of_numbers(|numbers| numbers.epoch + numbers.zero) >= 0.9
        && column.of_numbers(|numbers| numbers.epoch) > 0.0
        || column.of_numbers(|numbers| numbers.epoch_millis) >= 0.9;
    match kind {
        Kind::Address if text && column.share(&[Look::Address]) < 0.5 => Kind::Host,
        Kind::Phone if text && column.share(&[Look::Phone, Look::Whole]) < 0.5 => Kind::Number,
        Kind::Time | Kind::Day if temporal || moment => kind,
        Kind::Time | Kind::Day if text && column.share(&[Look::Time, Look::Day]) >= 0.9 => kind,
        Kind::Time | Kind::Day if number && column.of_numbers(|numbers| numbers.day) >= 0.9 => {
            Kind::Day
        }
        // A time that is no moment is a length, if it is a number.
        Kind::Time if number || all(&[Look::Duration, Look::Whole, Look::Decimal]) => {
            Kind::Duration
        }
        Kind::Time | Kind::Day => Kind::Unknown,
        Kind::Duration if number && moment => Kind::Time,
        Kind::Duration if temporal => Kind::Time,
        Kind::Memory | Kind::Duration | Kind::Count | Kind::Quantity | Kind::Money
            if number || numeral =>
        {
            kind
        }
        Kind::Memory if all(&[Look::Size, Look::Whole, Look::Decimal]) => kind,
        Kind::Duration if all(&[Look::Duration, Look::Whole, Look::Decimal]) => kind,
        Kind::Resources if all(&[Look::Resources]) => kind,
        Kind::Money if text && is_short_list(column) && !leaks => kind,
        Kind::Memory
        | Kind::Duration
        | Kind::Count
        | Kind::Quantity
        | Kind::Resources
        | Kind::Money => Kind::Unknown,
        Kind::Latitude if number && column.of_numbers(|numbers| numbers.latitude) >= 0.99 => kind,
        Kind::Longitude if number && column.of_numbers(|numbers| numbers.longitude) >= 0.99 => kind,
        Kind::Latitude | Kind::Longitude => Kind::Unknown,
        Kind::Age | Kind::Year if number => kind,
        Kind::Age | Kind::Year => Kind::Unknown,
        Kind::ExitCode if number || all(&[Look::Pair, Look::Whole, Look::Duration]) => kind,
        Kind::ExitCode if matches!(column.data_type, DataType::Boolean) => kind,
        Kind::ExitCode => Kind::Unknown,
        Kind::Place
        | Kind::Country
        | Kind::Sex
        | Kind::Ethnicity
        | Kind::Education
        | Kind::Occupation
        | Kind::Marital
        | Kind::Site
        | Kind::Queue
        | Kind::Experiment
        | Kind::Category
        | Kind::Status
        | Kind::Health
            if leaks =>
        {
            Kind::Prose
        }
        Kind::Sex
        | Kind::Ethnicity
        | Kind::Education
        | Kind::Occupation
        | Kind::Marital
        | Kind::Site
        | Kind::Queue
        | Kind::Experiment
        | Kind::Category
        | Kind::Health
        | Kind::Country
        | Kind::Place
            if !is_short_list(column) && !matches!(column.data_type, DataType::Boolean) =>
        {
            Kind::Unknown
        }
        other => other,
    }
}

/// Whether values repeat as names of things do and names of persons in their own table do not.
fn is_short_list(column: &ColumnProfile) -> bool {
    column.distinct <= 20
        || column.distinctness() <= 0.1
        || (column.distinct <= 100 && column.distinctness() <= 0.5)
}

/// Whether any value is, or holds, something that identifies.
pub(super) fn leaks(column: &ColumnProfile) -> bool {
    let whole = column.looks.iter().any(|(look, count)| look.identifies() && *count > 0);
    let inside = column.inside.iter().any(|(look, count)| look.identifies() && *count > 0);
    whole || inside
}

/// Whether a column holds numbers, as numbers.
pub(super) fn is_number(column: &ColumnProfile) -> bool {
    canonical(&column.data_type).is_numeric()
}

/// Whether a column is text.
pub(super) fn is_text(data_type: &DataType) -> bool {
    canonical(data_type) == DataType::Utf8
}

/// A share in percent, in words that claim no more than a sample can.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        _ if share >= 1.0 => "all".to_owned(),
        p if p >= 99.5 => "over 99 %".to_owned(),
        p if p >= 10.0 => format!("{p:.0} %"),
        p if p >= 0.1 => format!("{p:.1} %"),
        _ => "a few".to_owned(),
    }
}
