//! What a release guarantees and what it does not stop, in sentences that a lawyer can hold against the
//! released table. Measures nothing.

use super::{Distance, Estimator, Method, Model, Objective, ReleaseRules};
use crate::pipeline::transform::Exposure;
use crate::policy::load::leaves;
use crate::policy::problem::listed;
use crate::policy::{Column, Linkage, Policy};

/// The sentences about a policy's release; none where it has none.
pub(in crate::policy) fn sentences(policy: &Policy) -> Vec<String> {
    let Some(rules) = &policy.release else { return Vec::new() };
    let quasi: Vec<&str> = rules.quasi_identifiers.iter().map(|q| q.column.as_str()).collect();
    let quasi = listed(&quasi);
    let keyed = |column: &Column| {
        let (rule, name) = (&column.rule, &column.name);
        leaves(rule) && !rules.is_quasi(name) && rule.transform.is_keyed(&rule.args)
    };
    let but = match policy.columns.iter().any(keyed) && policy.linkage == Linkage::PerPartner {
        true => ", but for pseudonyms, which are made for each",
        false => "",
    };
    let mut said = vec![format!(
        "Rows leave only in a release: one table, built once, measured again from its own files before it is \
         used, and the same rows for every partner{but}."
    )];
    said.extend(rules.models.iter().map(|model| model_sentence(rules, model, &quasi)));
    said.push(format!(
        "In {quasi} a missing value counts as a value of its own. Columns that are not named here leave \
         row by row, as their rules say."
    ));
    said.push(method_sentence(rules));
    said.extend(suppressed(rules));
    said.push(not_stopped(policy, rules, &quasi));
    if rules.dangerous_rerelease {
        said.push(
            "The policy lets the same data be released again in another form (`dangerous_rerelease`): who \
             holds both can compare them, and the guarantees hold for each alone."
                .to_owned(),
        );
    }
    said
}

/// What one model guarantees: the property that can be counted in the released table, then what follows from it, then
/// the name under which the literature has it.
fn model_sentence(rules: &ReleaseRules, model: &Model, quasi: &str) -> String {
    match model {
        Model::KAnonymity { k } => match &rules.unit {
            None => format!(
                "Every row that leaves equals at least {} others in {quasi}: whoever knows these about a \
                 person finds at least {k} rows, and not which of them is theirs (k-anonymity, k = {k}).",
                k.saturating_sub(1)
            ),
            Some(unit) => format!(
                "Rows that leave and are equal in {quasi} are always of at least {k} different `{unit}`: whoever \
                 knows these about a person finds the rows of at least {k} persons, however many rows one of \
                 them has (k-anonymity by `{unit}`, k = {k})."
            ),
        },
        Model::KMap { k } => format!(
            "For every row that leaves, at least {k} rows of the population table have the same {quasi}: \
             whoever looks a released row up there finds at least {k} (k-map, k = {k})."
        ),
        Model::DistinctL { column, l } => format!(
            "Among rows that are equal in {quasi} there are at least {l} different values of `{column}`; how \
             often each occurs is not bounded (distinct l-diversity, l = {l})."
        ),
        Model::EntropyL { column, l, estimator } => {
            let by = match estimator {
                Estimator::Shannon => "",
                Estimator::Grassberger => {
                    ", estimated with a correction for small counts (Grassberger 2003)"
                }
            };
            format!(
                "Among rows that are equal in {quasi} the entropy of `{column}` is at least the logarithm of \
                 {l}, which is that of {l} equally frequent values{by}; one value may be more frequent than 1 \
                 in {l} where others are rare (entropy l-diversity, l = {l})."
            )
        }
        Model::RecursiveCl { column, c, l } => format!(
            "Among rows that are equal in {quasi} the most frequent value of `{column}` occurs less than {c} \
             times as often as the {} most frequent and all rarer ones together (recursive (c,l)-diversity, c = \
             {c}, l = {l}).",
            nth(*l)
        ),
        Model::TCloseness { column, t, distance } => {
            let by = match distance {
                Distance::Equal => "any two values are equally far apart",
                Distance::Ordered => "values are as far apart as their ranks",
                Distance::Hierarchical(_) => {
                    "values are as far apart as they are in their hierarchy"
                }
            };
            format!(
                "Among rows that are equal in {quasi} the distribution of `{column}` is at a distance of at \
                 most {t} from that of all rows that were taken in, where 0 is the same and 1 as far as can be \
                 (t-closeness, t = {t}; earth mover's distance, {by})."
            )
        }
        Model::DeltaPresence { min, max } => format!(
            "Of the rows of the population table with the same {quasi}, at least {} and at most {} of every 100 \
             are in the dataset: whoever looks a person up there learns no more of whether they are in it \
             (delta-presence, {min} to {max}).",
            percent(*min),
            percent(*max)
        ),
        Model::BetaLikeness { column, beta, enhanced } => {
            let growth = match enhanced {
                false => format!("{beta}"),
                true => format!("the smaller of {beta} and -ln p"),
            };
            let name = if *enhanced { "enhanced beta-likeness" } else { "basic beta-likeness" };
            format!(
                "Among rows that are equal in {quasi}, a value of `{column}` that has the share p of all rows \
                 that were taken in has a share of at most p x (1 + {growth}) ({name}, beta = {beta})."
            )
        }
    }
}

