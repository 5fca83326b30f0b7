//! Admission as the rooms around it see it.

use super::*;
use crate::clock::SystemClock;

/// Quotas with little of everything and no limit a day.
pub(crate) fn quotas() -> Quotas {
    Quotas {
        streams_max: 8,
        streams_partner_max: 8,
        queries_max: 2,
        queries_partner_max: 1,
        queries_waiting_partner_max: 4,
        queue: Duration::from_secs(10),
        query: Duration::from_secs(300),
        rows_day: None,
        bytes_day: None,
    }
}

/// An admission by those quotas.
pub(crate) fn admission(store: Arc<dyn Store>) -> Arc<Admission> {
    Admission::new(quotas(), store, Arc::new(SystemClock))
}
