//! The line under random orders of events: what must hold after each of them, for whatever order.

use proptest::prelude::*;

use super::*;

const PARTNERS: [&str; 4] = ["a", "b", "c", "d"];
const RUNNING_MAX: usize = 3;
const WAITING_MAX: usize = 5;

#[derive(Debug, Clone)]
enum Event {
    /// One asks, and waits where there is no room.
    Ask { partner: usize, own_max: usize },
    /// One that runs ends.
    End { which: usize },
    /// One that waits leaves.
    Leave { which: usize },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        5 => (0..PARTNERS.len(), 1..4_usize)
            .prop_map(|(partner, own_max)| Event::Ask { partner, own_max }),
        4 => any::<usize>().prop_map(|which| Event::End { which }),
        1 => any::<usize>().prop_map(|which| Event::Leave { which }),
    ]
}

/// One that asked, in the model.
#[derive(Debug, Clone, Copy)]
struct One {
    partner: usize,
    own_max: usize,
    number: Number,
    /// When it came.
    due: usize,
}

/// What is known from outside.
#[derive(Debug, Default)]
struct Model {
    running: Vec<One>,
    waiting: Vec<One>,
    /// How often each partner was let run while this one waited and could have run.
    passed: [[usize; 4]; 4],
    events: usize,
}

impl Model {
    fn runs(&self, partner: usize) -> usize {
        self.running.iter().filter(|one| one.partner == partner).count()
    }

    /// The one of a partner whose turn is next.
    fn first(&self, partner: usize) -> Option<One> {
        let own = self.waiting.iter().filter(|one| one.partner == partner);
        own.min_by_key(|one| one.due).copied()
    }

    fn could_run(&self, partner: usize) -> bool {
        self.first(partner).is_some_and(|one| self.runs(partner) < one.own_max)
    }

    /// Notes that one was let run, and checks that it was its turn.
    fn started(&mut self, one: One) {
        assert!(self.running.len() < RUNNING_MAX, "more run than may in all");
        assert!(self.runs(one.partner) < one.own_max, "more run than may of a partner");
        for other in 0..PARTNERS.len() {
            if other == one.partner || !self.could_run(other) {
                self.passed[other] = [0; 4];
                continue;
            }
            self.passed[other][one.partner] += 1;
            assert!(self.passed[other][one.partner] <= 1, "{other} was passed over twice");
        }
        self.running.push(one);
    }

    /// Lets everybody run whom the line names, and checks that nobody is left who could.
    fn drain(&mut self, line: &mut Line) {
        while let Some(number) = line.next() {
            let at = self.waiting.iter().position(|one| one.number == number).unwrap();
            let one = self.waiting[at];
            assert_eq!(self.first(one.partner).unwrap().number, number, "not first come");
            self.started(one);
            self.waiting.remove(at);
        }
        if self.running.len() < RUNNING_MAX {
            for partner in 0..PARTNERS.len() {
                assert!(!self.could_run(partner), "{partner} waits, and there is room");
            }
        }
    }

    fn apply(&mut self, line: &mut Line, event: &Event) {
        self.events += 1;
        for partner in 0..PARTNERS.len() {
            if !self.could_run(partner) {
                self.passed[partner] = [0; 4];
            }
        }
        match *event {
            Event::Ask { partner, own_max } => {
                let mut one = One { partner, own_max, number: 0, due: self.events };
                let own = self.waiting.iter().filter(|other| other.partner == partner).count();
                if line.try_run(PARTNERS[partner], own_max) {
                    assert_eq!(own, 0, "one was overtaken by its partner's other");
                    self.started(one);
                } else if let Some(number) = line.join(PARTNERS[partner], own_max) {
                    one.number = number;
                    self.waiting.push(one);
                    assert!(own < WAITING_MAX);
                } else {
                    assert!(own >= WAITING_MAX, "turned away, and there was room to wait");
                }
            }
            Event::End { which } if !self.running.is_empty() => {
                let one = self.running.swap_remove(which % self.running.len());
                line.end(PARTNERS[one.partner]);
            }
            Event::Leave { which } if !self.waiting.is_empty() => {
                let one = self.waiting.remove(which % self.waiting.len());
                assert!(line.leave(PARTNERS[one.partner], one.number));
                assert!(!line.leave(PARTNERS[one.partner], one.number));
            }
            Event::End { .. } | Event::Leave { .. } => {}
        }
        self.drain(line);
        assert_eq!(line.running(), self.running.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn turns_go_round_and_none_is_lost_whatever_happens(
        events in proptest::collection::vec(event(), 1..200),
    ) {
        let mut line = Line::new(RUNNING_MAX, WAITING_MAX);
        let mut model = Model::default();
        for event in &events {
            model.apply(&mut line, event);
        }
        // When all that run end, one after the other, all that wait have run.
        while !model.running.is_empty() {
            model.apply(&mut line, &Event::End { which: 0 });
        }
        prop_assert!(model.waiting.is_empty());
        prop_assert!(line.running.is_empty() && line.waiting.is_empty() && line.round.is_empty());
    }
}

#[test]
fn a_partner_with_a_hundred_waiting_delays_another_by_one_turn() {
    let mut line = Line::new(1, 100);
    assert!(line.try_run("busy", 1));
    let busy: Vec<Number> = (0..100).map(|_| line.join("busy", 1).unwrap()).collect();
    let other = line.join("other", 1).unwrap();
    line.end("busy");
    assert_eq!(line.next(), Some(busy[0]));
    line.end("busy");
    assert_eq!(line.next(), Some(other));
    line.end("other");
    assert_eq!(line.next(), Some(busy[1]));
}
