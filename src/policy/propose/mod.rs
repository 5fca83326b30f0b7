//! Proposes a policy from what a sample of the data looks like: a kind, a class and a rule a column,
//! each with its reasons, default deny. Pure: it sees names, types and counts, never a value. What it
//! proposes is for a person to read and to change; it decides nothing.

use std::collections::BTreeMap;

use arrow::datatypes::DataType;
use chrono::{Datelike, NaiveDate};

use super::{Class, Source};
use crate::pipeline::profile::{ColumnProfile, Link, Profile, ratio};

mod judge;
mod kind;
mod names;
mod quote;
mod rules;
mod tables;
#[cfg(test)]
mod tests;
mod write;

pub use kind::Kind;

use judge::{Judgement, judge, percent};
use quote::shown;
use rules::{Around, Chosen, Rules};

/// What a proposal is made for.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of the dataset.
    pub dataset: String,
    /// Where the data is, as the policy writes it.
    pub source: Source,
    /// Who gets a grant, and until when.
    pub partner: Option<(String, NaiveDate)>,
    /// Today.
    pub today: NaiveDate,
}

/// A policy that is proposed.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// What it is made for.
    pub settings: Settings,
    /// What it is made from.
    pub profile: Profile,
    /// The column that names the protected unit, by its place.
    pub unit: Option<usize>,
    /// The columns in the order of the data.
    pub columns: Vec<Proposed>,
    /// The links that are worth telling.
    pub links: Vec<Link>,
}

/// What is proposed for one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposed {
    /// The column's name.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// What that makes it; `None` where nothing is known.
    pub class: Option<Class>,
    /// The rule as a policy writes it, without the class.
    pub rule: String,
    /// Why, in sentences without a full stop.
    pub reasons: Vec<String>,
    /// What else could be written, a line each.
    pub advice: Vec<String>,
}

impl Proposed {
    /// Whether the column leaves at all.
    pub fn leaves(&self) -> bool {
        self.rule != "drop"
    }
}

/// The columns, by their places, whose values are worth looking for in other columns.
pub fn sought(columns: &[ColumnProfile]) -> Vec<usize> {
    let kinds = columns.iter().map(|column| judge(column).kind);
    kinds.enumerate().filter(|(_, kind)| kind.is_sought()).map(|(at, _)| at).collect()
}

/// Proposes a policy.
pub fn propose(profile: Profile, settings: Settings) -> Proposal {
    let mut judged: Vec<Judgement> = profile.columns.iter().map(judge).collect();
    let before: Vec<Kind> = judged.iter().map(|judgement| judgement.kind).collect();
    let told = strongest(&profile.links, &before);
    for link in &profile.links {
        linked(link, &profile, &before, &mut judged, told.contains(&link));
    }
    let unit = unit(&profile, &judged);
    let around = Around {
        year: settings.today.year(),
        unit: unit
            .and_then(|at| profile.columns.get(at))
            .map(|column| (column.name.clone(), column.data_type.clone())),
    };
    let mut rules = Rules::default();
    let mut columns = Vec::new();
    for (column, judgement) in profile.columns.iter().zip(judged) {
        columns.push(proposed(column, judgement, &mut rules, &around));
    }
    let links = told.into_iter().cloned().collect();
    let scrubs = rules::scrub(&profile.columns, &columns);
    for (column, seen) in columns.iter_mut().zip(&profile.columns) {
        let text = column.class == Some(Class::Text) && judge::is_text(&seen.data_type);
        let scrub = scrubs.as_ref().filter(|_| text && !column.leaves());
        column.advice.extend(scrub.map(|rule| {
            format!("to let the text out without what is found in it: {{class: text, {rule}}}")
        }));
    }
    let mut proposal = Proposal { settings, profile, unit, columns, links };
    if !proposal.columns.iter().any(Proposed::leaves) {
        let fitting =
            proposal.profile.columns.iter().position(|column| rules.fits("null", column, &around));
        let first = fitting.and_then(|at| proposal.columns.get_mut(at));
        if let Some(first) = first {
            first.rule = "null".to_owned();
            first.class = first.class.or(Some(Class::Text));
            first.reasons.push(
                "a policy lets one column out at least: this one leaves empty, until you choose"
                    .to_owned(),
            );
        }
    }
    proposal
}

