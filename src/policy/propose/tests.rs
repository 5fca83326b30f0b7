//! What is proposed for whole tables.