fn nth(l: u64) -> String {
    match (l % 10, l % 100) {
        (1, n) if n != 11 => format!("{l}st"),
        (2, n) if n != 12 => format!("{l}nd"),
        (3, n) if n != 13 => format!("{l}rd"),
        _ => format!("{l}th"),
    }
}

fn method_sentence(rules: &ReleaseRules) -> String {
    match &rules.method {
        Method::Lattice { objective } => format!(
            "Each of these columns is made coarser as a whole, to one level for all rows; of all levels \
             that give the guarantees, those are taken that cost least ({}).",
            cost(objective)
        ),
        Method::Fixed { levels } => {
            let levels: Vec<String> = rules
                .quasi_identifiers
                .iter()
                .filter_map(|quasi| {
                    Some(format!("`{}` {}", quasi.column, levels.get(&quasi.column)?))
                })
                .collect();
            format!(
                "Each of these columns is made coarser as a whole, to the level that the policy fixes ({}): \
                 the levels tell nothing of the data.",
                levels.join(", ")
            )
        }
        Method::Mondrian { strict } => {
            let equal = match strict {
                true => "rows that are equal stay together",
                false => "rows that are equal may be in different groups",
            };
            format!(
                "Rows are divided into groups, in each of which the guarantees hold, as long as they can be \
                 divided again; {equal}. A group shows of numbers and times the range between two cuts, which \
                 need not be values of anybody, of other columns a group of their hierarchy or `*`. The cuts \
                 follow from the data."
            )
        }
        Method::Microaggregation => "Rows are put into groups of similar ones, in each of which the guarantees \
                                     hold, and each row shows the means of its group in place of its own \
                                     numbers."
            .to_owned(),
        Method::LocalSuppression => "Values stay as they are, but for single ones that become `*`, in the rows \
                                     that would not give the guarantees otherwise; `*` equals only `*`."
            .to_owned(),
    }
}

const fn cost(objective: &Objective) -> &'static str {
    match objective {
        Objective::Loss { .. } => "the share of its column's domain that a value covers",
        Objective::Entropy { .. } => "entropy that is lost",
        Objective::Discernibility { .. } => "rows that cannot be told apart",
        Objective::ClassSize => "the average number of equal rows",
        Objective::Precision { .. } => "levels in relation to the height of their hierarchies",
        Objective::Height => "the sum of levels",
    }
}

fn suppressed(rules: &ReleaseRules) -> Option<String> {
    if matches!(rules.method, Method::LocalSuppression | Method::Microaggregation)
        && rules.suppress_max <= 0.0
    {
        return None;
    }
    Some(if rules.suppress_max > 0.0 {
        format!(
            "Rows for which that does not suffice are left out, at most {} of every 100 that were taken in; \
             that they are missing may tell that they are unusual.",
            percent(rules.suppress_max)
        )
    } else {
        "No row is left out for it.".to_owned()
    })
}

/// A share in hundredths, without the noise of binary fractions.
fn percent(share: f64) -> f64 {
    (share * 1e8).round() / 1e6
}

fn not_stopped(policy: &Policy, rules: &ReleaseRules, quasi: &str) -> String {
    let sensitive = rules.sensitive();
    let mut open = Vec::new();
    if sensitive.is_empty() {
        open.push(
            "learning what all rows of a group share: where they have one diagnosis, who is in the group \
             has it"
                .to_owned(),
        );
    }
    let only_distinct = |column: &&str| {
        let mut of = rules.models.iter().filter(|model| model.column() == Some(column));
        of.all(|model| matches!(model, Model::DistinctL { .. }))
    };
    let guessed: Vec<&str> = sensitive.into_iter().filter(only_distinct).collect();
    if !guessed.is_empty() {
        open.push(format!(
            "a good guess of {}: most rows of a group may have the same value",
            listed(&guessed)
        ));
    }
    if rules.unit.is_some() {
        open.push("one person from having most of the rows of a group, so that what most of them show is theirs".to_owned());
    }
    let clear: Vec<&str> = policy
        .columns
        .iter()
        .filter(|column| {
            let rule = &column.rule;
            let exposure = rule.transform.exposure(&rule.args);
            leaves(rule) && exposure == Exposure::Clear && !rules.is_quasi(&column.name)
        })
        .map(|column| column.name.as_str())
        .collect();
    if !clear.is_empty() {
        open.push(format!(
            "somebody who knows more about a person than {quasi}: {} {} as in the data",
            listed(&clear),
            if clear.len() == 1 { "leaves" } else { "leave" }
        ));
    }
    if rules.unit.is_none() && rules.k().is_some() {
        open.push("a person who has several rows from being a group of their own".to_owned());
    }
    if matches!(rules.method, Method::Lattice { .. } | Method::Mondrian { .. }) {
        open.push(
            "conclusions from the levels or cuts themselves, which were chosen by the data"
                .to_owned(),
        );
    }
    open.push(
        "joining with another table about the same persons that was released elsewhere".to_owned(),
    );
    format!("It does not stop: {}.", open.join("; "))
}
