//! Adds up how the parts of a rule changed, for `policy diff`. Does not know the transforms.

use super::Change;
use crate::policy::args::Args;

/// One verdict from several: anything that weakens decides, then anything that strengthens.
pub(super) fn sum<const N: usize>(parts: [Option<Change>; N]) -> Change {
    let has = |change| parts.contains(&Some(change));
    if has(Change::Weakens) {
        Change::Weakens
    } else if has(Change::Strengthens) {
        Change::Strengthens
    } else {
        Change::Moves
    }
}

/// A column that joins a named domain can be linked to other columns; one that leaves it no longer.
pub(super) fn domain(old: &Args, new: &Args) -> Option<Change> {
    match (old.text("domain"), new.text("domain")) {
        (None, Some(_)) => Some(Change::Weakens),
        (Some(_), None) => Some(Change::Strengthens),
        (old, new) => (old != new).then_some(Change::Moves),
    }
}

/// A whole number of which more means that more leaves.
pub(super) fn more_weakens(name: &str, old: &Args, new: &Args) -> Option<Change> {
    match old.integer(name).cmp(&new.integer(name)) {
        std::cmp::Ordering::Less => Some(Change::Weakens),
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Greater => Some(Change::Strengthens),
    }
}

/// A parameter with one word that leaves more than all others.
pub(super) fn word_weakens(name: &str, weak: &str, old: &Args, new: &Args) -> Option<Change> {
    match (old.text(name) == Some(weak), new.text(name) == Some(weak)) {
        (false, true) => Some(Change::Weakens),
        (true, false) => Some(Change::Strengthens),
        _ => None,
    }
}

/// Where equal values meet: in every column of a named domain, or in this column alone.
pub(super) fn scope(args: &Args) -> String {
    match args.text("domain") {
        Some(domain) => format!("in every column of the domain `{domain}`"),
        None => "in this column".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::transform::testing::word;
    use crate::policy::args::Value;

    #[test]
    fn what_weakens_decides() {
        use Change::{Moves, Strengthens, Weakens};
        assert_eq!(sum([Some(Strengthens), Some(Weakens), Some(Moves)]), Weakens);
        assert_eq!(sum([Some(Strengthens), None, Some(Moves)]), Strengthens);
        assert_eq!(sum([None, None]), Moves);
    }

    #[test]
    fn joining_a_domain_weakens_and_leaving_it_strengthens() {
        let none = Args::new();
        let a = Args::new().with("domain", word("a"));
        let b = Args::new().with("domain", word("b"));
        assert_eq!(domain(&none, &a), Some(Change::Weakens));
        assert_eq!(domain(&a, &none), Some(Change::Strengthens));
        assert_eq!(domain(&a, &b), Some(Change::Moves));
        assert_eq!(domain(&a, &a), None);
    }

    #[test]
    fn a_longer_prefix_weakens() {
        let of = |bits| Args::new().with("v4_bits", Value::Integer(bits));
        assert_eq!(more_weakens("v4_bits", &of(16), &of(24)), Some(Change::Weakens));
        assert_eq!(more_weakens("v4_bits", &of(24), &of(16)), Some(Change::Strengthens));
        assert_eq!(more_weakens("v4_bits", &of(24), &of(24)), None);
    }
}
