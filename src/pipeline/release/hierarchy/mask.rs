//! Text whose last characters are masked, level by level. Counts characters, not bytes.

use crate::policy::release::file::TOP;

/// By level: the label of each value. Its length stays, so that equal masks stay equal at the next level.
pub(super) fn levels(counts: &[usize], texts: &[&str]) -> Vec<Vec<String>> {
    let masked = |text: &&str, count: usize| {
        let characters = text.chars().count();
        let kept = characters.saturating_sub(count);
        let mut label: String = text.chars().take(kept).collect();
        label.push_str(&TOP.repeat(characters - kept));
        label
    };
    counts.iter().map(|count| texts.iter().map(|text| masked(text, *count)).collect()).collect()
}
