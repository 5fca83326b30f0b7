//! The one integration binary: one module a subject, one link for all of them.

mod fuzz_smoke;
mod leak;
mod site;
mod tidy;
mod wire;
