//! System call filters.
//!
//! Owns: `linux.seccomp`: from its text, through the cache or libseccomp, to instructions. Must
//! not: load a filter; the init does.

mod cache;
mod compile;
mod enosys;
mod profile;
#[cfg(test)]
mod tests;

use runsig_proto::plan::Seccomp;
use serde_json::value::RawValue;

use crate::error::{Result, SpecError};
use crate::json;
use crate::plan::SeccompListener;

pub use cache::SeccompCache;
pub(crate) use profile::{ACTIONS, ARCHITECTURES, FLAGS, OPERATORS};

/// What the init loads, and who gets the listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) seccomp: Seccomp,
    pub(crate) listener: Option<SeccompListener>,
}

/// The filter of a profile's text; `None` for a profile that asks for none. A filter found in the
/// cache costs one hash and one comparison of the text.
pub(crate) fn resolve(text: &RawValue, cache: Option<&dyn SeccompCache>) -> Result<Option<Filter>> {
    let text = text.get();
    let Some(cache) = cache else { return fresh(text) };
    let key = cache::key(text.as_bytes());
    if let Some(filter) = cache.get(&key).and_then(|entry| cache::unpack(&entry, text.as_bytes())) {
        return Ok(Some(filter));
    }
    let filter = fresh(text)?;
    if let Some(filter) = &filter {
        cache.put(&key, &cache::pack(filter, text.as_bytes()));
    }
    Ok(filter)
}

fn fresh(text: &str) -> Result<Option<Filter>> {
    let document = json::parse(text.as_bytes(), &json::Room::new(), "linux.seccomp")?;
    let Some(profile) = profile::resolve(document)? else { return Ok(None) };
    if profile.notifies() && profile.listener.is_none() {
        return Err(SpecError::rule("seccomp listenerPath is not set"));
    }
    let program = compile::compile(&profile)?;
    let seccomp = Seccomp { flags: profile.flags, program, notify: profile.notifies() };
    Ok(Some(Filter { seccomp, listener: profile.listener }))
}
