//! Acceptance tests by voting, on the cases that Google's differential privacy library publishes: noise that
//! must be accepted, and what must be rejected. A test votes nine times; the majority decides.
//!
//! The cases ask for millions of samples. Ours are fewer, so tolerances are not the published ones but those
//! that the exact distribution keeps in 99.9 % of votes at our size, over cells as wide as half a scale: with
//! coarser cells fewer samples tell as much. Noise does not depend on what it is added to, so cases that
//! differ in their counts alone share draws. How often a vote errs was found by simulation (5,000 to 400,000
//! votes each); a test errs where five of nine votes do.

use std::collections::BTreeMap;

use super::*;
use crate::shared::{every_case_asked, say, shared};

/// How often a test votes.
const VOTES: usize = 9;
/// Samples a vote, where two tables are compared. A vote errs at most nine times in 1,000 where it must accept (at the
/// largest epsilon) and three times where it must reject (what is a sixth further, at 250 groups): five of nine in 7
/// of 10^9 runs. All cases together: under 3e-8.
const SAMPLES: usize = 6_000;
/// Samples a vote, where a shape is. A vote errs seven times in 1,000 where it must accept and 0.15 times where it must
/// reject (a scale that is a sixteenth off in its variance), so that five of nine do in 1.6 of 10^9 runs of a case.
const SHAPE_SAMPLES: usize = 120_000;

/// A part of a protocol buffer's text.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    Word(String),
    List(Vec<String>),
    Block(Vec<(String, Node)>),
}

impl Node {
    /// The only part of this name, or the last.
    fn at(&self, name: &str) -> Option<&Self> {
        let Self::Block(parts) = self else { panic!("{self:?} has no parts") };
        parts.iter().rev().find(|(of, _)| of == name).map(|(_, node)| node)
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        let Self::Block(parts) = self else { panic!("{self:?} has no parts") };
        parts.iter().filter(move |(of, _)| of == name).map(|(_, node)| node)
    }

    fn word(&self, name: &str) -> &str {
        match self.at(name) {
            Some(Self::Word(word)) => word,
            other => panic!("`{name}` is {other:?}"),
        }
    }

    fn number(&self, name: &str) -> f64 {
        self.word(name).parse().unwrap()
    }

    fn count(&self, name: &str) -> u64 {
        self.word(name).parse().unwrap()
    }

    /// The sum of all lists of this name.
    fn sum(&self, name: &str) -> i128 {
        let lists = self.all(name).flat_map(|list| match list {
            Self::List(numbers) => numbers.iter().map(|number| number.parse::<i128>().unwrap()),
            other => panic!("{other:?}"),
        });
        lists.sum()
    }
}

/// Words, marks, and texts in quotes; comments left out.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = vec![];
    for line in text.lines() {
        let mut rest = line.split('#').next().unwrap().trim_start();
        while let Some(first) = rest.chars().next() {
            let ends = |c: char| c.is_whitespace() || "{}[]:,".contains(c);
            let length = match first {
                '"' => rest.match_indices('"').nth(1).unwrap().0 + 1,
                '{' | '}' | '[' | ']' | ':' | ',' => 1,
                _ => rest.find(ends).unwrap_or(rest.len()),
            };
            let (token, after) = rest.split_at(length);
            tokens.push(token.trim_matches('"').to_owned());
            rest = after.trim_start();
        }
    }
    tokens
}

fn block(tokens: &mut std::vec::IntoIter<String>) -> Node {
    let mut parts = vec![];
    while let Some(name) = tokens.next().filter(|token| token != "}") {
        let mark = tokens.next().unwrap();
        let node = if mark == "{" {
            block(tokens)
        } else {
            assert_eq!(mark, ":", "after `{name}`");
            match tokens.next().unwrap() {
                open if open == "[" => {
                    let inner = tokens.by_ref().take_while(|token| token != "]");
                    Node::List(inner.filter(|token| token != ",").collect())
                }
                word => Node::Word(word),
            }
        };
        parts.push((name, node));
    }
    Node::Block(parts)
}

