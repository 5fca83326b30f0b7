//! Raw batches of one shard under the policy's row filter.
