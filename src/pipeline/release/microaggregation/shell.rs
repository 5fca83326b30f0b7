//! The points farthest from a place that moves a little from one question to the next, as the mean of what
//! is left does: they are put in order once, and asked again as long as the place has not moved far. Takes
//! nothing away.

use super::points::{At, Points, distance};

/// The least number of points that are put in order.
const PART_MIN: usize = 512;

/// Which part of all points is put in order: the outermost.
const PART_OF: usize = 32;

/// More than rounding can make of a distance.
const SLACK: f64 = 1.0 + 1e-9;

/// The outermost points, seen from where they were put in order.
#[derive(Debug, Default)]
pub(super) struct Shell {
    /// From where.
    centre: Vec<f64>,
    /// Distances (no squares) and places, the farthest first.
    outer: Vec<(f64, u32)>,
    /// Those before are gone.
    begin: usize,
    /// Where there are other points: none of them is farther away than this.
    beyond: Option<f64>,
    /// How many points were looked at since.
    looks: usize,
    /// How many points there were.
    all: usize,
}

impl Shell {
    /// The point farthest from here; of several the lowest.
    ///
    /// INVARIANT: a point that was `d` away from the old centre is at most `d` and the way between the
    /// centres away from the new one, so whatever is not looked at is nearer than what is found.
    pub(super) fn farthest(&mut self, points: &Points, from: &[f64]) -> Option<At> {
        if self.looks <= self.all
            && self.centre.len() == from.len()
            && let Some(found) = self.look(points, from)
        {
            return Some(found);
        }
        for part in [(points.places() / PART_OF).max(PART_MIN), usize::MAX] {
            self.order(points, from, part);
            if let Some(found) = self.look(points, from) {
                return Some(found);
            }
            // More are equally far away than were put in order.
        }
        None
    }

    /// Nothing where points that are not in order could be farther away.
    fn look(&mut self, points: &Points, from: &[f64]) -> Option<At> {
        let moved = distance(&self.centre, from).sqrt();
        let near = |away: f64, best: At| {
            let most = (away + moved) * SLACK;
            most * most < best.distance
        };
        let mut best: Option<At> = None;
        let mut end = self.begin;
        let mut ended = false;
        for (away, place) in self.outer.get(self.begin..).unwrap_or_default() {
            if best.is_some_and(|best| near(*away, best)) {
                ended = true;
                break;
            }
            end += 1;
            let place = *place as usize;
            if let Some(point) = points.there(place) {
                let at = At { distance: distance(points.at(place), from), point };
                best = Some(best.map_or(at, |best| best.farther(at)));
            }
        }
        self.looks += end - self.begin;
        self.forget(points, end);
        best.filter(|best| ended || self.beyond.is_none_or(|beyond| near(beyond, *best)))
    }

    /// Of those looked at, the ones that are gone are not looked at again.
    fn forget(&mut self, points: &Points, end: usize) {
        let mut to = end;
        for at in (self.begin..end).rev() {
            let Some(item) = self.outer.get(at).copied() else { continue };
            if points.there(item.1 as usize).is_some() {
                to -= 1;
                if let Some(slot) = self.outer.get_mut(to) {
                    *slot = item;
                }
            }
        }
        self.begin = to;
    }

    /// Puts so many of the outermost points in order, as seen from here.
    fn order(&mut self, points: &Points, from: &[f64], part: usize) {
        self.outer.clear();
        for place in 0..points.places() {
            if points.there(place).is_some() {
                let away = distance(points.at(place), from).sqrt();
                self.outer.push((away, u32::try_from(place).unwrap_or(u32::MAX)));
            }
        }
        self.all = points.places();
        self.centre = from.to_vec();
        (self.begin, self.looks, self.beyond) = (0, 0, None);
        let farthest = |one: &(f64, u32), other: &(f64, u32)| {
            other.0.total_cmp(&one.0).then(one.1.cmp(&other.1))
        };
        if part < self.outer.len() {
            let (_, first, _) = self.outer.select_nth_unstable_by(part, farthest);
            self.beyond = Some(first.0);
            self.outer.truncate(part);
        }
        self.outer.sort_unstable_by(farthest);
    }
}
