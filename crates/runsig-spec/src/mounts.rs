//! Mounts.
//!
//! Owns: `mounts`. Must not: touch the file system.

use std::ffi::{CStr, CString};

use runsig_proto::plan::{Mount, MountWhat};
use runsig_sys::mount as m;

use crate::document;
use crate::error::{Result, SpecError};
use crate::namespaces::{self, Namespaces};
use crate::options::{self, Options};
use crate::plan::HostMount;
use crate::text::{clean, cstring, join};

/// What mounts need to know of the rest.
pub(crate) struct Surroundings<'a> {
    /// Where relative sources start.
    pub(crate) bundle: &'a str,
    /// The rootfs on the host, absolute.
    pub(crate) rootfs: &'a str,
    /// The container's namespaces.
    pub(crate) namespaces: &'a Namespaces,
    /// The caller is not root.
    pub(crate) rootless: bool,
}

/// Everything about mounts.
#[derive(Debug, Default)]
pub(crate) struct Mounts {
    /// In order.
    pub(crate) mounts: Vec<Mount>,
    /// Those the runtime makes trees for.
    pub(crate) host: Vec<HostMount>,
    /// What the bundle should rather not say.
    pub(crate) warnings: Vec<String>,
}

impl Mounts {
    /// Whether the container can write to its cgroups at the usual place.
    pub(crate) fn writable_cgroup(&self) -> bool {
        self.mounts.iter().any(|mount| {
            is_cgroup(&mount.what)
                && mount.destination.as_bytes() == b"/sys/fs/cgroup"
                && mount.set & m::ATTR_RDONLY == 0
        })
    }

    /// Whether something of the host is bound over /dev, so that the container's devices are not ours.
    pub(crate) fn bind_dev(&self) -> bool {
        self.mounts.iter().any(|mount| {
            matches!(mount.what, MountWhat::Bind { .. }) && mount.destination.as_bytes() == b"/dev"
        })
    }
}

/// A view of the cgroups; of `cgroup2` the runtime decides how it is made, who knows the host.
fn is_cgroup(what: &MountWhat) -> bool {
    match what {
        MountWhat::Cgroup { .. } => true,
        MountWhat::FileSystem { fstype, .. } => fstype.as_c_str() == c"cgroup2",
        MountWhat::Bind { .. } => false,
    }
}

/// Resolves all mounts.
pub(crate) fn resolve(given: Vec<document::Mount>, around: &Surroundings<'_>) -> Result<Mounts> {
    let mut all = Mounts::default();
    for (index, mut mount) in given.into_iter().enumerate() {
        let options =
            options::parse(mount.options.take().unwrap_or_default(), &format!("mounts[{index}].options"))?;
        let destination = destination(mount.destination.take(), index, around.rootfs, &mut all.warnings)?;
        if let Some(host) = host_mount(&mount, &options, index, around)? {
            all.host.push(host);
        }
        all.mounts.push(one(mount, options, destination, index, around)?);
    }
    Ok(all)
}

/// The destination, absolute, clean, and as the container sees it: one that is given as the host
/// sees it, below the rootfs, is accepted as runc accepts it.
fn destination(
    given: Option<String>,
    index: usize,
    rootfs: &str,
    warnings: &mut Vec<String>,
) -> Result<CString> {
    let field = || format!("mounts[{index}].destination");
    let given = given.unwrap_or_default();
    if given.is_empty() {
        return Err(SpecError::value(field(), given, "must not be empty"));
    }
    if !given.starts_with('/') {
        warnings.push(format!(
            "mount destination {given} is not absolute. Support for non-absolute mount destinations will be removed in a future release."
        ));
    }
    let whole = clean(&format!("/{given}"));
    let inside = whole.strip_prefix(rootfs).filter(|rest| rootfs != "/" && rest.starts_with('/'));
    cstring(inside.map_or(whole.clone(), str::to_owned), field)
}

fn one(
    given: document::Mount,
    options: Options,
    destination: CString,
    index: usize,
    around: &Surroundings<'_>,
) -> Result<Mount> {
    let field = |part: &str| format!("mounts[{index}].{part}");
    let words = given.source.unwrap_or_default();
    let source = cstring(words.clone(), || field("source"))?;
    let fstype = given.typ.unwrap_or_default();
    let what = if options.bind {
        bind(&words, &options, index, around)?
    } else if fstype == "cgroup" {
        MountWhat::Cgroup {
            v2: None,
            v1: Vec::new(),
            links: Vec::new(),
            namespace: around.namespaces.has(namespaces::CGROUP),
        }
    } else {
        file_system(fstype, source.clone(), &options, index)?
    };
    Ok(Mount {
        destination,
        what,
        set: options.set,
        clear: options.clear,
        set_recursive: options.set_recursive,
        clear_recursive: options.clear_recursive,
        propagation: options.propagation,
        source,
        copy_up: options.copy_up,
    })
}

