//! The typed messages between the runtime and a container's init.
//!
//! Owns: [`plan::InitPlan`] (everything the init has to do, resolved and validated), the messages
//! both sides exchange while it does it, and their compact binary form.
//!
//! Must not: validate or decide. What is in a plan has been checked by `runsig-spec`; what a
//! failure is called in words is up to `runsig-runtime`. Works without `std`.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod frame;
pub mod plan;
mod wire;

pub use frame::{FromInit, Op, ToInit};
pub use plan::InitPlan;
pub use wire::{Malformed, Wire, decode, encode};
