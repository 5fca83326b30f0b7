//! The one integration binary.

#[cfg(test)]
mod fuzz_smoke;
#[cfg(test)]
mod tidy;
