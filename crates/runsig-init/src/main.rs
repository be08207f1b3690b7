//! The stand-alone program: `runsig-init <number of the sync socket>`.
//!
//! Owns: the entry point. Everything else is in the library, which tests can reach.
#![no_std]
#![no_main]

use runsig_sys::freestanding::Args;

runsig_sys::freestanding_main!(main);

fn main(args: Args) -> i32 {
    runsig_init::run(args.get(1))
}