/// What one column gets.
fn proposed(
    column: &ColumnProfile,
    judgement: Judgement,
    rules: &mut Rules,
    around: &Around,
) -> Proposed {
    let Judgement { kind, mut reasons } = judgement;
    let mut chosen = rules.choose(kind, column, around);
    let mut class = kind.class();
    let mut advice = Vec::new();
    if column.telling() == 0 {
        reasons.push("the sample has no value of it".to_owned());
        // A name alone lets nothing out: only what hides whatever comes is proposed unseen.
        let hides = chosen.rule.starts_with("pseudonym") || chosen.rule.starts_with("ip");
        if !hides && chosen.rule != "drop" {
            let unseen =
                std::mem::replace(&mut chosen, Chosen { rule: "drop".to_owned(), why: None });
            let word = class.map_or("measure", kind::word);
            advice.push(format!("where its name is right: {{class: {word}, {}}}", unseen.rule));
        }
    }
    let leaves = chosen.rule != "drop";
    if kind == Kind::Unknown {
        class = None;
        reasons.push(unknown(column));
        if rules.fits("keep", column, around) {
            advice.push("if it tells of nobody: {class: measure, keep}".to_owned());
        }
    } else if !leaves {
        let stand_in = "pseudonym: {method: hmac, domain: DOMAIN}";
        let asked = stand_in.replace("DOMAIN", "a");
        if matches!(class, Some(Class::Text)) && rules.fits(&asked, column, around) {
            let domain = kind.words().replace([' ', '-'], "_");
            advice.push(format!(
                "where equal values must stay equal: {{class: text, {}}}",
                stand_in.replace("DOMAIN", &domain)
            ));
        }
    }
    reasons.extend(chosen.why.map(str::to_owned));
    let Chosen { rule, .. } = chosen;
    Proposed { name: column.name.clone(), kind, class, rule, reasons, advice }
}

/// What is seen of a column of which nothing is known.
fn unknown(column: &ColumnProfile) -> String {
    let kind = super::check::type_name(&column.data_type);
    match column.telling() {
        0 => format!("{kind} of unknown meaning"),
        values => {
            let unlike = if column.distinct == values {
                "no two alike".to_owned()
            } else {
                format!("{} of {values} differ", column.distinct)
            };
            format!("{kind} of unknown meaning, {unlike}")
        }
    }
}

/// Of the columns of one kind whose values a column holds, the one that it holds most often: several
/// columns with the same persons in them say the same.
fn strongest<'a>(links: &'a [Link], kinds: &[Kind]) -> Vec<&'a Link> {
    let mut strongest: BTreeMap<(usize, Option<Kind>), &Link> = BTreeMap::new();
    for link in links.iter().filter(|link| link.whole + link.inside > 0) {
        let weight = |link: &Link| (link.whole + link.inside, link.whole);
        let known = strongest.entry((link.within, kinds.get(link.of).copied())).or_insert(link);
        if weight(link) > weight(known) {
            *known = link;
        }
    }
    strongest.into_values().collect()
}

/// What it means for a column that it holds values of another.
fn linked(link: &Link, profile: &Profile, before: &[Kind], judged: &mut [Judgement], told: bool) {
    let Some(of) = before.get(link.of).copied() else { return };
    let (Some(source), Some(target)) =
        (profile.columns.get(link.of), profile.columns.get(link.within))
    else {
        return;
    };
    let Some(judgement) = judged.get_mut(link.within) else { return };
    let whole = ratio(link.whole, target.telling());
    let inside = ratio(link.inside, target.telling());
    let name = shown(&source.name);
    if told && link.whole > 0 {
        judgement.reasons.push(format!("{} of the values are values of {name}", percent(whole)));
    }
    if told && link.inside > 0 {
        judgement.reasons.push(format!("{} hold a value of {name} inside", percent(inside)));
    }
    judgement.kind = match judgement.kind {
        // The same names in two columns: one stand-in, so that they join and neither undoes the other.
        // Of groups and accounts it is the group's.
        Kind::Group if of == Kind::Account => Kind::Group,
        Kind::Account | Kind::Group | Kind::Title | Kind::Number | Kind::Unknown
            if whole >= 0.9 && is_shared(of) =>
        {
            of
        }
        // The rule lets the state itself out and nothing behind it.
        Kind::Status if rules::is_guarded(target) && link.whole == 0 => Kind::Status,
        kind if in_clear(kind) && whole >= 0.5 && is_shared(of) => of,
        kind if in_clear(kind) && of.is_personal() => Kind::Prose,
        kind => kind,
    };
}

/// Kinds whose pseudonyms have a domain that others can share.
const fn is_shared(kind: Kind) -> bool {
    matches!(kind, Kind::User | Kind::Email | Kind::Group | Kind::Account | Kind::Host)
}

/// Kinds whose texts leave as they are, if enough rows have them.
const fn in_clear(kind: Kind) -> bool {
    matches!(
        kind,
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
            | Kind::Health
            | Kind::Status
            | Kind::Money
            | Kind::PostalCode
    )
}

/// The column that tells persons apart: one that repeats, since a person has many rows, or else rows
/// are persons.
fn unit(profile: &Profile, judged: &[Judgement]) -> Option<usize> {
    let of = |kind: Kind| {
        judged.iter().zip(&profile.columns).position(|(judgement, column)| {
            let alone = kind == Kind::PersonNumber && column.distinctness() > 0.95;
            judgement.kind == kind && column.telling() > 0 && !alone && is_plain(&column.data_type)
        })
    };
    [Kind::User, Kind::Email, Kind::UserNumber, Kind::PersonNumber].into_iter().find_map(of)
}

/// One value a row.
fn is_plain(data_type: &DataType) -> bool {
    !crate::pipeline::transform::column::canonical(data_type).is_nested()
}
