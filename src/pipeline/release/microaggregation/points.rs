//! Points that are taken away one by one, in a k-d tree whose boxes shrink with them: the farthest and
//! the nearest of those left, exactly, without looking at all. Forms no groups.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::shell::Shell;
/// Points in a leaf of the tree.
const BUCKET: usize = 16;

/// A distance and who is at it; at the same distance the lower number counts as nearer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct At {
    pub(super) distance: f64,
    pub(super) point: u32,
}

impl Eq for At {}

impl Ord for At {
    fn cmp(&self, other: &Self) -> Ordering {
        self.distance.total_cmp(&other.distance).then(self.point.cmp(&other.point))
    }
}

impl PartialOrd for At {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl At {
    /// The farther of two; of two as far away the lower number.
    pub(super) fn farther(self, other: Self) -> Self {
        let better = other.distance > self.distance
            || (other.distance == self.distance && other.point < self.point);
        if better { other } else { self }
    }
}

/// The points that are left, each of so many rows.
///
/// INVARIANT: what is found is what a look at all points finds, whatever the tree looks like: bounds never
/// exclude a point that could be as near or as far.
#[derive(Debug)]
pub(super) struct Points {
    width: usize,
    /// All coordinates, point by point, leaf by leaf: what is looked at together lies together.
    coordinates: Vec<f64>,
    /// By place: the rows left.
    rows: Vec<u64>,
    /// By place: the point.
    order: Vec<u32>,
    /// By point: its place.
    places: Vec<u32>,
    /// By place: the leaf of the tree.
    home: Vec<u32>,
    nodes: Vec<Node>,
    /// By node the least and then the largest coordinates of the points left.
    boxes: Vec<f64>,
    shell: Shell,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    from: usize,
    to: usize,
    parent: usize,
    /// The second child; the first is the next node. None in a leaf.
    second: Option<usize>,
    left: usize,
}

impl Points {
    /// Points of this many coordinates; `coordinates` holds them one after the other.
    pub(super) fn new(width: usize, coordinates: Vec<f64>, rows: Vec<u64>) -> Self {
        // What nothing tells apart is all at one place.
        let (width, coordinates) =
            if width == 0 { (1, vec![0.0; rows.len()]) } else { (width, coordinates) };
        let mut order: Vec<u32> = (0..u32::try_from(rows.len()).unwrap_or(u32::MAX)).collect();
        let mut points = Self {
            width,
            coordinates: Vec::new(),
            rows: Vec::new(),
            order: Vec::new(),
            places: vec![0; rows.len()],
            home: vec![0; rows.len()],
            nodes: Vec::new(),
            boxes: Vec::new(),
            shell: Shell::default(),
        };
        points.plant(&coordinates, &mut order, 0, 0);
        points.coordinates.reserve(coordinates.len());
        for (place, point) in (0_u32..).zip(&order) {
            let from = *point as usize * width;
            points.coordinates.extend(coordinates.get(from..from + width).unwrap_or_default());
            points.rows.push(rows.get(*point as usize).copied().unwrap_or_default());
            if let Some(slot) = points.places.get_mut(*point as usize) {
                *slot = place;
            }
        }
        points.order = order;
        // What has no rows is not there.
        let none = (0..points.rows.len()).filter(|place| points.rows.get(*place) == Some(&0));
        none.collect::<Vec<_>>().into_iter().for_each(|place| points.gone(place));
        points
    }

    /// The coordinates of a point.
    pub(super) fn point(&self, point: u32) -> &[f64] {
        self.places.get(point as usize).map_or(&[], |place| self.at(*place as usize))
    }

    /// The coordinates at a place.
    pub(super) fn at(&self, place: usize) -> &[f64] {
        let from = place * self.width;
        self.coordinates.get(from..from + self.width).unwrap_or_default()
    }

    /// The point at a place, as long as it has rows.
    pub(super) fn there(&self, place: usize) -> Option<u32> {
        let point = self.order.get(place).copied();
        point.filter(|_| self.rows.get(place).is_some_and(|rows| *rows > 0))
    }

    /// How many places there are.
    pub(super) const fn places(&self) -> usize {
        self.order.len()
    }

    /// The rows of a point that are left.
    pub(super) fn rows(&self, point: u32) -> u64 {
        let place = self.places.get(point as usize);
        place.and_then(|place| self.rows.get(*place as usize)).copied().unwrap_or_default()
    }

