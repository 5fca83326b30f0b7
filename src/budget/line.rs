//! The line of those who wait for a place, as a plain machine: no threads, no time, no wake-ups. What it
//! says is carried out in [`super::places`].

use std::collections::{BTreeMap, VecDeque};

/// Names one who waits.
pub(super) type Number = u64;

/// Who runs, and who waits in which order.
///
/// Turns go round the partners that wait; within a partner, first come is first served. A partner whose
/// first one may not run yet is passed over and keeps its place in the round.
#[derive(Debug)]
pub(super) struct Line {
    running_max: usize,
    waiting_partner_max: usize,
    running: BTreeMap<String, usize>,
    waiting: BTreeMap<String, VecDeque<Waiting>>,
    /// The partners that wait, each once, the next one first.
    round: VecDeque<String>,
    last: Number,
}

#[derive(Debug)]
struct Waiting {
    number: Number,
    /// It runs only while fewer than this many of its partner do.
    own_max: usize,
}

impl Line {
    /// At most `running_max` run in all, and `waiting_partner_max` of a partner wait.
    pub(super) const fn new(running_max: usize, waiting_partner_max: usize) -> Self {
        Self {
            running_max,
            waiting_partner_max,
            running: BTreeMap::new(),
            waiting: BTreeMap::new(),
            round: VecDeque::new(),
            last: 0,
        }
    }

    /// Runs at once, where nobody of the partner waits and there is room.
    pub(super) fn try_run(&mut self, partner: &str, own_max: usize) -> bool {
        // Whoever waits could not run just now, or the line would have let them: nobody is overtaken
        // but those who wait for their own partner's others.
        let free = !self.waiting.contains_key(partner) && self.may_run(partner, own_max);
        if free {
            *self.running.entry(partner.to_owned()).or_default() += 1;
        }
        free
    }

    /// Joins the end of the partner's line; `None` where it is full.
    pub(super) fn join(&mut self, partner: &str, own_max: usize) -> Option<Number> {
        let own = self.waiting.get(partner).map_or(0, VecDeque::len);
        if own >= self.waiting_partner_max {
            return None;
        }
        self.last += 1;
        let waiting = Waiting { number: self.last, own_max };
        self.waiting.entry(partner.to_owned()).or_default().push_back(waiting);
        if own == 0 {
            self.round.push_back(partner.to_owned());
        }
        Some(self.last)
    }

    /// Leaves the line; `false` where that one does not wait any more, because it runs.
    pub(super) fn leave(&mut self, partner: &str, number: Number) -> bool {
        let Some(own) = self.waiting.get_mut(partner) else { return false };
        let before = own.len();
        own.retain(|waiting| waiting.number != number);
        let left = own.len() < before;
        self.forget_if_empty(partner);
        left
    }

    /// One of the partner's stops running.
    pub(super) fn end(&mut self, partner: &str) {
        if let Some(own) = self.running.get_mut(partner) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                self.running.remove(partner);
            }
        }
    }

    /// The next one who runs from now on, if there is room for anybody who waits.
    pub(super) fn next(&mut self) -> Option<Number> {
        let at = self.round.iter().position(|partner| {
            let first = self.waiting.get(partner).and_then(VecDeque::front);
            first.is_some_and(|first| self.may_run(partner, first.own_max))
        })?;
        let partner = self.round.remove(at)?;
        let first = self.waiting.get_mut(&partner)?.pop_front()?;
        *self.running.entry(partner.clone()).or_default() += 1;
        self.round.push_back(partner.clone());
        self.forget_if_empty(&partner);
        Some(first.number)
    }

    /// How many run.
    pub(super) fn running(&self) -> usize {
        self.running.values().sum()
    }

    /// How many of a partner run.
    pub(super) fn running_of(&self, partner: &str) -> usize {
        self.running.get(partner).copied().unwrap_or(0)
    }

    fn may_run(&self, partner: &str, own_max: usize) -> bool {
        self.running_of(partner) < own_max && self.running() < self.running_max
    }

    fn forget_if_empty(&mut self, partner: &str) {
        if self.waiting.get(partner).is_some_and(VecDeque::is_empty) {
            self.waiting.remove(partner);
            self.round.retain(|other| other != partner);
        }
    }
}

#[cfg(test)]
mod tests;
