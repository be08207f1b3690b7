//! `features`.

use runsig_tests::{Bundle, Case, Container, Value, cases, version};

use crate::calls::{refused, row};

/// The tests of this file.
pub const CASES: &[Case] = cases![V2 "features": bad_calls, document, later_keys];

fn bad_calls() {
    refused(
        &Container::new(Bundle::new()),
        &[
            row(&["features", "more"], 1, &["\"features\" requires exactly 0 argument(s)"]),
            row(&["features", "--no-such-flag"], 1, &["flag provided but not defined: -no-such-flag"]),
        ],
    );
}

fn features() -> Value {
    Container::new(Bundle::new()).runtime.call(&["features"]).ok().json()
}

fn list(value: &Value) -> Vec<&str> {
    value.as_array().map(|entries| entries.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

fn document() {
    let features = features();
    assert!(features["ociVersionMin"].is_string() && features["ociVersionMax"].is_string(), "{features}");
    let hooks = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
    assert_eq!(list(&features["hooks"]), hooks);
    let linux = &features["linux"];
    for kind in ["pid", "mount", "user", "network", "ipc", "uts", "cgroup"] {
        assert!(list(&linux["namespaces"]).contains(&kind), "{kind}");
    }
    for option in ["ro", "rbind", "rslave", "noexec", "strictatime", "runbindable", "tmpcopyup", "rro"] {
        assert!(list(&features["mountOptions"]).contains(&option), "{option}");
    }
    for capability in ["CAP_CHOWN", "CAP_CHECKPOINT_RESTORE"] {
        assert!(list(&linux["capabilities"]).contains(&capability), "{capability}");
    }
    for key in ["v1", "v2", "systemd", "systemdUser"] {
        assert!(linux["cgroup"][key].is_boolean(), "{key}");
    }
    assert_eq!((&linux["cgroup"]["v1"], &linux["cgroup"]["v2"]), (&true.into(), &true.into()));
    assert_eq!(linux["seccomp"]["enabled"], true);
    for (key, word) in
        [("actions", "SCMP_ACT_ERRNO"), ("operators", "SCMP_CMP_MASKED_EQ"), ("archs", "SCMP_ARCH_X86_64")]
    {
        assert!(list(&linux["seccomp"][key]).contains(&word), "{word}");
    }
    assert!(linux["apparmor"]["enabled"].is_boolean() && linux["selinux"]["enabled"].is_boolean());
    assert!(features["annotations"]["io.github.seccomp.libseccomp.version"].is_string(), "{features}");
}

fn later_keys() {
    version::since("1.4", "idmapped mounts, Intel RDT and network devices among the features");
    let features = features();
    let linux = &features["linux"];
    assert_eq!(linux["mountExtensions"]["idmap"]["enabled"], true);
    assert!(linux["intelRdt"]["enabled"].is_boolean(), "{linux}");
    assert_eq!(linux["netDevices"]["enabled"], true);
    assert_eq!(linux["cgroup"]["rdma"], true);
    for flag in ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"] {
        assert!(list(&linux["seccomp"]["knownFlags"]).contains(&flag), "{flag}");
    }
    assert!(list(&linux["namespaces"]).contains(&"time"));
    let unsafe_annotations = list(&features["potentiallyUnsafeConfigAnnotations"]);
    for annotation in ["bundle", "org.systemd.property.", "org.criu.config"] {
        assert!(unsafe_annotations.contains(&annotation), "{annotation}: {unsafe_annotations:?}");
    }
}
