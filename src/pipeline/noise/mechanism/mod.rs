//! Noise: how much, of which kind, from whose generator. Needs the proof that its loss was spent.
