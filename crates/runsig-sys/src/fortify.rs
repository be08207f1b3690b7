//! What a libseccomp that was compiled for glibc asks of its C library, and musl does not have.
//!
//! Owns: the checked forms of printf that a distribution's hardening puts in. Must not: pretend: who
//! calls one gets an error.

/// fprintf with a check of the format: for the text dump of a filter, which Runsig never asks for.
/// -1 is how fprintf fails.
#[unsafe(no_mangle)]
extern "C" fn __fprintf_chk() -> i32 {
    -1
}
