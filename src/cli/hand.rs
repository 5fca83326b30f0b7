//! What is done by hand on the custodian's machine: with which state and key, and told in the audit log. Does none
//! of it.

use std::sync::Arc;

use super::place::Place;
use crate::audit::{Outcome, Request};
use crate::clock::Clock;
use crate::error::Result;
use crate::state::Store;

/// What works by hand needs.
pub(super) struct Hand {
    pub(super) place: Place,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Hand {
    /// Over the state that is there.
    ///
    /// # Errors
    /// [`crate::error::Code::State`] when there is none.
    pub(super) fn new(place: Place, clock: Arc<dyn Clock>) -> Result<Self> {
        Ok(Self { store: place.open(Arc::clone(&clock))?, place, clock })
    }

    /// Does something that the audit log tells of: the entry is durable before `work` begins, and closed
    /// before what it gives is seen. `work` gives the number of originals too.
    ///
    /// PRIVACY: an answer that is not recorded is not given.
    pub(super) fn audited<T>(
        &self,
        request: Request,
        work: impl FnOnce() -> Result<(T, u64)>,
    ) -> Result<T> {
        let log = self.place.log(Arc::clone(&self.clock))?;
        let entry = log.open(Request {
            id: "command line".to_owned(),
            peer: "this machine".to_owned(),
            ..request
        })?;
        match work() {
            Ok((answer, originals)) => {
                entry.close(Outcome::Done, originals, 0)?;
                Ok(answer)
            }
            Err(error) => {
                entry.close(Outcome::Failed(error.code()), 0, 0)?;
                Err(error)
            }
        }
    }
}

/// A reason, as it is given on the command line.
pub(super) fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() { Err("a reason is not empty".to_owned()) } else { Ok(text.to_owned()) }
}
