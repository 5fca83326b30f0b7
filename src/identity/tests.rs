//! Tests of who is let in, and the helper with which other rooms' tests get a partner.
