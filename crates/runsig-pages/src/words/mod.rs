//! What a manual page says beside the definitions: paragraphs, exit codes, files, examples.
//!
//! Owns: the words. Must not: repeat flags, which come from the definitions.

mod life;
mod resources;
mod stopping;

/// The words of one page.
#[derive(Default)]
pub(crate) struct Words {
    /// Paragraphs.
    pub(crate) description: &'static [&'static str],
    /// Exit code and when.
    pub(crate) exits: &'static [(&'static str, &'static str)],
    /// Path and what it is.
    pub(crate) files: &'static [(&'static str, &'static str)],
    /// What for, and the lines to type.
    pub(crate) examples: &'static [(&'static str, &'static str)],
    /// Other verbs to read about.
    pub(crate) see: &'static [&'static str],
}

/// The exit codes of a verb that either works or does not.
const PLAIN: &[(&str, &str)] =
    &[("0", "It worked."), ("1", "It did not; one line on standard error and in the log says why.")];

const STATE: (&str, &str) =
    ("ROOT/ID/state.json", "The container's state. ROOT is that of --root; see runsig(8).");

/// The page of the program.
pub(crate) fn of_program() -> Words {
    Words {
        description: &[
            "Runsig makes and runs containers from bundles, as runc(8) does: a bundle is a directory with a file \
             config.json, as the OCI runtime specification defines it, and a root file system. Engines (podman, \
             Docker, containerd, CRI-O) can call it in runc's place: verbs, flags, output, messages and exit \
             codes are the same.",
            "The verbs stop, signals and wait are about the end of a container: which process gets which signal, \
             what it would do with it, and how it ended.",
            "With --systemd-cgroup the container's cgroup is a transient scope of systemd's: cgroupsPath is \
             slice:prefix:name, limits become properties of the unit too, and annotations \
             org.systemd.property.NAME set others. Verbs after create know by themselves. Users other than root \
             get a scope of their own systemd, on cgroup v2.",
            "Flags in front of the verb are for all verbs; each verb has a page of its own.",
        ],
        exits: &[
            ("0", "It worked."),
            ("1", "It did not. The reason is the last line on standard error, or of the file of --log."),
            ("3", "There is no such verb."),
            ("255", "exec could not run the program."),
            ("others", "Those of the container's program, from run, exec and wait."),
        ],
        files: &[
            (
                "/run/runsig",
                "Where the state of containers is kept: one directory for each. For users other than root it is \
                 $XDG_RUNTIME_DIR/runsig.",
            ),
            (
                "/etc/runsig/config.toml",
                "Settings of this host for kill and stop and for the resident init; containers' annotations come \
                 before it, flags before both. See runsig-kill(8), runsig-stop(8), runsig-create(8).",
            ),
        ],
        examples: &[
            (
                "A container of busybox:",
                "mkdir -p web/rootfs\nbusybox --install -s web/rootfs/bin\nrunsig spec -b web\nrunsig run -b web web1",
            ),
            (
                "With podman, Docker and containerd:",
                "podman --runtime /usr/bin/runsig run --rm IMAGE\ndockerd --add-runtime runsig=/usr/bin/runsig\nctr run --rm --runc-binary /usr/bin/runsig IMAGE ID",
            ),
            ("Log as an engine wants it:", "runsig --log /tmp/log --log-format json state web1"),
        ],
        see: &[],
    }
}

/// The page of a verb; without words for one that has none yet, which a test does not let pass.
pub(crate) fn of_verb(name: &str) -> Words {
    let found = life::words(name).or_else(|| stopping::words(name)).or_else(|| resources::words(name));
    found.unwrap_or_default()
}
