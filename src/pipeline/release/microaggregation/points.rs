//! Points that are taken away one by one, in a k-d tree whose boxes shrink with them: the farthest and
//! the nearest of those left, exactly, without looking at all. Forms no groups.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

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

/// The points that are left, each of so many rows.
#[derive(Debug)]
pub(super) struct Points {
    width: usize,
    /// All coordinates, point by point.
    coordinates: Vec<f64>,
    rows: Vec<u64>,
    /// The points, leaf by leaf.
    order: Vec<u32>,
    /// By point its leaf.
    home: Vec<usize>,
    nodes: Vec<Node>,
    /// By node the least and then the largest coordinates of the points left.
    boxes: Vec<f64>,
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
        let order = (0..u32::try_from(rows.len()).unwrap_or(u32::MAX)).collect();
        let home = vec![0; rows.len()];
        let (nodes, boxes) = (Vec::new(), Vec::new());
        let mut points = Self { width, coordinates, rows, order, home, nodes, boxes };
        points.plant(0, points.rows.len(), 0);
        points
    }

    /// The coordinates of a point.
    pub(super) fn point(&self, point: u32) -> &[f64] {
        let from = point as usize * self.width;
        self.coordinates.get(from..from + self.width).unwrap_or_default()
    }

    /// The rows of a point that are left.
    pub(super) fn rows(&self, point: u32) -> u64 {
        self.rows.get(point as usize).copied().unwrap_or_default()
    }

    /// The points left, ascending.
    pub(super) fn all(&self) -> impl Iterator<Item = u32> + '_ {
        (0..).zip(&self.rows).filter(|(_, rows)| **rows > 0).map(|(point, _)| point)
    }

    /// Takes rows of a point away.
    pub(super) fn take(&mut self, point: u32, rows: u64) {
        let Some(left) = self.rows.get_mut(point as usize) else { return };
        if *left == 0 || rows == 0 {
            return;
        }
        *left = left.saturating_sub(rows);
        if *left > 0 {
            return;
        }
        let mut at = self.home.get(point as usize).copied().unwrap_or_default();
        loop {
            let Some(node) = self.nodes.get_mut(at) else { return };
            node.left -= 1;
            let node = *node;
            self.fit(at);
            if at == 0 {
                return;
            }
            at = node.parent;
        }
    }

    /// The point farthest from here; of several the lowest.
    pub(super) fn farthest(&self, from: &[f64]) -> Option<u32> {
        let mut best: Option<At> = None;
        let mut open = vec![0];
        while let Some(at) = open.pop() {
            let Some(node) = self.nodes.get(at).filter(|node| node.left > 0) else { continue };
            if best.is_some_and(|best| self.bound(at, from, true) < best.distance) {
                continue;
            }
            if let Some(second) = node.second {
                // The more promising child is looked at first.
                let ahead = self.bound(at + 1, from, true) > self.bound(second, from, true);
                open.extend(if ahead { [second, at + 1] } else { [at + 1, second] });
                continue;
            }
            for point in self.members(node) {
                let distance = distance(self.point(point), from);
                let better = |best: At| {
                    distance > best.distance || (distance == best.distance && point < best.point)
                };
                if best.is_none_or(better) {
                    best = Some(At { distance, point });
                }
            }
        }
        best.map(|best| best.point)
    }

    /// The nearest points that have so many rows together, nearest first; all where there are fewer.
    pub(super) fn nearest(&self, from: &[f64], rows: u64) -> Vec<u32> {
        let mut found: BinaryHeap<At> = BinaryHeap::new();
        let mut sum = 0;
        let mut open = vec![0];
        while let Some(at) = open.pop() {
            let Some(node) = self.nodes.get(at).filter(|node| node.left > 0) else { continue };
            let full =
                |bound: f64| found.peek().is_some_and(|top| sum >= rows && bound > top.distance);
            if full(self.bound(at, from, false)) {
                continue;
            }
            if let Some(second) = node.second {
                let ahead = self.bound(at + 1, from, false) <= self.bound(second, from, false);
                open.extend(if ahead { [second, at + 1] } else { [at + 1, second] });
                continue;
            }
            for point in self.members(node) {
                let at = At { distance: distance(self.point(point), from), point };
                if sum >= rows && found.peek().is_some_and(|top| at > *top) {
                    continue;
                }
                sum += self.rows(point);
                found.push(at);
                while let Some(top) = found.peek() {
                    let without = sum - self.rows(top.point);
                    if without < rows {
                        break;
                    }
                    sum = without;
                    found.pop();
                }
            }
        }
        found.into_sorted_vec().into_iter().map(|at| at.point).collect()
    }

    fn members(&self, node: &Node) -> impl Iterator<Item = u32> + '_ {
        let points = self.order.get(node.from..node.to).unwrap_or_default();
        points.iter().copied().filter(|point| self.rows(*point) > 0)
    }

    /// Builds the tree over a range of the order; gives its root.
    fn plant(&mut self, from: usize, to: usize, parent: usize) -> usize {
        let at = self.nodes.len();
        self.nodes.push(Node { from, to, parent, second: None, left: to - from });
        self.boxes.extend(std::iter::repeat_n(0.0, 2 * self.width));
        self.span(at, from, to);
        let widest = self.widest(at);
        if to - from <= BUCKET || widest.is_none() {
            for point in self.order.get(from..to).unwrap_or_default() {
                if let Some(home) = self.home.get_mut(*point as usize) {
                    *home = at;
                }
            }
            return at;
        }
        let axis = widest.unwrap_or_default();
        let (width, coordinates) = (self.width, &self.coordinates);
        let coordinate = |point: &u32| coordinates.get(*point as usize * width + axis).copied();
        let middle = (to - from) / 2;
        if let Some(points) = self.order.get_mut(from..to) {
            points.select_nth_unstable_by(middle, |left, right| {
                let (here, there) = (coordinate(left), coordinate(right));
                here.partial_cmp(&there).unwrap_or(Ordering::Equal).then(left.cmp(right))
            });
        }
        self.plant(from, from + middle, at);
        let second = self.plant(from + middle, to, at);
        if let Some(node) = self.nodes.get_mut(at) {
            node.second = Some(second);
        }
        at
    }

    /// The axis on which a box is widest; none where all its points are the same.
    fn widest(&self, at: usize) -> Option<usize> {
        let (least, most) = self.corners(at);
        let mut widest = None;
        let mut width = 0.0;
        for (axis, (least, most)) in least.iter().zip(most).enumerate() {
            if most - least > width {
                (widest, width) = (Some(axis), most - least);
            }
        }
        widest
    }

    fn corners(&self, at: usize) -> (&[f64], &[f64]) {
        let from = at * 2 * self.width;
        let both = self.boxes.get(from..from + 2 * self.width).unwrap_or_default();
        both.split_at_checked(self.width).unwrap_or_default()
    }

    /// The box of a range of the order, as far as points are left.
    fn span(&mut self, at: usize, from: usize, to: usize) {
        let mut bounds = vec![f64::INFINITY; self.width];
        bounds.resize(2 * self.width, f64::NEG_INFINITY);
        let points = self.order.get(from..to).unwrap_or_default();
        for point in points.iter().filter(|point| self.rows(**point) > 0) {
            let Some((least, most)) = bounds.split_at_mut_checked(self.width) else { continue };
            for ((value, least), most) in self.point(*point).iter().zip(least).zip(most) {
                *least = least.min(*value);
                *most = most.max(*value);
            }
        }
        self.set(at, &bounds);
    }

    /// The box of a node after something below it was taken away.
    fn fit(&mut self, at: usize) {
        let Some(node) = self.nodes.get(at).copied() else { return };
        let Some(second) = node.second else { return self.span(at, node.from, node.to) };
        let (least, most) = self.corners(at + 1);
        let (other_least, other_most) = self.corners(second);
        let least = least.iter().zip(other_least).map(|(one, other)| one.min(*other));
        let most = most.iter().zip(other_most).map(|(one, other)| one.max(*other));
        let bounds: Vec<f64> = least.chain(most).collect();
        self.set(at, &bounds);
    }

    fn set(&mut self, at: usize, bounds: &[f64]) {
        let from = at * 2 * self.width;
        if let Some(slot) = self.boxes.get_mut(from..from + 2 * self.width) {
            slot.copy_from_slice(bounds);
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

/// The square of the Euclidean distance.
pub(super) fn distance(left: &[f64], right: &[f64]) -> f64 {
    let mut sum = 0.0;
    for (left, right) in left.iter().zip(right) {
        sum += (left - right) * (left - right);
    }
    sum
}
