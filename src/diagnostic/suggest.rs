//! "Did you mean": the known word nearest to an unknown one. Stays silent when nothing is near.

/// The candidate nearest to `word`, where it is near enough to be what was meant.
pub fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let folded = fold(word);
    let tolerance = match folded.chars().count() {
        0..=2 => 1,
        3..=5 => 2,
        length => length.div_ceil(3),
    };
    candidates
        .into_iter()
        .filter(|candidate| *candidate != word)
        .map(|candidate| (strsim::damerau_levenshtein(&folded, &fold(candidate)), candidate))
        .filter(|(distance, candidate)| {
            *distance <= tolerance && *distance < candidate.chars().count()
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// That no policy has what is called so: a dataset, or a view; and what could be meant.
pub fn no_policy_has<'a>(
    what: &str,
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> String {
    let near = did_you_mean(name, known).map(|near| format!("; did you mean `{near}`?"));
    format!("no policy has the {what} `{name}`{}", near.unwrap_or_default())
}

/// Case, dashes and underscores are the commonest slips; they cost nothing.
fn fold(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).flat_map(char::to_lowercase).collect()
}