fn bind(source: &str, options: &Options, index: usize, around: &Surroundings<'_>) -> Result<MountWhat> {
    // The kernel ignores them silently, so the bundle would not get what it asks for.
    if let Some(words) = options.first_data() {
        return Err(SpecError::value(
            format!("mounts[{index}].options"),
            words,
            "bind mounts cannot have any filesystem-specific options applied",
        ));
    }
    if source.is_empty() {
        return Err(SpecError::value(format!("mounts[{index}].source"), source, "must not be empty"));
    }
    let source = join(around.bundle, source);
    Ok(MountWhat::Bind {
        source: cstring(source, || format!("mounts[{index}].source"))?,
        recursive: options.recursive,
        tree: -1,
    })
}

fn file_system(fstype: String, source: CString, options: &Options, index: usize) -> Result<MountWhat> {
    let field = || format!("mounts[{index}].type");
    if fstype.is_empty() {
        return Err(SpecError::value(field(), fstype, "must be given for all mounts but bind mounts"));
    }
    if fstype == "bind" {
        return Err(SpecError::value(field(), fstype, "the options have neither bind nor rbind"));
    }
    if options.remount {
        return Err(SpecError::value(
            format!("mounts[{index}].options"),
            "remount",
            "is for bind mounts only",
        ));
    }
    if options.copy_up && fstype != "tmpfs" {
        return Err(SpecError::value(format!("mounts[{index}].options"), "tmpcopyup", "is for tmpfs only"));
    }
    let flags = options.flags.iter().filter_map(|flag| CString::new(*flag).ok()).map(|flag| (flag, None));
    let data =
        options.data.iter().map(|(key, value)| (key.clone(), value.as_ref().map(|v| unquoted(&fstype, v))));
    let options = flags.chain(data).collect();
    Ok(MountWhat::FileSystem { fstype: cstring(fstype, field)?, source, options, tree: -1 })
}

/// A value without the quotes that protect the commas of an SELinux context from mount(2). They
/// stay where the init has to use mount(2) just because of a comma.
fn unquoted(fstype: &str, value: &CStr) -> CString {
    let bytes = value.to_bytes();
    let inner = bytes.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    match inner {
        Some(inner) if fstype == "tmpfs" || !inner.contains(&b',') => CString::new(inner).unwrap_or_default(),
        _ => value.to_owned(),
    }
}

/// Whether the runtime has to make this mount's tree, and how.
fn host_mount(
    given: &document::Mount,
    options: &Options,
    index: usize,
    around: &Surroundings<'_>,
) -> Result<Option<HostMount>> {
    let maps = |maps: &Option<Vec<_>>, part: &str| {
        namespaces::id_mappings(maps.as_deref().unwrap_or_default(), &format!("mounts[{index}].{part}"))
    };
    let uid_mappings = maps(&given.uid_mappings, "uidMappings")?;
    let gid_mappings = maps(&given.gid_mappings, "gidMappings")?;
    let own_maps = given.uid_mappings.is_some() || given.gid_mappings.is_some();
    let idmap = options.idmap.is_some() || own_maps;
    if idmap {
        check_idmap(options, around, own_maps, uid_mappings.is_empty() || gid_mappings.is_empty())
            .map_err(|words| SpecError::rule(format!("invalid mount {index}: {words}")))?;
    } else if !(options.bind && around.namespaces.has(namespaces::USER)) {
        return Ok(None);
    }
    Ok(Some(HostMount {
        index,
        uid_mappings,
        gid_mappings,
        idmap,
        recursive_idmap: options.idmap == Some(true),
    }))
}

