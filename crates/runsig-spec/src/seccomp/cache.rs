//! Compiled filters, kept.
//!
//! Compiling takes about two milliseconds, which is as long as everything else of a create, and
//! an engine uses a handful of profiles over and over.
//!
//! Owns: the key and the form of an entry. Must not: decide where entries are; whoever gives us a
//! [`SeccompCache`] does. A filter is a security boundary: an entry is believed only when it holds
//! the whole text of the profile, came from this build, and is undamaged.

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use runsig_proto::plan::Seccomp;

use super::Filter;
use crate::plan::SeccompListener;

/// Where compiled filters are kept. Both calls are best effort: what fails is compiled again.
///
/// An implementation must make sure that nobody but the caller's own user can write entries, and
/// that an entry appears as a whole (a temporary file and a rename).
pub trait SeccompCache {
    /// The entry stored under a key, if there is one.
    fn get(&self, key: &str) -> Option<Vec<u8>>;
    /// Stores an entry. Keys are fit for file names: 16 hexadecimal digits.
    fn put(&self, key: &str, entry: &[u8]);
}

/// What an entry has to have been made by: another build may compile differently.
const BUILD: &[u8] = concat!("runsig seccomp 1 ", env!("CARGO_PKG_VERSION")).as_bytes();

/// The key of a profile's text.
pub(super) fn key(text: &[u8]) -> String {
    format!("{:016x}", hash(text, hash(BUILD, 0)))
}

/// A quick hash, not a safe one: entries are compared as a whole. Eight bytes a step.
fn hash(bytes: &[u8], seed: u64) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |state: u64, word: u64| {
        let product = u128::from(state ^ word ^ FACTOR) * u128::from(FACTOR | 1);
        (product as u64) ^ ((product >> 64) as u64).rotate_left(29)
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let state =
        words.iter().fold(seed ^ bytes.len() as u64, |state, word| mix(state, u64::from_le_bytes(*word)));
    rest.iter().fold(state, |state, byte| mix(state, u64::from(*byte)))
}

/// The entry: a hash of all that follows, the build, the profile, the filter.
pub(super) fn pack(filter: &Filter, text: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(text.len() + filter.seccomp.program.len() + 128);
    let mut part = |bytes: &[u8]| {
        body.extend((bytes.len() as u32).to_le_bytes());
        body.extend_from_slice(bytes);
    };
    part(BUILD);
    part(text);
    part(&filter.seccomp.flags.to_le_bytes());
    part(&[u8::from(filter.seccomp.notify)]);
    part(&filter.seccomp.program);
    if let Some(listener) = &filter.listener {
        part(listener.path.as_os_str().as_bytes());
        part(listener.metadata.as_bytes());
    }
    let mut entry = hash(&body, 0).to_le_bytes().to_vec();
    entry.extend(body);
    entry
}

/// The filter of an entry, if it is whole, ours, and of this very profile.
pub(super) fn unpack(entry: &[u8], text: &[u8]) -> Option<Filter> {
    let (sum, mut body) = entry.split_first_chunk()?;
    if u64::from_le_bytes(*sum) != hash(body, 0) || part(&mut body)? != BUILD || part(&mut body)? != text {
        return None;
    }
    let flags = u32::from_le_bytes(part(&mut body)?.try_into().ok()?);
    let notify = part(&mut body)? == [1];
    let program = part(&mut body)?.to_vec();
    let listener = match part(&mut body) {
        None => None,
        Some(path) => Some(SeccompListener {
            path: PathBuf::from(std::ffi::OsString::from_vec(path.to_vec())),
            metadata: String::from_utf8(part(&mut body)?.to_vec()).ok()?,
        }),
    };
    body.is_empty().then_some(Filter { seccomp: Seccomp { flags, program, notify }, listener })
}

fn part<'a>(body: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = body.split_first_chunk()?;
    let (part, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *body = rest;
    Some(part)
}
