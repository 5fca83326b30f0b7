//! The wire as a partner meets it: over a real connection, from outside.

mod access;
mod audit;
mod bounds;
mod limits;
mod metadata;
mod noise;
mod noise_attacks;
mod noise_bypass;
mod noise_crash;
mod noise_joins;
mod noise_preview;
mod prepared;
mod process;
mod pull;
mod releases;
mod scrub;
mod sql;
mod tickets;
mod tls;
mod tokens;
mod turns;
mod types;
mod views;