fn check_idmap(
    options: &Options,
    around: &Surroundings<'_>,
    own_maps: bool,
    incomplete: bool,
) -> std::result::Result<(), &'static str> {
    if !options.bind {
        return Err("id-mapped mounts are only supported for bind-mounts");
    }
    if around.rootless {
        return Err("id-mapped mounts are not supported for rootless containers");
    }
    let from_user_namespace = !own_maps && around.namespaces.has(namespaces::USER);
    if incomplete && !from_user_namespace {
        return Err("id-mapped mounts must have both uid and gid mappings specified");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespaces::{CGROUP, USER};

    fn resolved(json: &str, new: u64, rootless: bool) -> Result<Mounts> {
        let namespaces = Namespaces { new, ..Default::default() };
        let around =
            Surroundings { bundle: "/bundle", rootfs: "/bundle/r", namespaces: &namespaces, rootless };
        resolve(serde_json::from_str(&format!("[{json}]")).unwrap(), &around)
    }

    fn one(json: &str) -> Mount {
        resolved(json, 0, false).unwrap().mounts.remove(0)
    }

    fn source(mount: &Mount) -> &CStr {
        match &mount.what {
            MountWhat::Bind { source, .. } | MountWhat::FileSystem { source, .. } => source,
            MountWhat::Cgroup { .. } => c"",
        }
    }

    #[test]
    fn binds_ignore_their_type_and_start_in_the_bundle() {
        for (from, want) in [("a/../b", c"/bundle/b"), ("/x//y/", c"/x/y"), ("..", c"/")] {
            for typ in ["", "none", "bind", "tmpfs", "cgroup"] {
                let json = format!(
                    r#"{{"destination":"/d","type":"{typ}","source":"{from}","options":["rbind","ro"]}}"#
                );
                let mount = one(&json);
                assert_eq!(source(&mount), want, "{json}");
                assert!(matches!(mount.what, MountWhat::Bind { recursive: true, tree: -1, .. }), "{json}");
                assert_eq!(mount.source.to_str(), Ok(from), "for messages");
            }
        }
    }

    #[test]
    fn file_systems_keep_their_words() {
        let mount = one(r#"{"destination":"/d","type":"tmpfs","source":"shm",
            "options":["nosuid","sync","mode=1777","context=\"a:c1,c2\"","tmpcopyup","rslave","huge"]}"#);
        let MountWhat::FileSystem { fstype, source, options, tree } = mount.what else { panic!() };
        assert_eq!((fstype.as_c_str(), source.as_c_str(), tree), (c"tmpfs", c"shm", -1));
        let pair = |key: &CStr, value: Option<&CStr>| (key.to_owned(), value.map(CStr::to_owned));
        assert_eq!(
            options,
            [
                pair(c"sync", None),
                pair(c"mode", Some(c"1777")),
                pair(c"context", Some(c"a:c1,c2")),
                pair(c"huge", None)
            ]
        );
        assert!(mount.copy_up);
        assert_eq!(mount.propagation.len(), 1);
        let other =
            one(r#"{"destination":"/d","type":"ext4","options":["context=\"a:c1,c2\"","fscontext=\"b\""]}"#);
        let MountWhat::FileSystem { options, .. } = other.what else { panic!() };
        assert_eq!(
            options,
            [pair(c"context", Some(c"\"a:c1,c2\"")), pair(c"fscontext", Some(c"b"))],
            "mount(2) needs them"
        );
    }

    #[test]
    fn cgroups_are_left_to_the_runtime() {
        let json = |typ: &str, options: &str| {
            format!(
                r#"{{"destination":"/sys/fs/cgroup","type":"{typ}","source":"cgroup","options":[{options}]}}"#
            )
        };
        for (new, own) in [(0, false), (CGROUP, true)] {
            let mount = resolved(&json("cgroup", r#""ro""#), new, false).unwrap().mounts.remove(0);
            let MountWhat::Cgroup { v2: None, v1, links, namespace } = mount.what else { panic!() };
            assert!(v1.is_empty() && links.is_empty() && namespace == own);
        }
        let mount = resolved(&json("cgroup2", ""), 0, false).unwrap().mounts.remove(0);
        assert!(
            matches!(mount.what, MountWhat::FileSystem { ref fstype, .. } if fstype.as_c_str() == c"cgroup2")
        );
        for typ in ["cgroup", "cgroup2"] {
            assert!(resolved(&json(typ, ""), 0, false).unwrap().writable_cgroup(), "{typ}");
            assert!(!resolved(&json(typ, r#""ro""#), 0, false).unwrap().writable_cgroup(), "{typ}");
        }
    }

    #[test]
    fn destinations_become_absolute_with_a_warning() {
        let mounts = resolved(
            r#"{"destination":"a/./../b","type":"proc"},{"destination":"/../x","type":"proc"}"#,
            0,
            false,
        );
        let mounts = mounts.unwrap();
        assert_eq!(mounts.mounts[0].destination.as_c_str(), c"/b");
        assert_eq!(mounts.mounts[1].destination.as_c_str(), c"/x");
        assert_eq!(mounts.warnings.len(), 1);
        assert!(mounts.warnings[0].starts_with("mount destination a/./../b is not absolute."));
    }

    #[test]
    fn a_destination_below_the_rootfs_loses_the_rootfs() {
        for (given, seen) in [
            ("/bundle/r/mnt/x", c"/mnt/x"),
            ("/bundle//r/../r/mnt", c"/mnt"),
            ("/bundle/rest", c"/bundle/rest"),
            ("/bundle/r", c"/bundle/r"),
            ("/mnt/bundle/r/x", c"/mnt/bundle/r/x"),
        ] {
            let mount = one(&format!(r#"{{"destination":"{given}","type":"tmpfs"}}"#));
            assert_eq!(mount.destination.as_c_str(), seen, "{given}");
        }
    }

    #[test]
    fn the_runtime_makes_trees_for_idmaps_and_for_user_namespaces() {
        let plain = r#"{"destination":"/a","source":"/a","options":["bind"]}"#;
        assert_eq!(resolved(plain, 0, false).unwrap().host, []);
        let both = format!(r#"{{"destination":"/p","type":"proc"}},{plain}"#);
        let host = resolved(&both, USER, false).unwrap().host;
        assert_eq!((host.len(), host[0].index, host[0].idmap), (1, 1, false));

        let maps = r#""uidMappings":[{"containerID":0,"hostID":5,"size":1}],"gidMappings":[{"containerID":0,"hostID":6,"size":1}]"#;
        let own = format!(r#"{{"destination":"/a","source":"/a","options":["bind"],{maps}}}"#);
        let host = resolved(&own, 0, false).unwrap().host.remove(0);
        assert_eq!((host.uid_mappings[0].host, host.gid_mappings[0].host), (5, 6));
        assert!(host.idmap && !host.recursive_idmap);
        let recursive = own.replace("\"bind\"", "\"bind\",\"ridmap\"");
        assert!(resolved(&recursive, 0, false).unwrap().host[0].recursive_idmap);
        let of_container = r#"{"destination":"/a","source":"/a","options":["bind","idmap"]}"#;
        let host = resolved(of_container, USER, false).unwrap().host.remove(0);
        assert!(host.idmap && host.uid_mappings.is_empty());

        for (json, new, rootless, words) in [
            (of_container, 0, false, "id-mapped mounts must have both uid and gid mappings specified"),
            (of_container, USER, true, "id-mapped mounts are not supported for rootless containers"),
            (&own.replace("gidMappings", "other"), USER, false, "must have both"),
            (&own.replace("\"bind\"", ""), 0, false, "only supported for bind-mounts"),
            (&own.replace("\"size\":1", "\"size\":0"), 0, false, "invalid mounts[0].uidMappings[0].size"),
        ] {
            let error = resolved(json, new, rootless).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn a_bound_dev_is_not_ours_to_fill() {
        let dev = r#"{"destination":"/dev/","source":"/dev","options":["rbind"]}"#;
        assert!(resolved(dev, 0, false).unwrap().bind_dev());
        for other in [
            r#"{"destination":"/dev","type":"tmpfs"}"#,
            r#"{"destination":"/dev/shm","source":"/x","options":["bind"]}"#,
        ] {
            assert!(!resolved(other, 0, false).unwrap().bind_dev(), "{other}");
        }
    }

    #[test]
    fn wrong_mounts_are_named() {
        for (json, words) in [
            (r#"{"type":"proc"}"#, "invalid mounts[0].destination \"\""),
            (r#"{"destination":"/a"}"#, "invalid mounts[0].type \"\""),
            (r#"{"destination":"/a","type":"bind","source":"/a"}"#, "neither bind nor rbind"),
            (
                r#"{"destination":"/a","source":"/a","options":["bind","mode=5"]}"#,
                "mounts[0].options \"mode=5\": bind mounts cannot",
            ),
            (r#"{"destination":"/a","options":["bind"]}"#, "invalid mounts[0].source \"\""),
            (r#"{"destination":"/a","type":"proc","options":["remount"]}"#, "mounts[0].options \"remount\""),
            (
                r#"{"destination":"/a","type":"proc","options":["tmpcopyup"]}"#,
                "mounts[0].options \"tmpcopyup\"",
            ),
            ("{\"destination\":\"/a\\u0000\",\"type\":\"proc\"}", "mounts[0].destination"),
            ("{\"destination\":\"/a\",\"type\":\"p\\u0000\"}", "mounts[0].type"),
            ("{\"destination\":\"/a\",\"type\":\"p\",\"source\":\"\\u0000\"}", "mounts[0].source"),
        ] {
            let error = resolved(json, 0, false).unwrap_err().to_string();
            assert!(error.contains(words), "{error}\nwanted {words}");
        }
    }
}
