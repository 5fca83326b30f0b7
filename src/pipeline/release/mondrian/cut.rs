//! The ways to cut a part of the table in two or more along one axis, with what each gains. Moves no
//! rows and checks no guarantee but the least number of rows.

use super::axis::{Axis, Span};

/// Ranks that a part of the table has, ascending, with their rows.
pub(super) type Tally = Vec<(u32, u64)>;

/// A way to cut.
#[derive(Debug, Clone)]
pub(super) struct Cut {
    /// How much penalty it takes away, over all rows of the part.
    pub(super) gain: f64,
    /// The axis.
    pub(super) axis: usize,
    /// Where.
    pub(super) place: Place,
}

/// Where an axis is cut.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// A line: ranks up to `at` to the left, but of `at` itself only so many rows where it is divided.
    Line { at: u32, of_at: Option<u64>, left: Span, right: Span },
    /// A tree: groups of this level below `cover`, by the part they go to.
    Tree { level: u32, cover: Span, parts: Vec<Branch> },
}

/// A part of a tree.
#[derive(Debug, Clone)]
pub(super) struct Branch {
    /// What covers its groups.
    pub(super) span: Span,
    /// The groups.
    pub(super) groups: Vec<u32>,
    rows: u64,
}

/// What bounds cuts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// A part has at least so many rows.
    pub(super) rows_min: u64,
    /// Whether bounds are those of the members instead of those of the cuts.
    pub(super) tight: bool,
    /// Whether rows with the value at the cut may go to either side.
    pub(super) relaxed: bool,
    /// Whether lines are cut at the median alone.
    pub(super) medians: bool,
}

/// The cuts of one axis, the best of each kind.
pub(super) fn cuts(
    axis: &Axis<'_>,
    number: usize,
    span: Span,
    tally: &Tally,
    terms: Terms,
) -> Vec<Cut> {
    if tally.len() < 2 {
        return Vec::new();
    }
    let rows = tally.iter().map(|(_, rows)| rows).sum();
    let whole = Whole { axis, number, span, rows, terms };
    if axis.is_line() { whole.lines(tally) } else { whole.branches(tally) }
}

/// What is cut.
struct Whole<'a> {
    axis: &'a Axis<'a>,
    number: usize,
    span: Span,
    rows: u64,
    terms: Terms,
}

impl Whole<'_> {
    /// After the value where the penalty falls most, and after the median; relaxed, also within it.
    fn lines(&self, tally: &Tally) -> Vec<Cut> {
        let (mut best, mut median): (Option<Cut>, Option<(u64, Cut)>) = (None, None);
        let mut before = 0;
        for ((at, rows), (next, _)) in tally.iter().zip(tally.iter().skip(1)) {
            before += rows;
            if before < self.terms.rows_min || self.rows - before < self.terms.rows_min {
                continue;
            }
            let right = if self.terms.tight { *next } else { at + 1 };
            let cut =
                self.line(*at, None, Span(self.span.0, *at), Span(right, self.span.1), before);
            let off = (2 * before).abs_diff(self.rows);
            if median.as_ref().is_none_or(|(least, _)| off < *least) {
                median = Some((off, cut.clone()));
            }
            if !self.terms.medians && best.as_ref().is_none_or(|best| cut.gain > best.gain) {
                best = Some(cut);
            }
        }
        let within = if self.terms.relaxed { self.within(tally) } else { None };
        best.into_iter().chain(median.map(|(_, cut)| cut)).chain(within).collect()
    }

    /// Half of the rows to each side, the median's own rows divided.
    fn within(&self, tally: &Tally) -> Option<Cut> {
        let half = self.rows / 2;
        if half < self.terms.rows_min {
            return None;
        }
        let mut before = 0;
        for (at, rows) in tally {
            if before + rows > half {
                let of_at = half - before;
                let cut = self.line(
                    *at,
                    Some(of_at),
                    Span(self.span.0, *at),
                    Span(*at, self.span.1),
                    half,
                );
                return (of_at > 0).then_some(cut);
            }
            before += rows;
        }
        None
    }

    fn line(&self, at: u32, of_at: Option<u64>, left: Span, right: Span, before: u64) -> Cut {
        let after = self.rows - before;
        let gain = self.gain([(left, before), (right, after)].into_iter());
        Cut { gain, axis: self.number, place: Place::Line { at, of_at, left, right } }
    }

    /// Into the children of the group that holds all; children with too few rows stay together.
    fn branches(&self, tally: &Tally) -> Vec<Cut> {
        let cover = self.axis.cover(tally.iter().map(|(leaf, _)| *leaf));
        let Some(level) = cover.0.checked_sub(1) else { return Vec::new() };
        let mut children: Tally =
            tally.iter().map(|(leaf, rows)| (self.axis.group(level, *leaf), *rows)).collect();
        children.sort_unstable_by_key(|(group, _)| *group);
        children.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
        children.sort_by_key(|(group, rows)| (*rows, *group));
        let parts = children.into_iter().map(|(group, rows)| Branch {
            span: Span(level, group),
            groups: vec![group],
            rows,
        });
        let small = |part: &Branch| part.rows < self.terms.rows_min;
        let parts = gather(parts.collect(), cover, &small);
        parts.map(|parts| self.tree(level, cover, parts)).into_iter().collect()
    }

    fn tree(&self, level: u32, cover: Span, parts: Vec<Branch>) -> Cut {
        let gain = self.gain(parts.iter().map(|part| (part.span, part.rows)));
        Cut { gain, axis: self.number, place: Place::Tree { level, cover, parts } }
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
    fn gain(&self, parts: impl Iterator<Item = (Span, u64)>) -> f64 {
        let penalty = |span: Span, rows: u64| self.axis.penalty(span) * rows as f64;
        let left: f64 = parts.map(|(span, rows)| penalty(span, rows)).sum();
        self.axis.weight() * (penalty(self.span, self.rows) - left)
    }
}

/// The parts that cannot stand alone become one, which takes in the smallest others until it can.
/// Nothing where fewer than two parts are left.
pub(super) fn gather(
    parts: Vec<Branch>,
    cover: Span,
    fails: &dyn Fn(&Branch) -> bool,
) -> Option<Vec<Branch>> {
    let (failing, mut others): (Vec<_>, Vec<_>) = parts.into_iter().partition(fails);
    others.sort_by_key(|part| (part.rows, part.groups.first().copied()));
    let mut others = others.into_iter();
    let mut rest: Option<Branch> = None;
    for part in failing {
        rest = Some(join(rest, part, cover));
    }
    while rest.as_ref().is_some_and(fails) {
        rest = Some(join(rest, others.next()?, cover));
    }
    let parts: Vec<Branch> = rest.into_iter().chain(others).collect();
    (parts.len() > 1).then_some(parts)
}

fn join(rest: Option<Branch>, part: Branch, cover: Span) -> Branch {
    let Some(mut rest) = rest else { return part };
    rest.span = cover;
    rest.rows += part.rows;
    rest.groups.extend(part.groups);
    rest
}
