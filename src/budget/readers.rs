//! Who reads: how many messages a partner took from all the streams that they have open. Who reads one
//! stream has not left the others; clients open every endpoint of an answer at once and read them one
//! after the other. How long one may pause is not known here.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A count for each partner who has a stream open.
#[derive(Debug, Default)]
pub(super) struct Readers {
    taken: Mutex<BTreeMap<String, Weak<AtomicU64>>>,
}

impl Readers {
    /// The count of a partner; each of their open streams holds it.
    pub(super) fn of(&self, partner: &str) -> Arc<AtomicU64> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get(partner).and_then(Weak::upgrade) {
            return count;
        }
        taken.retain(|_, count| count.strong_count() > 0);
        let count = Arc::default();
        taken.insert(partner.to_owned(), Arc::downgrade(&count));
        count
    }
}
