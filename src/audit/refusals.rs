//! Counts failed credentials by address and minute, so that the log stays readable and bounded however
//! many come. It does not write; it hands out what is due.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::record::{Refuse, Subject};
use crate::error::Code;

/// The refusals of the running minute.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    windows: Mutex<BTreeMap<(String, &'static str), Window>>,
}

/// One address and one code since a moment.
#[derive(Debug)]
struct Window {
    since_micros: i64,
    /// Those not written yet, and the latest of them.
    pending: Option<Refuse>,
}

impl Refusals {
    /// Takes one refusal and returns the records to write now.
    pub(super) fn count(&self, mut subject: Subject, code: Code, now_micros: i64) -> Vec<Refuse> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = Vec::new();
        windows.retain(|_, window| {
            let open = now_micros.saturating_sub(window.since_micros) < WINDOW_MICROS;
            if !open {
                due.extend(window.pending.take());
            }
            open
        });
        let mut address = address(&subject.peer).to_owned();
        let known = windows.contains_key(&(address.clone(), code.as_str()));
        if !known && windows.len() >= ADDRESSES_MAX {
            "many addresses".clone_into(&mut address);
            subject.peer.clone_from(&address);
        }
        match windows.get_mut(&(address.clone(), code.as_str())) {
            Some(window) => {
                let count = window.pending.as_ref().map_or(0, |pending| pending.count) + 1;
                window.pending = Some(Refuse { subject, code: code.as_str().to_owned(), count });
            }
            None => {
                due.push(Refuse { subject, code: code.as_str().to_owned(), count: 1 });
                windows.insert(
                    (address, code.as_str()),
                    Window { since_micros: now_micros, pending: None },
                );
            }
        }
        due
    }

    /// All that is counted and not yet handed out.
    pub(super) fn drain(&self) -> Vec<Refuse> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.values_mut().filter_map(|window| window.pending.take()).collect()
    }
}

/// The address without its port.
fn address(peer: &str) -> &str {
    peer.rsplit_once(':').map_or(peer, |(address, _)| address)
}

/// How long refusals are counted together.
const WINDOW_MICROS: i64 = 60_000_000;

/// How many addresses are told apart in one minute.
const ADDRESSES_MAX: usize = 1024;
