//! Where noise comes from: one thread that alone calls OpenDP, whose samplers are exact and whose bits are
//! OpenSSL's. What it draws is whole or an error; scales and meanings are decided elsewhere.
//!
//! OpenDP is kept to one thread because its measurements cannot be sent between threads and its arithmetic
//! swaps the process's panic hook for a moment.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use dashu::integer::IBig;
use dashu::rational::RBig;
use opendp::core::Measure;
use opendp::domains::{AtomDomain, VectorDomain};
use opendp::error::Fallible;
use opendp::measurements::{TopKMeasure, make_noisy_max};
use opendp::measures::{MaxDivergence, ZeroConcentratedDivergence};
use opendp::metrics::LInfDistance;
use opendp::traits::samplers::{sample_discrete_gaussian, sample_discrete_laplace};

use super::exact::root_over;
use crate::error::{Code, Error, Result};
use crate::pipeline::noise::question::Noise;
use crate::policy::privacy::Accounting;

/// How many numbers are drawn for one question before another's turn.
const NUMBERS: usize = 1_024;
/// How many choices.
const CHOICES: usize = 16;

/// The thread that draws, for as long as this lives. Started once a server.
#[derive(Debug)]
pub(in crate::pipeline::noise) struct Generator {
    /// `None` when it ends.
    requests: Option<Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

/// A choice among points for each of many groups.
pub(super) struct Choices {
    /// The score of each point, by group; the best is likeliest.
    pub(super) scores: Vec<Vec<i128>>,
    /// Scores are divided by it. A floating-point number, exactly.
    pub(super) scale: RBig,
    /// Permute-and-flip for pure, the exponential mechanism for zCDP.
    pub(super) accounting: Accounting,
    /// Whether a unit moves all scores in one direction.
    pub(super) one_way: bool,
}

/// What is asked of the thread.
enum Draw {
    Laplace { scale: RBig, times: usize },
    Gaussian { sigma: RBig, times: usize },
    Choices(Choices),
}

/// What it gives.
enum Drawn {
    Numbers(Vec<IBig>),
    Indices(Vec<usize>),
}

struct Request {
    draw: Draw,
    answer: SyncSender<Result<Drawn>>,
}

impl Generator {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`Code::Config`] when the system gives no thread.
    pub(in crate::pipeline::noise) fn start() -> Result<Self> {
        Self::drawing(draw)
    }

    /// A generator of no noise: draws are zero, and choices the best.
    #[cfg(test)]
    pub(in crate::pipeline::noise) fn silent() -> Self {
        Self::drawing(tests::nothing).unwrap()
    }

    fn drawing(draw: fn(Draw) -> Fallible<Drawn>) -> Result<Self> {
        let (requests, waiting) = channel();
        let thread = std::thread::Builder::new().name("noise".to_owned());
        let thread = thread.spawn(move || serve(&waiting, draw)).map_err(|error| {
            Error::new(Code::Config, "no thread for the generator of noise").because(error)
        })?;
        Ok(Self { requests: Some(requests), thread: Some(thread) })
    }

    /// Independent draws of a distribution.
    ///
    /// # Errors
    /// [`Code::Internal`] when one fails: then there is none.
    pub(super) fn numbers(&self, noise: &Noise, times: usize) -> Result<Vec<IBig>> {
        let mut numbers = Vec::with_capacity(times);
        let sigma = match noise {
            Noise::Gaussian { variance } => root_over(variance),
            _ => RBig::ZERO,
        };
        while numbers.len() < times {
            let part = (times - numbers.len()).min(NUMBERS);
            let draw = match noise {
                Noise::Laplace { scale } => Draw::Laplace { scale: scale.clone(), times: part },
                Noise::Gaussian { .. } => Draw::Gaussian { sigma: sigma.clone(), times: part },
                Noise::Choice { .. } => return Err(failed("choices are no numbers")),
            };
            match self.ask(draw)? {
                Drawn::Numbers(drawn) if drawn.len() == part => numbers.extend(drawn),
                _ => return Err(failed("another number of draws than asked")),
            }
        }
        Ok(numbers)
    }

    /// The index of a point for each group.
    ///
    /// # Errors
    /// [`Code::Internal`] when one fails: then there is none.
    pub(super) fn choices(&self, choices: Choices) -> Result<Vec<usize>> {
        let Choices { scores, scale, accounting, one_way } = choices;
        let (groups, mut scores) = (scores.len(), scores.into_iter());
        let mut indices = Vec::with_capacity(groups);
        while indices.len() < groups {
            let part: Vec<_> = scores.by_ref().take(CHOICES).collect();
            let size = part.len();
            let scale = scale.clone();
            match self.ask(Draw::Choices(Choices { scores: part, scale, accounting, one_way }))? {
                Drawn::Indices(drawn) if drawn.len() == size => indices.extend(drawn),
                _ => return Err(failed("another number of choices than asked")),
            }
        }
        Ok(indices)
    }

    fn ask(&self, draw: Draw) -> Result<Drawn> {
        let (answer, drawn) = sync_channel(1);
        let sent = self.requests.as_ref().map(|requests| requests.send(Request { draw, answer }));
        if !matches!(sent, Some(Ok(()))) {
            return Err(failed("its thread has ended"));
        }
        drawn.recv().map_err(|_| failed("its thread has ended"))?
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        // Without senders the thread ends after the draw that it is at.
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn failed(why: &'static str) -> Error {
    Error::new(Code::Internal, format!("no noise could be drawn: {why}"))
}

/// Draws until nobody can ask any more.
fn serve(waiting: &Receiver<Request>, draw: fn(Draw) -> Fallible<Drawn>) {
    while let Ok(Request { draw: asked, answer }) = waiting.recv() {
        // PRIVACY: a draw that fails or panics is an error, never a number with less noise; the next draw
        // starts anew. Nothing outside the closure is changed by it.
        let drawn = match catch_unwind(AssertUnwindSafe(|| draw(asked))) {
            Ok(Ok(drawn)) => Ok(drawn),
            // The library's words could be about scores.
            Ok(Err(error)) => Err(Error::new(
                Code::Internal,
                format!("no noise could be drawn: {:?}", error.variant),
            )),
            Err(_) => Err(failed("the sampler panicked")),
        };
        // Who asked may be gone.
        let _ = answer.send(drawn);
    }
}

fn draw(asked: Draw) -> Fallible<Drawn> {
    Ok(match asked {
        Draw::Laplace { scale, times } => Drawn::Numbers(
            (0..times).map(|_| sample_discrete_laplace(scale.clone())).collect::<Fallible<_>>()?,
        ),
        Draw::Gaussian { sigma, times } => Drawn::Numbers(
            (0..times).map(|_| sample_discrete_gaussian(sigma.clone())).collect::<Fallible<_>>()?,
        ),
        Draw::Choices(choices) => Drawn::Indices(match choices.accounting {
            Accounting::Pure => choose(&choices, MaxDivergence)?,
            Accounting::Zcdp => choose(&choices, ZeroConcentratedDivergence)?,
        }),
    })
}

fn choose<M: Measure<Distance = f64> + TopKMeasure>(
    choices: &Choices,
    measure: M,
) -> Fallible<Vec<usize>> {
    let domain = VectorDomain::new(AtomDomain::<i128>::default());
    let metric = LInfDistance::new(choices.one_way);
    // The scale is a float already (`exact::float_over`).
    let scale = choices.scale.to_f64().value();
    let chooser = make_noisy_max(domain, metric, measure, scale, false)?;
    choices.scores.iter().map(|scores| chooser.invoke(scores)).collect()
}

#[cfg(test)]
mod tests;
