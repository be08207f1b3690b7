//! config.json and process.json become a validated [`Plan`].
//!
//! Owns: reading the bundle's files, every rule about what they may say, and the resolving of
//! names, options and filters into numbers and bytes. Must not: change anything on the host.

pub mod plan;

pub use plan::Plan;
