//! Mounts.
//!
//! Owns: `mounts`. Must not: touch the file system.

use std::ffi::{CStr, CString};

use runsig_proto::plan::{Mount, MountWhat};

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
    /// Whether something of the host is bound over /dev, so that the container's devices are not ours.
    pub(crate) fn bind_dev(&self) -> bool {
        self.mounts.iter().any(|mount| {
            matches!(mount.what, MountWhat::Bind { .. }) && mount.destination.as_bytes() == b"/dev"
        })
    }
}

/// Resolves all mounts.
pub(crate) fn resolve(given: Vec<document::Mount>, around: &Surroundings<'_>) -> Result<Mounts> {
    let mut all = Mounts::default();
    for (index, mut mount) in given.into_iter().enumerate() {
        let options =
            options::parse(mount.options.take().unwrap_or_default(), &format!("mounts[{index}].options"))?;
        let destination = destination(mount.destination.take(), index, &mut all.warnings)?;
        if let Some(host) = host_mount(&mount, &options, index, around)? {
            all.host.push(host);
        }
        all.mounts.push(one(mount, options, destination, index, around)?);
    }
    Ok(all)
}

/// The destination, absolute and clean.
fn destination(given: Option<String>, index: usize, warnings: &mut Vec<String>) -> Result<CString> {
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
    cstring(clean(&format!("/{given}")), field)
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
    } else if matches!(fstype.as_str(), "cgroup" | "cgroup2") {
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