    /// The points left, ascending.
    pub(super) fn all(&self) -> impl Iterator<Item = u32> + '_ {
        let points = (0_u32..).zip(&self.places);
        points.map(|(point, _)| point).filter(|point| self.rows(*point) > 0)
    }

    /// Takes rows of a point away.
    pub(super) fn take(&mut self, point: u32, rows: u64) {
        let Some(place) = self.places.get(point as usize).map(|place| *place as usize) else {
            return;
        };
        let Some(left) = self.rows.get_mut(place) else { return };
        if *left == 0 || rows == 0 {
            return;
        }
        *left = left.saturating_sub(rows);
        if *left == 0 {
            self.gone(place);
        }
    }

    /// The boxes around a place shrink.
    fn gone(&mut self, place: usize) {
        let mut at = self.home.get(place).map_or(0, |home| *home as usize);
        let mut shrinks = true;
        loop {
            let Some(node) = self.nodes.get_mut(at) else { return };
            node.left -= 1;
            let node = *node;
            shrinks = shrinks && self.fit(at, node);
            if at == 0 {
                return;
            }
            at = node.parent;
        }
    }

    /// The point farthest from here; of several the lowest.
    pub(super) fn farthest(&self, from: &[f64]) -> Option<u32> {
        let mut best: Option<At> = None;
        let mut open = vec![(f64::INFINITY, 0)];
        while let Some((bound, at)) = open.pop() {
            let Some(node) = self.nodes.get(at).filter(|node| node.left > 0) else { continue };
            if best.is_some_and(|best| bound < best.distance) {
                continue;
            }
            if let Some(second) = node.second {
                // The more promising child is looked at first.
                let here = (self.bound(at + 1, from, true), at + 1);
                let there = (self.bound(second, from, true), second);
                open.extend(if here.0 > there.0 { [there, here] } else { [here, there] });
                continue;
            }
            for (point, distance) in self.members(node, from) {
                let at = At { distance, point };
                best = Some(best.map_or(at, |best| best.farther(at)));
            }
        }
        best.map(|best| best.point)
    }

    /// The same from a place that moves little from one call to the next.
    pub(super) fn farthest_again(&mut self, from: &[f64]) -> Option<u32> {
        let mut shell = std::mem::take(&mut self.shell);
        let found = shell.farthest(self, from);
        self.shell = shell;
        found.map(|found| found.point)
    }

    /// The nearest points that have so many rows together, nearest first; all where there are fewer.
    pub(super) fn nearest(&self, from: &[f64], rows: u64) -> Vec<u32> {
        let mut found: BinaryHeap<(At, u64)> = BinaryHeap::new();
        let mut sum = 0;
        let mut open = vec![(0.0, 0)];
        while let Some((bound, at)) = open.pop() {
            let Some(node) = self.nodes.get(at).filter(|node| node.left > 0) else { continue };
            if found.peek().is_some_and(|(top, _)| sum >= rows && bound > top.distance) {
                continue;
            }
            if let Some(second) = node.second {
                let here = (self.bound(at + 1, from, false), at + 1);
                let there = (self.bound(second, from, false), second);
                open.extend(if here.0 <= there.0 { [there, here] } else { [here, there] });
                continue;
            }
            for (point, distance) in self.members(node, from) {
                let at = At { distance, point };
                if sum >= rows && found.peek().is_some_and(|(top, _)| at > *top) {
                    continue;
                }
                let own = self.rows(point);
                sum += own;
                found.push((at, own));
                while let Some((_, own)) = found.peek() {
                    let without = sum - own;
                    if without < rows {
                        break;
                    }
                    sum = without;
                    found.pop();
                }
            }
        }
        found.into_sorted_vec().into_iter().map(|(at, _)| at.point).collect()
    }

