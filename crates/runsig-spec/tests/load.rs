//! Whole bundles, from files and from text.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use runsig_spec::{LoadOptions, load};

/// A bundle in a directory of its own, removed at the end.
struct Bundle(PathBuf);

impl Bundle {
    fn new(name: &str, config: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("runsig-spec-{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("rootfs")).unwrap();
        fs::write(path.join("config.json"), config).unwrap();
        Self(path.canonicalize().unwrap())
    }
    fn error(&self) -> String {
        load(&self.0, &LoadOptions::new("c")).unwrap_err().to_string()
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const SMALL: &str =
    r#"{"ociVersion":"1.0.0","root":{"path":"rootfs"},"process":{"cwd":"/","args":["true"]}}"#;

#[test]
fn a_small_bundle_loads() {
    let bundle = Bundle::new("small", SMALL.as_bytes());
    let plan = load(&bundle.0, &LoadOptions::new("c")).unwrap();
    assert_eq!(plan.rootfs, bundle.0.join("rootfs"));
    assert_eq!(plan.init.process.args, [c"true".to_owned()]);
    assert_eq!(plan.init.process.umask, 0o022);
    assert_eq!(plan.init.keyring.as_deref(), Some(c"_ses.c"));
}

#[test]
fn missing_files_are_named_in_runcs_words() {
    let bundle = Bundle::new("missing", SMALL.as_bytes());
    fs::remove_dir(bundle.0.join("rootfs")).unwrap();
    let want = format!("invalid rootfs: stat {}/rootfs: no such file or directory", bundle.0.display());
    assert_eq!(bundle.error(), want);
    std::os::unix::fs::symlink("/", bundle.0.join("rootfs")).unwrap();
    assert!(bundle.error().starts_with("invalid rootfs: not an absolute path, or a symlink"));
    fs::remove_file(bundle.0.join("config.json")).unwrap();
    assert_eq!(bundle.error(), "JSON specification file config.json not found");
    fs::create_dir(bundle.0.join("config.json")).unwrap();
    assert!(bundle.error().ends_with("config.json: is a directory"), "{}", bundle.error());
    let error = load(Path::new("/nonexistent/bundle"), &LoadOptions::new("c")).unwrap_err().to_string();
    assert!(error.contains("/nonexistent/bundle: no such file or directory"), "{error}");
}

#[test]
fn a_huge_file_is_not_read_to_its_end() {
    let bundle = Bundle::new("huge", b"{}");
    fs::File::create(bundle.0.join("config.json")).unwrap().set_len(100 << 20).unwrap();
    assert!(bundle.error().ends_with("config.json is longer than 16 MiB"), "{}", bundle.error());
}
