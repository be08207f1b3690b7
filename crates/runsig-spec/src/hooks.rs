//! Hooks of all six kinds.
//!
//! Owns: `hooks`. Must not: run them, or look whether they exist.

use std::time::Duration;

use oci_spec::runtime;
use runsig_proto::plan::Hook;

use crate::error::{Result, SpecError};
use crate::plan::HostHooks;
use crate::text::{cstring, cstrings};

/// The longest timeout accepted: what fits a millisecond count of poll(2).
const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);

/// Hooks by where they run.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    /// On the host.
    pub(crate) host: HostHooks,
    /// In the container's namespaces.
    pub(crate) create_container: Vec<Hook>,
    /// In the container.
    pub(crate) start_container: Vec<Hook>,
}

/// Resolves all hooks.
#[allow(deprecated, reason = "prestart hooks are deprecated, and in use")]
pub(crate) fn resolve(given: runtime::Hooks) -> Result<Hooks> {
    Ok(Hooks {
        host: HostHooks {
            prestart: list(given.prestart(), "prestart")?,
            create_runtime: list(given.create_runtime(), "createRuntime")?,
            poststart: list(given.poststart(), "poststart")?,
            poststop: list(given.poststop(), "poststop")?,
        },
        create_container: list(given.create_container(), "createContainer")?,
        start_container: list(given.start_container(), "startContainer")?,
    })
}

fn list(given: &Option<Vec<runtime::Hook>>, kind: &str) -> Result<Vec<Hook>> {
    given.iter().flatten().enumerate().map(|(i, hook)| one(hook, kind, i)).collect()
}

fn one(given: &runtime::Hook, kind: &str, i: usize) -> Result<Hook> {
    let field = |part: &str| format!("hooks.{kind}[{i}].{part}");
    let path = given.path().to_string_lossy().into_owned();
    if !path.starts_with('/') {
        return Err(SpecError::value(field("path"), path, "is not an absolute path"));
    }
    let timeout = given.timeout().map(|seconds| {
        let limit = LONGEST.as_secs();
        u32::try_from(seconds).ok().filter(|seconds| *seconds > 0 && u64::from(*seconds) <= limit).ok_or_else(
            || SpecError::value(field("timeout"), seconds, format!("is not between 1 and {limit}")),
        )
    });
    Ok(Hook {
        path: cstring(path, || field("path"))?,
        args: cstrings(given.args().clone(), &field("args"))?,
        env: cstrings(given.env().clone(), &field("env"))?,
        timeout: timeout.transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_goes_where_it_runs() {
        let json = r#"{"prestart":[{"path":"/1"}],"createRuntime":[{"path":"/2","timeout":5}],
            "createContainer":[{"path":"/3","args":["a","b"]}],"startContainer":[{"path":"/4","env":["A=1"]}],
            "poststart":[{"path":"/5"}],"poststop":[{"path":"/6"},{"path":"/7"}]}"#;
        let hooks = resolve(serde_json::from_str(json).unwrap()).unwrap();
        assert_eq!(hooks.host.prestart[0].path.as_c_str(), c"/1");
        assert_eq!(hooks.host.create_runtime[0].timeout, Some(5));
        assert_eq!(hooks.create_container[0].args, [c"a".to_owned(), c"b".to_owned()]);
        assert_eq!(hooks.start_container[0].env, [c"A=1".to_owned()]);
        assert_eq!((hooks.host.poststart.len(), hooks.host.poststop.len()), (1, 2));
    }

    #[test]
    fn wrong_hooks_are_named() {
        for (json, words) in [
            (r#"{"prestart":[{"path":"rel"}]}"#, "invalid hooks.prestart[0].path \"rel\""),
            (r#"{"poststop":[{"path":""}]}"#, "hooks.poststop[0].path"),
            (r#"{"createRuntime":[{"path":"/a","timeout":0}]}"#, "hooks.createRuntime[0].timeout \"0\""),
            (r#"{"createRuntime":[{"path":"/a","timeout":-3}]}"#, "hooks.createRuntime[0].timeout \"-3\""),
            (r#"{"poststart":[{"path":"/a","timeout":9999999999}]}"#, "hooks.poststart[0].timeout"),
            (
                "{\"startContainer\":[{\"path\":\"/a\",\"env\":[\"A=\\u0000\"]}]}",
                "hooks.startContainer[0].env[0]",
            ),
        ] {
            let error = resolve(serde_json::from_str(json).unwrap()).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
