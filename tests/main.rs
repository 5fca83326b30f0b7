//! The one integration binary: one module a subject, one link for all of them.
// `cfg(test)` tells the lints that helpers, too, are tests.

#[cfg(test)]
mod fuzz_smoke;
#[cfg(test)]
mod leak;
#[cfg(test)]
mod site;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod wire;
