//! When an answer leaves: a fixed time after its beginning, or twice that, four times, eight times. Knows no answers.

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
        Self { begun: Instant::now(), every: every.max(LEAST) }
    }

    /// How long ago the beginning was: for the operator's log.
    pub(super) fn gone(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Waits for the next tick; never the beginning itself.
    ///
    /// PRIVACY: how long the work took is seen as a number of doublings and no finer, whether it made an answer,
    /// failed, or found one that was stored. An hour has fourteen of them by a tick of 250 ms.
    pub(super) async fn wait(&self) {
        sleep_until(self.begun + next(self.begun.elapsed(), self.every)).await;
    }
}

/// The first tick after what went by: `every`, and twice as long each time. A tick of a millisecond is as good as
/// none, for trials on one's own machine: then it is the next multiple.
fn next(gone: Duration, every: Duration) -> Duration {
    let times = gone.as_micros() / every.as_micros().max(1);
    let times = match u32::try_from(times) {
        Ok(times) if every > LEAST => times.saturating_add(1).checked_next_power_of_two(),
        Ok(times) => times.checked_add(1),
        Err(_) => None,
    };
    times.and_then(|times| every.checked_mul(times)).unwrap_or(gone)
}

/// The shortest tick.
const LEAST: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tick_is_twice_as_late_as_the_one_before_and_never_now() {
        for (gone, every, expected) in [
            (0, 250, 250),
            (1, 250, 250),
            (249, 250, 250),
            (250, 250, 500),
            (251, 250, 500),
            (501, 250, 1_000),
            (999, 250, 1_000),
            (1_000, 250, 2_000),
            (59_000, 250, 64_000),
            (0, 1, 1),
            (61, 1, 62),
        ] {
            let next = next(Duration::from_millis(gone), Duration::from_millis(every));
            assert_eq!(next, Duration::from_millis(expected), "{gone}");
        }
        assert_eq!(next(Duration::MAX, LEAST), Duration::MAX);
    }

    #[tokio::test]
    async fn waiting_ends_at_a_tick() {
        let every = Duration::from_millis(40);
        let tick = Tick::new(every);
        tokio::time::sleep(Duration::from_millis(50)).await;
        tick.wait().await;
        // Not before the second tick, and at some moment after it; which tick comes next is tested above.
        let gone = tick.begun.elapsed();
        assert!(gone >= every * 2, "{gone:?}");
    }
}
