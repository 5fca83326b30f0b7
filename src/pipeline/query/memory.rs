//! The memory that queries share. What can be spilled gets equal parts of most of it; the rest is for what
//! cannot, such as the merge that reads sorted parts. Counts and holds nothing itself.

use std::fmt;

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{
    FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};

/// A fair pool that sorts and groupings do not fill: where they did, the merge of what they sorted would
/// find nothing left and the statement would fail instead of spilling.
#[derive(Debug)]
pub(in crate::pipeline) struct Memory {
    fair: FairSpillPool,
    /// How much may be taken when something that can be spilled asks for more.
    filled_max: usize,
}

impl Memory {
    /// A pool of so many bytes.
    pub(in crate::pipeline) fn new(bytes: usize) -> Self {
        Self { fair: FairSpillPool::new(bytes), filled_max: bytes - bytes / 4 }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.fair, f)
    }
}

impl MemoryPool for Memory {
    fn name(&self) -> &str {
        "queries"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.fair.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.fair.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.fair.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.fair.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let filled = self.fair.reserved().saturating_add(additional);
        if reservation.consumer().can_spill() && filled > self.filled_max {
            return Err(DataFusionError::ResourcesExhausted("time to spill".to_owned()));
        }
        self.fair.try_grow(reservation, additional)
    }

    fn reserved(&self) -> usize {
        self.fair.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.fair.memory_limit()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_can_be_spilled_leaves_a_quarter_to_what_cannot() {
        let pool: Arc<dyn MemoryPool> = Arc::new(Memory::new(1000));
        let sort = MemoryConsumer::new("sort").with_can_spill(true).register(&pool);
        sort.try_grow(750).unwrap();
        assert!(sort.try_grow(1).is_err());
        let merge = MemoryConsumer::new("merge").register(&pool);
        merge.try_grow(250).unwrap();
        assert!(merge.try_grow(1).is_err());
        sort.free();
        merge.try_grow(700).unwrap();
        assert_eq!(pool.reserved(), 950);
    }
}
