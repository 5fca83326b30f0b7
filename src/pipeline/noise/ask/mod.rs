//! A statement in SQL becomes a [`Question`](super::question::Question), or a sentence that says what to
//! write instead; and noisy numbers become an answer in the statement's columns. Reads no row, adds no noise.
