//! What a partner would get, in plain words: a neutral model that text, Markdown and JSON are made
//! of. Every sentence about a transform comes from the transform itself.

use arrow::datatypes::Schema;
use chrono::NaiveDate;

use super::check::type_name;
use super::lint::is_stand_in;
use super::load::leaves;
use super::privacy::{DpGrant, is_learned};
use super::problem::listed;
use super::{Access, Class, Column, Grant, Limits, Linkage, Nulls, Policy, View};
use crate::pipeline::transform::Exposure;
use crate::pipeline::transform::column::canonical;
use crate::pipeline::transform::elements;

mod render;

pub use render::{json, markdown, text};

/// What a policy does, for one partner or for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The dataset.
    pub dataset: String,
    /// What a row is.
    pub description: String,
    /// The partner, where one was asked about.
    pub partner: Option<String>,
    /// The policy's digest.
    pub digest: String,
    /// One sentence a grant.
    pub grants: Vec<String>,
    /// What holds for the table as a whole, a sentence each.
    pub general: Vec<String>,
    /// The columns that leave, in the order of the stream.
    pub columns: Vec<ExplainedColumn>,
    /// What is offered beside the dataset.
    pub views: Vec<View>,
    /// The columns that do not leave, for the custodian: a partner does not see their names.
    pub withheld: Vec<String>,
    /// Whether all that is granted are answers with noise: then no row leaves at all.
    pub noisy: bool,
    /// What to expect of answers with noise, a line each.
    pub expected: Vec<String>,
}

/// What happens to one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedColumn {
    /// Its name.
    pub name: String,
    /// The transform's name.
    pub protection: String,
    /// What it is, as the policy says.
    pub class: Option<&'static str>,
    /// How much is still seen.
    pub exposure: &'static str,
    /// The raw type, where the data was looked at.
    pub type_raw: Option<String>,
    /// The type that leaves, where the data was looked at.
    pub type_leaving: Option<String>,
    /// What is done.
    pub does: String,
    /// What still leaks.
    pub leaks: String,
}

/// Explains a policy. `partner` narrows the grants; `schema` is the raw schema, where it is known.
pub fn explain(
    policy: &Policy,
    partner: Option<&str>,
    schema: Option<&Schema>,
    today: NaiveDate,
) -> Explanation {
    let of_partner = |grant: &&Grant| partner.is_none_or(|partner| grant.partner == partner);
    let granted: Vec<&Grant> = policy.grants.iter().filter(of_partner).collect();
    let noises: Vec<(&str, &DpGrant)> = granted.iter().filter_map(|grant| noise(grant)).collect();
    let noisy = !noises.is_empty() && noises.len() == granted.len();
    let mut columns = Vec::new();
    let mut withheld = Vec::new();
    for column in &policy.columns {
        let rule = &column.rule;
        if !leaves(rule) {
            withheld.push(column.name.clone());
            continue;
        }
        let raw = schema
            .and_then(|schema| schema.field_with_name(&column.name).ok())
            .map(|field| canonical(field.data_type()));
        let fit = raw.as_ref().and_then(|raw| elements::fit(rule.transform, &rule.args, raw).ok());
        let by_element = fit.as_ref().is_some_and(|fit| fit.by_element);
        let leaving = fit.and_then(|fit| fit.output).map(|leaving| type_name(&leaving));
        let (mut does, mut leaks) =
            (rule.transform.explain(&rule.args), rule.transform.explain_leaks(&rule.args));
        if by_element {
            does.push_str(" So it is with each element of a list.");
            if policy.nulls == Nulls::SuppressRow {
                does.push_str(" A row whose list misses an element does not leave.");
            }
            leaks = format!("{leaks} {}", elements::LEAKS);
        }
        let mut exposure = rule.transform.exposure(&rule.args);
        if policy.release.as_ref().is_some_and(|release| release.is_quasi(&column.name)) {
            does.push_str(" Then its class in the release decides what is shown.");
            leaks = "What all rows of a class share.".to_owned();
            exposure = exposure.min(Exposure::Coarse);
        }
        let mut seen = exposure_name(exposure);
        if noisy {
            // What the rule does is done before: what statements speak of is what it would let out.
            (does, leaks) = spoken(&noises, column, &does);
            seen = "never row by row";
        }
        columns.push(ExplainedColumn {
            name: column.name.clone(),
            protection: rule.transform.spec().name(),
            class: column.class.map(class_name),
            exposure: seen,
            type_raw: raw.as_ref().map(type_name),
            type_leaving: leaving,
            does,
            leaks,
        });
    }
    Explanation {
        dataset: policy.dataset.clone(),
        description: policy.description.clone(),
        partner: partner.map(str::to_owned),
        digest: policy.digest.clone(),
        grants: granted.iter().map(|grant| sentence(policy, grant, today)).collect(),
        general: general(policy, noisy),
        columns,
        views: policy.views.clone(),
        withheld,
        noisy,
        expected: expected(policy, &noises),
    }
}

