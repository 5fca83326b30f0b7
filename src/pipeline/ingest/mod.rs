//! Text of schedulers and plain tables, brought in. Sends nothing and knows no policy.

pub mod nodes;
