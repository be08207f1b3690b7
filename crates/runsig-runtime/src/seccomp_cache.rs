//! Compiled seccomp filters on disk, below the state root.
//!
//! Owns: the files. Must not: trust them: `runsig-spec` compares an entry with the whole profile.

use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use runsig_spec::SeccompCache;
use runsig_sys::process;

/// A directory of entries. `~` keeps it out of the list of containers: no ID has one.
pub(crate) struct Cache {
    directory: PathBuf,
}

impl Cache {
    pub(crate) fn new(root: &Path) -> Self {
        Self { directory: root.join("seccomp~cache") }
    }

    /// Whether nobody but us (or root) could have written what is in there.
    fn is_ours(&self) -> bool {
        std::fs::symlink_metadata(&self.directory).is_ok_and(|meta| {
            meta.is_dir() && meta.mode() & 0o022 == 0 && [0, process::geteuid()].contains(&meta.uid())
        })
    }

    fn write(&self, key: &str, entry: &[u8]) -> std::io::Result<()> {
        use std::io::Write;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        if !self.is_ours() {
            return Ok(());
        }
        let temporary = self.directory.join(format!("{key}~{}", process::getpid()));
        let written = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)
            .and_then(|mut file| file.write_all(entry))
            .and_then(|()| std::fs::rename(&temporary, self.directory.join(key)));
        if written.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        written
    }
}

impl SeccompCache for Cache {
    fn get(&self, key: &str) -> Option<Vec<u8>> {
        if !self.is_ours() {
            return None;
        }
        std::fs::read(self.directory.join(key)).ok()
    }

    fn put(&self, key: &str, entry: &[u8]) {
        // A cache that cannot be written costs time, not correctness.
        let _ = self.write(key, entry);
    }
}