/// A grant of answers with noise.
fn noise(grant: &Grant) -> Option<(&str, &DpGrant)> {
    match &grant.access {
        Access::Dp(dp) => Some((&grant.partner, dp)),
        Access::Rows | Access::Aggregates { .. } => None,
    }
}

/// What statements may do with a column, and what may be learned of it; for each partner where that differs.
fn spoken(noises: &[(&str, &DpGrant)], column: &Column, rule: &str) -> (String, String) {
    let told: Vec<(&str, (String, String))> =
        noises.iter().map(|(partner, dp)| (*partner, super::privacy::spoken(dp, column))).collect();
    let same = told.iter().all(|(_, words)| Some(words) == told.first().map(|(_, words)| words));
    let join = |pick: &dyn Fn(&(String, String)) -> String| match told.first() {
        Some((_, words)) if same => pick(words),
        _ => {
            let each = told.iter().map(|(partner, words)| format!("`{partner}`: {}", pick(words)));
            each.collect::<Vec<_>>().join(" ")
        }
    };
    let mut does = join(&|words| words.0.clone());
    if column.rule.transform.spec().verb != "keep" && !is_learned(column) {
        does = format!("{does} Statements see it after its rule: {rule}");
    }
    (does, join(&|words| words.1.clone()))
}

/// What to expect of answers with noise, where the policy says how large the data is.
fn expected(policy: &Policy, noises: &[(&str, &DpGrant)]) -> Vec<String> {
    if policy.public_numbers.is_none() {
        return Vec::new();
    }
    let each = noises.iter().flat_map(|(partner, dp)| {
        let lines = super::privacy::outlook(policy, dp);
        lines.into_iter().map(move |line| match noises.len() {
            1 => line,
            _ => format!("`{partner}`: {line}"),
        })
    });
    each.collect()
}

/// A grant as a sentence.
fn sentence(policy: &Policy, grant: &Grant, today: NaiveDate) -> String {
    let what = match &grant.access {
        Access::Rows => "may pull the transformed rows".to_owned(),
        Access::Aggregates { group_min } => {
            let of = match &policy.unit {
                Some(unit) => format!("{group_min} different `{unit}`"),
                None => group_min.to_string(),
            };
            format!("may ask for aggregates over groups of at least {of}, and for no rows")
        }
        Access::Dp(_) => {
            "may ask for differentially private aggregates, and for no rows".to_owned()
        }
    };
    let until = match grant.until {
        None => ", without an end".to_owned(),
        Some(until) if until < today => format!("; expired on {until}"),
        Some(until) => format!(", up to and including {until}"),
    };
    let limits = limits(grant.limits).map(|limits| format!(" At most {limits}."));
    let promise = match &grant.access {
        Access::Rows | Access::Aggregates { .. } => None,
        Access::Dp(dp) => Some(format!(" {}", super::privacy::promised(policy, dp))),
    };
    let more = limits.or(promise).unwrap_or_default();
    format!("`{}` {what}{until}.{more}", grant.partner)
}

/// How much a grant gives; nothing where it does not say.
fn limits(limits: Limits) -> Option<String> {
    let Limits { rows_day, bytes_day, queries, seconds } = limits;
    let one_or = |count: u64, one: &str, more: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {more}"),
    };
    let mut parts = Vec::new();
    parts.extend(rows_day.map(|rows| format!("{} a day", one_or(rows, "row", "rows"))));
    parts.extend(bytes_day.map(|bytes| format!("{} a day", one_or(bytes, "byte", "bytes"))));
    let queries = queries.map(|queries| queries as u64);
    parts.extend(queries.map(|n| format!("{} at a time", one_or(n, "statement", "statements"))));
    parts.extend(seconds.map(|n| format!("{} a statement", one_or(n, "second", "seconds"))));
    let last = parts.pop()?;
    Some(if parts.is_empty() { last } else { format!("{} and {last}", parts.join(", ")) })
}

/// Whether a grant says of a column as what its nulls count.
fn gives_nulls_a_meaning(grant: &Grant) -> bool {
    matches!(&grant.access, Access::Dp(dp) if !dp.null_as.is_empty())
}

