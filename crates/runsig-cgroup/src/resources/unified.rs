//! `linux.resources.unified`: files of cgroup v2 by name.

use oci_spec::runtime::LinuxResources;
use runsig_sys::Errno;
use runsig_sys::fs::O_WRONLY;

use super::knobs::has_controller;
use crate::dir::Dir;
use crate::error::{Error, Result};

pub(super) fn is_set(r: &LinuxResources) -> bool {
    r.unified().as_ref().is_some_and(|files| !files.is_empty())
}

/// Sets them in the order of their names, so that the same bundle does the same every time.
pub(super) fn set(r: &LinuxResources, dir: &Dir) -> Result<()> {
    let mut files: Vec<(&String, &String)> = r.unified().iter().flatten().collect();
    files.sort_unstable();
    files.iter().try_for_each(|(name, value)| set_one(dir, name, value))
}

fn set_one(dir: &Dir, name: &str, value: &str) -> Result<()> {
    if name.contains('/') {
        return Err(Error::invalid(format!("unified resource {name:?} must be a file name (no slashes)")));
    }
    write_lines(dir, name, value).map_err(|error| explain(dir, name, error))
}

/// One write(2) a line: the kernel takes only one of most files' entries at a time.
fn write_lines(dir: &Dir, name: &str, value: &str) -> Result<()> {
    let file = dir.open_file(name, O_WRONLY)?;
    value.split_inclusive('\n').try_for_each(|line| dir.write_to(file.as_fd(), name, line))
}

fn explain(dir: &Dir, name: &str, error: Error) -> Error {
    if matches!(error.errno(), Some(Errno::ENOENT | Errno::EPERM | Errno::EACCES | Errno::EINVAL)) {
        let Some((controller, _)) = name.split_once('.') else {
            return Error::invalid(format!(
                "unified resource {name:?} must be in the form CONTROLLER.PARAMETER"
            ));
        };
        if controller != "cgroup" && !has_controller(dir, controller) {
            return Error::invalid(format!(
                "unified resource {name:?} can't be set: controller {controller:?} not available"
            ));
        }
    }
    Error::Unified { name: name.to_owned(), source: Box::new(error) }
}
