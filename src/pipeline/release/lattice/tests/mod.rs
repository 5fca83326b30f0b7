//! The search against ARX's optima and against looking at everything.

mod adult;
mod brute;
mod vectors;
