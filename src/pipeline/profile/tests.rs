//! What a profile of real files says, and what it does not say.
