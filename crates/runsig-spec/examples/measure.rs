//! How long a bundle takes to load: `cargo run --release -p runsig-spec --example measure -- BUNDLE`.
//!
//! Prints medians in microseconds: without a cache for compiled filters, and with one that is a
//! directory, as the runtime's is.

use std::path::{Path, PathBuf};
use std::time::Instant;

use runsig_spec::{LoadOptions, SeccompCache, SpecError, load};

struct Directory(PathBuf);

impl SeccompCache for Directory {
    fn get(&self, key: &str) -> Option<Vec<u8>> {
        std::fs::read(self.0.join(key)).ok()
    }
    fn put(&self, key: &str, entry: &[u8]) {
        // Best effort; the next load compiles again.
        let _ = std::fs::write(self.0.join(key), entry);
    }
}

fn median(mut work: impl FnMut() -> Result<(), SpecError>) -> Result<f64, SpecError> {
    let mut times = Vec::with_capacity(301);
    for _ in 0..301 {
        let started = Instant::now();
        work()?;
        times.push(started.elapsed());
    }
    times.sort();
    Ok(times.get(150).map_or(0.0, |time| time.as_secs_f64() * 1e6))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bundle = std::env::args().nth(1).ok_or("usage: measure BUNDLE")?;
    let bundle = Path::new(&bundle);
    let plain = LoadOptions::new("measured");
    println!("without a cache: {:.1} us", median(|| load(bundle, &plain).map(drop))?);
    let directory = Directory(std::env::temp_dir().join(format!("runsig-measure-{}", std::process::id())));
    std::fs::create_dir(&directory.0)?;
    let cached = LoadOptions { seccomp_cache: Some(&directory), ..plain };
    load(bundle, &cached)?;
    println!("with a cache: {:.1} us", median(|| load(bundle, &cached).map(drop))?);
    std::fs::remove_dir_all(&directory.0)?;
    Ok(())
}
