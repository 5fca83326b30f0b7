//! When an answer leaves: at multiples of a fixed time from its beginning. Knows no answers.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The ticks of one answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tick {
    begun: Instant,
    every: Duration,
}

impl Tick {
    /// Ticks from now on.
    pub(super) fn new(every: Duration) -> Self {
        Self { begun: Instant::now(), every: every.max(Duration::from_millis(1)) }
    }

    /// How long ago the beginning was: for the operator's log.
    pub(super) fn gone(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Waits for the next tick; never the beginning itself.
    ///
    /// PRIVACY: how long the work took is seen as a number of ticks and no finer, whether it made an answer, failed,
    /// or found one that was stored.
    pub(super) async fn wait(&self) {
        sleep_until(self.begun + next(self.begun.elapsed(), self.every)).await;
    }
}

/// The first multiple of `every` after what went by.
fn next(gone: Duration, every: Duration) -> Duration {
    let (gone, every) = (gone.as_micros(), every.as_micros().max(1));
    let next = (gone / every + 1).saturating_mul(every);
    Duration::from_micros(u64::try_from(next).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_tick_is_a_multiple_and_never_now() {
        let every = Duration::from_millis(250);
        for (gone, expected) in
            [(0, 250), (1, 250), (249, 250), (250, 500), (251, 500), (999, 1000)]
        {
            let next = next(Duration::from_millis(gone), every);
            assert_eq!(next, Duration::from_millis(expected), "{gone}");
        }
    }

    #[tokio::test]
    async fn waiting_ends_at_a_tick() {
        let every = Duration::from_millis(40);
        let tick = Tick::new(every);
        tokio::time::sleep(Duration::from_millis(50)).await;
        tick.wait().await;
        let gone = tick.begun.elapsed();
        assert!(gone >= every * 2 && gone < every * 5, "{gone:?}");
    }
}
