//! The one integration binary: one module a subject, one link for all of them.

// Each is marked as a test, so that clippy lets helpers unwrap; what needs the server is marked too.
#[cfg(feature = "server")]
#[cfg(test)]
mod export;
#[cfg(test)]
mod fuzz_smoke;
#[cfg(feature = "server")]
#[cfg(test)]
mod ingest;
#[cfg(feature = "server")]
#[cfg(test)]
mod init;
#[cfg(feature = "server")]
#[cfg(test)]
mod leak;
#[cfg(feature = "server")]
#[cfg(test)]
mod releases_page;
#[cfg(feature = "server")]
#[cfg(test)]
mod seeds;
#[cfg(test)]
mod shared;
#[cfg(feature = "server")]
#[cfg(test)]
mod site;
#[cfg(test)]
mod tidy;
#[cfg(feature = "server")]
#[cfg(test)]
mod wire;