/// What holds for the table as a whole.
fn general(policy: &Policy, noisy: bool) -> Vec<String> {
    let mut sentences = Vec::new();
    sentences.push(match (&policy.rows, &policy.release) {
        (None, _) if noisy => "No row leaves; all rows are counted.".to_owned(),
        (Some(rows), _) if noisy => {
            format!("No row leaves; only rows for which `{rows}` is true are counted.")
        }
        (None, None) => "All rows leave.".to_owned(),
        (Some(rows), None) => format!("Only rows for which `{rows}` is true leave."),
        (None, Some(_)) => "All rows are taken into the release.".to_owned(),
        (Some(rows), Some(_)) => {
            format!("Only rows for which `{rows}` is true are taken into the release.")
        }
    });
    sentences.push(
        match policy.nulls {
            Nulls::Keep | Nulls::Token if noisy && policy.grants.iter().any(gives_nulls_a_meaning) => {
                "A missing value counts as a grant says, in columns that it names; in others it is no value: it is \
                 neither summed nor averaged. A row without its unit is not counted."
            }
            Nulls::Keep | Nulls::Token if noisy => {
                "A missing value is no value: it is neither summed nor averaged; a row without its unit is not \
                 counted."
            }
            Nulls::SuppressRow if noisy => {
                "A row with a missing value in a column that statements may speak of is not counted."
            }
            Nulls::Keep => {
                "A missing value stays missing, so a partner sees where values are missing."
            }
            Nulls::Token => {
                "A missing value gets a stand-in of its own in pseudonym columns and stays missing \
                 elsewhere."
            }
            Nulls::SuppressRow => {
                "A row with a missing value in a column that leaves does not leave."
            }
        }
        .to_owned(),
    );
    sentences.push(
        match policy.linkage {
            Linkage::PerPartner => {
                "Pseudonyms are made for each partner alone: two partners cannot join theirs."
            }
            Linkage::Shared => "All partners get the same pseudonyms and can join what they have.",
        }
        .to_owned(),
    );
    for (domain, columns) in domains(policy) {
        let verb = if columns.len() == 1 { "is" } else { "are" };
        sentences.push(format!(
            "{} {verb} of the domain `{domain}`: equal values can be recognized across columns of \
             this domain, in other datasets too.",
            listed(&columns)
        ));
    }
    sentences.push(match policy.epoch {
        None => "Keys are those of the newest epoch: a rotation of keys changes all pseudonyms."
            .to_owned(),
        Some(epoch) => format!("Keys are those of epoch {epoch}."),
    });
    if let Some(unit) = &policy.unit {
        sentences.push(format!("The protected unit is what `{unit}` names."));
    }
    sentences.extend(super::release::sentences(policy));
    sentences.extend(super::privacy::sentences(policy));
    sentences.extend(super::public::sentence(policy));
    sentences
}

/// Named domains with the columns that share keys in them, in the order of the file.
///
/// PRIVACY: parameters such as a length or a prefix do not count: who has both columns can still tell
/// which values are equal.
fn domains(policy: &Policy) -> Vec<(&str, Vec<&str>)> {
    let mut domains: Vec<(&str, String, Vec<&str>)> = Vec::new();
    for Column { name, rule, .. } in policy.columns.iter().filter(|c| is_stand_in(&c.rule)) {
        let Some(domain) = rule.args.text("domain") else { continue };
        let method = rule.transform.spec().name();
        let known =
            domains.iter_mut().find(|(known, other, _)| *known == domain && *other == method);
        match known {
            Some((.., columns)) => columns.push(name),
            None => domains.push((domain, method, vec![name])),
        }
    }
    domains.into_iter().map(|(domain, _, columns)| (domain, columns)).collect()
}

/// The word of the policy language for a class.
pub(super) const fn class_name(class: Class) -> &'static str {
    match class {
        Class::Identifier => "identifier",
        Class::Quasi => "quasi",
        Class::Sensitive => "sensitive",
        Class::Measure => "measure",
        Class::Text => "text",
    }
}

/// An exposure in words.
pub(super) const fn exposure_name(exposure: Exposure) -> &'static str {
    match exposure {
        Exposure::Nothing => "nothing",
        Exposure::Coarse => "part or a coarser form",
        Exposure::Pseudonym => "a stand-in",
        Exposure::StructuredPseudonym => "a stand-in that keeps structure",
        Exposure::Clear => "the value itself",
    }
}