fn read(name: &str) -> Option<Node> {
    let text = std::fs::read_to_string(shared(name)?).unwrap();
    let cases = block(&mut tokens(&text).into_iter());
    let votes = cases.at("voting_parameters").unwrap().count("number_of_votes");
    assert_eq!(votes, VOTES as u64);
    Some(cases)
}

/// Draws by noise, so that no noise is drawn twice.
struct Pool {
    generator: Generator,
    drawn: BTreeMap<String, Vec<i128>>,
}

impl Pool {
    fn new() -> Self {
        Self { generator: Generator::start().unwrap(), drawn: BTreeMap::new() }
    }

    fn draws(&mut self, asked: &Question, of: usize) -> &[i128] {
        let noise = noise_of(asked).unwrap();
        let draw = || {
            let exact = exact(vec![], vec![Measured::Numbers(vec![0; of])]);
            add_noise(asked, exact, &self.generator).unwrap().measured.remove(0)
        };
        self.drawn.entry(format!("{noise:?}")).or_insert_with(draw)
    }
}

fn majority(votes: impl Iterator<Item = bool>) -> bool {
    votes.filter(|vote| *vote).count() * 2 > VOTES
}

/// Two tables whose answers are compared for (epsilon, delta).
struct Privacy {
    epsilon: f64,
    delta: f64,
    /// Answers are counted in cells this wide.
    width: i128,
    /// How far what is over `e^epsilon` times may be over delta, by chance.
    tolerance: f64,
}

