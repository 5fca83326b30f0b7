//! Exact answers over bounded contributions: who contributes to how many groups, with how many rows, between
//! which values. Adds no noise: what it gives goes to `super::mechanism` alone.
