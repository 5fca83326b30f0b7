//! The one integration binary.

mod leak;
mod site;
mod wire;
