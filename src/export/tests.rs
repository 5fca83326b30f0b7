//! Files of every format against the batches they were made from.
