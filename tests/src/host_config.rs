//! The host-wide settings of Runsig, for one test: the machine's /etc is never written.

use std::fs;
use std::path::Path;

use nix::mount::{MsFlags, mount};

use crate::case::skip;
use crate::harness::test_dir;

/// Makes `/etc/runsig/config.toml` hold `text`, in the test's own mount namespace and for whatever it
/// starts from now on. May be called again with another text.
pub fn write(text: &str) {
    let layers = test_dir().join("etc");
    if !layers.exists() {
        overlay(&layers);
    }
    fs::create_dir_all("/etc/runsig").expect("mkdir");
    fs::write("/etc/runsig/config.toml", text).expect("write");
}

/// An overlay over /etc whose upper layer is a tmpfs of the test's own.
fn overlay(layers: &Path) {
    fs::create_dir_all(layers).expect("mkdir");
    let none: Option<&str> = None;
    mount(Some("tmpfs"), layers, Some("tmpfs"), MsFlags::empty(), none).expect("a tmpfs");
    let (upper, work) = (layers.join("upper"), layers.join("work"));
    fs::create_dir(&upper).expect("mkdir");
    fs::create_dir(&work).expect("mkdir");
    let options = format!("lowerdir=/etc,upperdir={},workdir={}", upper.display(), work.display());
    if let Err(error) = mount(Some("overlay"), "/etc", Some("overlay"), MsFlags::empty(), Some(&*options)) {
        skip(format!("no overlay over /etc here: {error}"));
    }
}
