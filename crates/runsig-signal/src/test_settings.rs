//! Settings for the tests of whoever reads them.
//!
//! Owns: annotations and configuration files made in a line. Must not: be part of the program.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::config::Config;

/// Annotations of a container.
pub(crate) fn annotations(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

/// A host-wide file with this text, read already and gone again.
pub(crate) fn config(name: &str, text: &str) -> Config {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let unique = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(format!("runsig-config-{}-{}-{name}", unique.0, unique.1));
    std::fs::write(&path, text).unwrap();
    let config = Config::at(&path);
    let _ = config.settings();
    std::fs::remove_file(path).unwrap();
    config
}

/// No host-wide file.
pub(crate) fn none() -> Config {
    Config::at("/nonexistent")
}
