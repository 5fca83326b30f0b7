//! The one integration binary.

mod site;
mod wire;
