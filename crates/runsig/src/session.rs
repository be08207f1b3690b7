//! What every verb works with: the resolved globals, the state directory, the log.
//!
//! Owns: putting them together once. Must not: act on a container.

use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::rc::Rc;

use runsig_runtime::{Container, Globals, Store, Warnings};

use crate::args::{Invocation, Root};
use crate::failure::{Failure, Result};
use crate::log::Log;

/// The surroundings of one call.
pub(crate) struct Session<'a> {
    /// For the runtime.
    pub(crate) globals: Globals,
    /// The containers.
    pub(crate) store: Store,
    /// The log.
    pub(crate) log: &'a Log,
    /// Nobody asked for this root, so it need not exist.
    pub(crate) root_is_default: bool,
}

impl<'a> Session<'a> {
    /// Resolves the globals.
    pub(crate) fn new(invocation: &Invocation, log: &'static Log) -> Result<Self> {
        let root = invocation.root()?;
        if root.in_runtime_dir {
            make_sticky(&root)?;
        }
        let mut globals = invocation.globals(&root)?;
        globals.warnings = Warnings(Rc::new(|message| log.warning(message)));
        if invocation.debug() {
            globals.debug_log = Some(Warnings(Rc::new(|message| log.debug(message))));
        }
        let store = Store::new(&root.path);
        Ok(Self { globals, store, log, root_is_default: root.is_default })
    }

    /// The container with this ID.
    pub(crate) fn load(&self, id: &str) -> Result<Container> {
        Ok(self.store.load(id)?)
    }
}

/// The XDG base directory specification: files in the runtime directory may be pruned unless their
/// sticky bit is set.
fn make_sticky(root: &Root) -> Result<()> {
    let path: &Path = &root.path;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| {
        Failure::io("mkdir", path, &error).context("$XDG_RUNTIME_DIR must be writable by the user")
    })?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o1700))
        .map_err(|error| Failure::io("chmod", path, &error))
}