    /// The points of a leaf with their distances.
    fn members<'a>(
        &'a self,
        node: &Node,
        from: &'a [f64],
    ) -> impl Iterator<Item = (u32, f64)> + 'a {
        let points = self.order.get(node.from..node.to).unwrap_or_default();
        let rows = self.rows.get(node.from..node.to).unwrap_or_default();
        let all = self.coordinates.get(node.from * self.width..node.to * self.width);
        let all = all.unwrap_or_default().chunks_exact(self.width);
        let left = points.iter().zip(rows).zip(all).filter(|((_, rows), _)| **rows > 0);
        left.map(|((point, _), at)| (*point, distance(at, from)))
    }

    /// Builds the tree over a part of the order; gives its root.
    fn plant(&mut self, all: &[f64], part: &mut [u32], from: usize, parent: usize) -> usize {
        let at = self.nodes.len();
        let (to, width) = (from + part.len(), self.width);
        self.nodes.push(Node { from, to, parent, second: None, left: part.len() });
        let corners = |point: &u32| all.get(*point as usize * width..(*point as usize + 1) * width);
        let bounds = spanned(width, part.iter().filter_map(corners));
        let axis = widest(width, &bounds);
        self.boxes.extend(bounds);
        let Some(axis) = axis.filter(|_| part.len() > BUCKET) else {
            let home = u32::try_from(at).unwrap_or(u32::MAX);
            self.home.get_mut(from..to).unwrap_or_default().fill(home);
            return at;
        };
        let coordinate = |point: &u32| all.get(*point as usize * width + axis).copied();
        let middle = part.len() / 2;
        part.select_nth_unstable_by(middle, |left, right| {
            let (here, there) = (coordinate(left), coordinate(right));
            here.partial_cmp(&there).unwrap_or(Ordering::Equal).then(left.cmp(right))
        });
        let Some((first, second)) = part.split_at_mut_checked(middle) else { return at };
        self.plant(all, first, from, at);
        let second = self.plant(all, second, from + middle, at);
        if let Some(node) = self.nodes.get_mut(at) {
            node.second = Some(second);
        }
        at
    }

    fn corners(&self, at: usize) -> (&[f64], &[f64]) {
        let from = at * 2 * self.width;
        let both = self.boxes.get(from..from + 2 * self.width).unwrap_or_default();
        both.split_at_checked(self.width).unwrap_or_default()
    }

    /// The box of a node after something below it was taken away; whether it became smaller.
    fn fit(&mut self, at: usize, node: Node) -> bool {
        let bounds = match node.second {
            None => {
                let left = (node.from..node.to).filter(|place| self.there(*place).is_some());
                spanned(self.width, left.map(|place| self.at(place)))
            }
            Some(second) => {
                let (least, most) = self.corners(at + 1);
                let (other_least, other_most) = self.corners(second);
                let least = least.iter().zip(other_least).map(|(one, other)| one.min(*other));
                let most = most.iter().zip(other_most).map(|(one, other)| one.max(*other));
                least.chain(most).collect()
            }
        };
        let from = at * 2 * self.width;
        match self.boxes.get_mut(from..from + 2 * self.width) {
            Some(slot) if *slot != *bounds => {
                slot.copy_from_slice(&bounds);
                true
            }
            _ => false,
        }
    }

    /// The least, or the largest, distance that a point of this node may have. Rounded as distances
    /// are, so it never excludes a point that is as near or as far.
    fn bound(&self, at: usize, from: &[f64], farthest: bool) -> f64 {
        let (least, most) = self.corners(at);
        let mut sum = 0.0;
        for ((least, most), at) in least.iter().zip(most).zip(from) {
            let (below, above) = (least - at, at - most);
            let off = if farthest { (-below).max(-above) } else { below.max(above).max(0.0) };
            sum += off * off;
        }
        sum
    }
}

/// The least and then the largest coordinates of these.
fn spanned<'a>(width: usize, points: impl Iterator<Item = &'a [f64]>) -> Vec<f64> {
    let mut bounds = vec![f64::INFINITY; width];
    bounds.resize(2 * width, f64::NEG_INFINITY);
    let Some((least, most)) = bounds.split_at_mut_checked(width) else { return bounds };
    for point in points {
        for ((value, least), most) in point.iter().zip(&mut *least).zip(&mut *most) {
            *least = least.min(*value);
            *most = most.max(*value);
        }
    }
    bounds
}

/// The axis on which a box is widest; none where all its points are the same.
fn widest(width: usize, bounds: &[f64]) -> Option<usize> {
    let (least, most) = bounds.split_at_checked(width)?;
    let (mut widest, mut width) = (None, 0.0);
    for (axis, (least, most)) in least.iter().zip(most).enumerate() {
        if most - least > width {
            (widest, width) = (Some(axis), most - least);
        }
    }
    widest
}

/// The square of the Euclidean distance.
pub(super) fn distance(left: &[f64], right: &[f64]) -> f64 {
    let mut sum = 0.0;
    for (left, right) in left.iter().zip(right) {
        sum += (left - right) * (left - right);
    }
    sum
}
