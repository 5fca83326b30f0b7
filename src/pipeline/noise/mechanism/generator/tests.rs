//! The thread: what it gives, what it does not give when something fails, and when it ends.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dashu::integer::UBig;

use super::*;

/// Draws of no noise.
pub(super) fn nothing(asked: Draw) -> Fallible<Drawn> {
    Ok(match asked {
        Draw::Laplace { times, .. } | Draw::Gaussian { times, .. } => {
            Drawn::Numbers(vec![IBig::ZERO; times])
        }
        Draw::Choices(choices) => Drawn::Indices(choices.scores.iter().map(|s| best(s)).collect()),
    })
}

/// The first of the best.
fn best(scores: &[i128]) -> usize {
    let best = scores.iter().max().unwrap();
    scores.iter().position(|score| score == best).unwrap()
}

fn laplace(scale: u64) -> Noise {
    Noise::Laplace { scale: RBig::from(scale) }
}

#[test]
fn a_draw_that_panics_or_fails_is_an_error_and_the_next_draw_works() {
    fn moody(asked: Draw) -> Fallible<Drawn> {
        match &asked {
            Draw::Laplace { scale, .. } if *scale == RBig::from(13) => panic!("canary-77"),
            // An error of the library: no candidate to choose from.
            _ => draw(asked),
        }
    }
    let generator = Generator::drawing(moody).unwrap();
    for _ in 0..3 {
        let error = generator.numbers(&laplace(13), 2_000).unwrap_err();
        assert_eq!(error.code(), Code::Internal);
        assert!(!error.chain().contains("canary-77"), "{}", error.chain());
        assert_eq!(generator.numbers(&laplace(5), 2_000).unwrap().len(), 2_000);
    }
    let choices = |scores| Choices {
        scores,
        scale: RBig::from(2),
        accounting: Accounting::Pure,
        one_way: false,
    };
    let error = generator.choices(choices(vec![vec![77_001, 2], vec![]])).unwrap_err();
    assert_eq!(error.code(), Code::Internal);
    assert!(!error.chain().contains("77001"), "{}", error.chain());
    assert_eq!(generator.choices(choices(vec![vec![1, 2]; 40])).unwrap().len(), 40);
}

#[test]
fn a_part_that_fails_late_gives_nothing_at_all() {
    static DRAWN: AtomicUsize = AtomicUsize::new(0);
    fn late(asked: Draw) -> Fallible<Drawn> {
        assert!(DRAWN.fetch_add(1, Ordering::Relaxed) < 2, "the third part");
        nothing(asked)
    }
    let generator = Generator::drawing(late).unwrap();
    assert!(generator.numbers(&laplace(1), 3 * NUMBERS).is_err());
    assert_eq!(DRAWN.load(Ordering::Relaxed), 3);
}

#[test]
fn two_draws_differ() {
    let (one, other) = (Generator::start().unwrap(), Generator::start().unwrap());
    let noise = laplace(1_000_000);
    let draws: Vec<_> =
        [&one, &one, &other].iter().map(|of| of.numbers(&noise, 8).unwrap()).collect();
    // Eight numbers among millions: the same by chance in fewer than one of 10^40 runs.
    assert!(draws[0] != draws[1] && draws[0] != draws[2] && draws[1] != draws[2]);
}

#[test]
fn threads_share_it_and_it_ends_when_it_is_dropped() {
    let generator = Generator::start().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(generator.numbers(&laplace(9), 3_000).unwrap().len(), 3_000));
        }
    });
    let requests = generator.requests.clone().unwrap();
    let thread = generator.thread.as_ref().unwrap().thread().clone();
    assert_eq!(thread.name(), Some("noise"));
    // A clone of its door keeps it; without, dropping waits for its end.
    drop(requests);
    let (ended, end) = channel();
    std::thread::spawn(move || {
        drop(generator);
        ended.send(()).unwrap();
    });
    end.recv_timeout(Duration::from_secs(120)).expect("its thread does not end");
}

#[test]
fn a_number_as_large_as_its_scale_is_drawn() {
    let generator = Generator::start().unwrap();
    let scale = RBig::from(UBig::ONE << 200);
    let far = RBig::from(UBig::ONE << 190);
    let draws = generator.numbers(&Noise::Laplace { scale }, 64).unwrap();
    // Each is nearer with a chance of one in a thousand; that five or fewer of 64 are on one side: 9.5e-13.
    assert!(draws.iter().filter(|draw| RBig::from((*draw).clone()) > far).count() > 5);
    assert!(draws.iter().filter(|draw| RBig::from((*draw).clone()) < -far.clone()).count() > 5);
}