impl Privacy {
    /// The tolerance that answers `distance` apart keep in 99.9 % of votes.
    fn new((epsilon, delta): (f64, f64), noise: &Noise, distance: i128) -> Self {
        let spread = match noise {
            Noise::Laplace { scale } => scale.to_f64().value(),
            Noise::Gaussian { variance } => variance.to_f64().value().sqrt(),
            Noise::Choice { .. } => panic!(),
        };
        let mut made =
            Self { epsilon, delta, width: (spread / 2.0).ceil() as i128, tolerance: 0.0 };
        let (mut mean, mut square) = (0.0, 0.0);
        for (one, other) in made.chances(noise, distance) {
            let over = one - epsilon.exp() * other;
            let off = ((one + (2.0 * epsilon).exp() * other) / SAMPLES as f64).sqrt();
            if off > 0.0 {
                // The mean and mean square of what normal noise has above zero.
                let at = over / off;
                let density = (-at * at / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
                let above = normal(at);
                let first = over * above + off * density;
                mean += first;
                square += (over * over + off * off) * above + over * off * density - first * first;
            }
        }
        made.tolerance = (mean - delta).max(0.0) + 3.1 * square.max(0.0).sqrt();
        made
    }

    /// The chances of each cell, for answers at zero and at `distance`.
    fn chances(&self, noise: &Noise, distance: i128) -> Vec<(f64, f64)> {
        let below = |cell: i128, at: i128| {
            distribution::below(noise, 1.0, (cell * self.width - 1 - at) as f64)
        };
        let chance = |cell, at| (below(cell + 1, at) - below(cell, at)).max(0.0);
        (-80..=80 + distance / self.width)
            .map(|cell| (chance(cell, 0), chance(cell, distance)))
            .collect()
    }

    /// How much is over, in truth.
    fn over(&self, noise: &Noise, distance: i128) -> f64 {
        let cells = self.chances(noise, distance).into_iter();
        cells.map(|(one, other)| (one - self.epsilon.exp() * other).max(0.0)).sum()
    }

    fn accepts(&self, one: &[i128], other: &[i128]) -> bool {
        let mut cells: BTreeMap<i128, (f64, f64)> = BTreeMap::new();
        let part = 1.0 / one.len() as f64;
        one.iter().for_each(|at| cells.entry(at.div_euclid(self.width)).or_default().0 += part);
        other.iter().for_each(|at| cells.entry(at.div_euclid(self.width)).or_default().1 += part);
        let factor = self.epsilon.exp();
        let over = |one: f64, other: f64| (one - factor * other).max(0.0);
        let (there, back) = cells.values().fold((0.0, 0.0), |(there, back), (one, other)| {
            (there + over(*one, *other), back + over(*other, *one))
        });
        there.max(back) <= self.delta + self.tolerance
    }
}

fn normal(at: f64) -> f64 {
    distribution::below(
        &Noise::Gaussian { variance: RBig::from(1_000_000) },
        1.0,
        (at * 1_000.0).clamp(-7_000.0, 7_000.0).round(),
    )
}

#[test]
fn counts_are_as_private_as_they_say_and_what_is_a_sixth_less_is_rejected() {
    let Some(cases) = read("vectors/dp/count_dp_test_cases.textproto") else { return };
    let validity = cases.at("validity_parameters").unwrap();
    let (specific, failing) =
        (validity.number("distance_specificity"), validity.number("failure_specificity"));
    let (mut pool, mut left, mut run, mut as_published) = (Pool::new(), 0, 0, 0);
    for case in cases.all("count_dp_test_case") {
        let (sampling, test) =
            (case.at("count_sampling_parameters").unwrap(), case.at("dp_test_parameters").unwrap());
        let (name, groups) = (case.word("name"), sampling.count("max_partitions_contributed"));
        let (epsilon, delta) = (test.number("epsilon"), test.number("delta"));
        let asked = if sampling.word("noise_type") == "LAPLACE" {
            let loss = (sampling.word("epsilon"), "0");
            question(Accounting::Pure, loss, (groups, 1), vec![Measure::Units], vec![])
        } else if every_case_asked() {
            // Of so much rho it follows: rho + 2 sqrt(rho ln(1 / delta)) = epsilon. Rho is half a square.
            let log = (1.0 / delta).ln();
            let root = ((log + epsilon).sqrt() - log.sqrt()) * std::f64::consts::SQRT_2;
            let stated = format!("{root:.12}");
            question(Accounting::Zcdp, (&stated, "0"), (groups, 1), vec![Measure::Units], vec![])
        } else {
            left += 1;
            continue;
        };
        let noise = noise_of(&asked).unwrap().remove(0);
        let laplace = matches!(noise, Noise::Laplace { .. });
        let draws = pool.draws(&asked, 2 * VOTES * SAMPLES).to_vec();
        let (base, more) =
            (sampling.sum("raw_increment_by"), sampling.sum("neighbour_raw_increment_by"));
        let distance = more - base;
        let privacy = Privacy::new((epsilon, delta), &noise, distance);
        let votes = |other: &dyn Fn(usize, i128) -> i128| {
            majority(draws.chunks_exact(2 * SAMPLES).map(|vote| {
                let (one, two) = vote.split_at(SAMPLES);
                let one: Vec<_> = one.iter().map(|draw| base + draw).collect();
                let two: Vec<_> =
                    two.iter().enumerate().map(|(at, draw)| other(at, *draw)).collect();
                privacy.accepts(&one, &two)
            }))
        };
        assert!(votes(&|_, draw| more + draw), "{name}: must be accepted");
        // A mechanism that now and then fails.
        let failing = privacy.tolerance * failing + delta;
        let fails = |at: usize| (at as f64 * failing).fract() < failing;
        let flag = base + (1_i128 << 100);
        assert!(
            !votes(&|at, draw| if fails(at) { flag } else { base + draw }),
            "{name}: fails in {failing} of all runs and must be rejected"
        );
        // Counts further apart than the noise is for. Where our samples are too few to see the published
        // distance, the least that they see.
        if laplace {
            let mut further = (specific * distance as f64).ceil();
            as_published += 1;
            while privacy.over(&noise, further as i128) < 1.25 * privacy.tolerance {
                as_published -= usize::from(further == (specific * distance as f64).ceil());
                further = (further * specific).ceil();
            }
            let at = base + further as i128;
            assert!(!votes(&|_, draw| at + draw), "{name}: {further} apart must be rejected");
        }
        run += 1;
    }
    // Of the five noises of Laplace cases, that of epsilon 0.01 needs a million samples for its distance.
    assert!(run >= 15 && as_published >= 12, "{run} cases, {as_published} as published");
    if left > 0 {
        say(&format!("{left} cases of Gaussian noise left out; EVERY=1 runs them"));
    }
}

/// The chance below a point of the continuous noise that a case compares with.
fn reference(mean: f64, variance: f64, at: f64) -> f64 {
    let scaled = (at - mean) / (variance / 2.0).sqrt();
    let half = (-scaled.abs()).exp() / 2.0;
    if scaled < 0.0 { half } else { 1.0 - half }
}

#[test]
fn laplace_noise_has_its_shape_and_what_is_a_little_off_is_rejected() {
    let Some(cases) = read("vectors/dp/laplace_closeness_test_cases.textproto") else { return };
    let validity = cases.at("validity_parameters").unwrap();
    let (shift, wider) =
        (validity.number("shift_specificity"), validity.number("scale_specificity"));
    let (mut pool, mut left, mut run) = (Pool::new(), 0, 0);
    for case in cases.all("distribution_closeness_test_case") {
        let (sampling, test) = (
            case.at("noise_sampling_parameters").unwrap(),
            case.at("closeness_test_parameters").unwrap(),
        );
        let name = case.word("name");
        // Most differ in the scale of steps alone; the first is the one that all others are like.
        if !every_case_asked()
            && !["Default parameters", "Large positive raw input"].contains(&name)
        {
            left += 1;
            continue;
        }
        let most = sampling.number("linf_sensitivity");
        let step = (test.number("granularity") / 16.0).min(most / 1_024.0);
        let mut asked = question(
            Accounting::Pure,
            (sampling.word("epsilon"), "0"),
            (sampling.count("l0_sensitivity"), 1),
            vec![Measure::Sum { value: 0, center: 0 }],
            vec![],
        );
        asked.values[0].bounds = Bounds { low: 0.0, high: most, step };
        let (mean, variance) = (test.number("mean"), test.number("variance"));
        let exact = (sampling.number("raw_input") / step).round();
        let draws = pool.draws(&asked, VOTES * SHAPE_SAMPLES);
        // Cells are half a scale wide, around the mean.
        let width = (variance / 2.0).sqrt() / 2.0;
        let cells = |draws: &[i128]| -> Vec<f64> {
            let mut cells = vec![0.0; 81];
            for draw in draws {
                let value = (exact + *draw as f64) * step;
                let cell = ((value - mean) / width).round().clamp(-40.0, 40.0) as i32 + 40;
                cells[usize::try_from(cell).unwrap()] += 1.0;
            }
            cells
        };
        let counted: Vec<Vec<f64>> = draws.chunks_exact(SHAPE_SAMPLES).map(cells).collect();
        // The squared distance of counts from chances, less what it is by chance, beside a part of the sum
        // of squares of chances: a fourth of what the least of the shifts and scales below makes.
        let votes = |below: &dyn Fn(f64) -> f64| {
            let edge = |cell: i32| match cell {
                -40 => 0.0,
                41 => 1.0,
                _ => below(mean + (f64::from(cell) - 0.5) * width),
            };
            let chances: Vec<f64> = (-40..=40).map(|cell| edge(cell + 1) - edge(cell)).collect();
            let squares: f64 = chances.iter().map(|chance| chance * chance).sum();
            let all = SHAPE_SAMPLES as f64;
            majority(counted.iter().map(|counts| {
                let each = counts.iter().zip(&chances);
                let off: f64 =
                    each.map(|(count, chance)| (count - all * chance).powi(2) - count).sum();
                off < 1.0e-4 * all * all * squares
            }))
        };
        assert!(votes(&|at| reference(mean, variance, at)), "{name}: must be accepted");
        let away = shift * variance.sqrt();
        assert!(!votes(&|at| reference(mean + away, variance, at)), "{name}: shifted");
        assert!(!votes(&|at| reference(mean - away, variance, at)), "{name}: shifted");
        assert!(!votes(&|at| reference(mean, variance * wider, at)), "{name}: wider");
        assert!(!votes(&|at| reference(mean, variance / wider, at)), "{name}: narrower");
        assert!(!votes(&|at| normal((at - mean) / variance.sqrt())), "{name}: Gaussian");
        run += 1;
    }
    assert!(run >= 2);
    if left > 0 {
        say(&format!("{left} cases that differ in units left out; EVERY=1 runs them"));
    }
}
