//! Reading a bundle.
//!
//! Owns: the files' way in (limits, syntax) and the putting together of a [`Plan`] from what the
//! other modules make of each section. Must not: change anything on the host.

use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;
use runsig_proto::plan::{Fds, InitPlan, Kind, Rootfs, SwitchRoot};
use runsig_proto::{plan, plan::Namespaces as InitNamespaces};
use runsig_sys::{Errno, mount as m};

use crate::document::{Document, Linux, Root};
use crate::error::{Result, SpecError, one_line};
use crate::hooks::{self, Hooks};
use crate::mounts::{self, Mounts, Surroundings};
use crate::namespaces::{self, Namespaces};
use crate::plan::{HostHooks, IdMapping, Plan};
use crate::process::{self, Around};
use crate::seccomp::{self, SeccompCache};
use crate::text::{cstring, cstrings, join, optional};
use crate::{devices, json, keys, network, options, resources, rootless, scheduler, sysctl, version};

/// The bundle's file.
const CONFIG: &str = "config.json";
/// The longest file accepted, in bytes. Real ones are below 100 KiB.
const LONGEST: u64 = 16 << 20;

/// What a plan depends on besides the bundle.
#[derive(Clone, Copy)]
pub struct LoadOptions<'a> {
    /// The container's name; its session keyring is called after it.
    pub id: &'a str,
    /// The caller is not root: what needs root is refused early.
    pub rootless: bool,
    /// Cgroups, and the rest of what the host's root decides about, may be out of reach.
    pub rootless_cgroups: bool,
    /// We run in a user namespace that is not the host's: device nodes cannot be made.
    pub in_user_namespace: bool,
    /// Our user namespace denies setgroups(2) (`/proc/self/setgroups`).
    pub setgroups_denied: bool,
    /// SELinux is on.
    pub selinux: bool,
    /// Do not use pivot_root.
    pub no_pivot: bool,
    /// Leave the session keyring alone.
    pub no_new_keyring: bool,
    /// Whether a network namespace, by path, is the one we are in. Asked only when a bundle joins
    /// one and sets `net.*` parameters.
    pub host_network: fn(&Path) -> std::io::Result<bool>,
    /// The file to read in place of the bundle's config.json; absolute.
    pub config: Option<&'a Path>,
    /// Where compiled filters are kept.
    pub seccomp_cache: Option<&'a dyn SeccompCache>,
}

impl<'a> LoadOptions<'a> {
    /// What holds for root on a plain host.
    #[must_use]
    pub fn new(id: &'a str) -> Self {
        Self {
            id,
            rootless: false,
            rootless_cgroups: false,
            in_user_namespace: false,
            setgroups_denied: false,
            selinux: false,
            no_pivot: false,
            no_new_keyring: false,
            host_network: same_network,
            config: None,
            seccomp_cache: None,
        }
    }
}

/// Compares with /proc/self/ns/net.
fn same_network(path: &Path) -> std::io::Result<bool> {
    let (ours, theirs) = (std::fs::metadata("/proc/self/ns/net")?, std::fs::metadata(path)?);
    Ok((ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()))
}

/// Loads and checks a bundle, including that its rootfs is there.
///
/// # Errors
/// [`SpecError`], in one line, for whatever is wrong with it.
pub fn load(bundle: &Path, options: &LoadOptions<'_>) -> Result<Plan> {
    // runc makes it its working directory, hence the words.
    let bundle = bundle.canonicalize().map_err(|error| not_entered(bundle, Errno::from_io(&error)))?;
    let given = options.config.map_or_else(|| bundle.join(CONFIG), Path::to_owned);
    let bytes = read(&given).map_err(|error| match error {
        SpecError::Read { errno: Errno::ENOENT, .. } => not_found(options.config),
        SpecError::Read { errno: Errno::ENOTDIR, .. } if options.config.is_none() => {
            not_entered(&bundle, Errno::ENOTDIR)
        }
        error => error,
    })?;
    let plan = from_json(&bytes, &bundle, options)?;
    check_rootfs(&plan.rootfs)?;
    Ok(plan)
}

fn not_found(config: Option<&Path>) -> SpecError {
    SpecError::NotFound { file: config.map_or_else(|| CONFIG.to_owned(), |path| path.display().to_string()) }
}

fn not_entered(bundle: &Path, errno: Errno) -> SpecError {
    SpecError::Read { operation: "chdir", path: bundle.to_owned(), errno }
}

/// Reads a file, up to [`LONGEST`].
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let failed = |operation| {
        move |error: std::io::Error| SpecError::Read {
            operation,
            path: path.to_owned(),
            errno: Errno::from_io(&error),
        }
    };
    let file = File::open(path).map_err(failed("open"))?;
    let length = file.metadata().map_err(failed("stat"))?.len();
    let mut bytes = Vec::with_capacity(usize::try_from(length.min(LONGEST)).unwrap_or(0) + 1);
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(failed("read"))?;
    if bytes.len() as u64 > LONGEST {
        return Err(SpecError::TooLarge { path: path.to_owned(), limit: LONGEST });
    }
    Ok(bytes)
}

/// Refuses a rootfs that is not there, or that a symbolic link leads to: what is checked now and
/// what is mounted later have to be the same directory.
fn check_rootfs(rootfs: &Path) -> Result<()> {
    let real = rootfs
        .canonicalize()
        .map_err(|error| SpecError::Rootfs { path: rootfs.to_owned(), errno: Errno::from_io(&error) })?;
    if real != rootfs {
        return Err(SpecError::rule(format!(
            "invalid rootfs: not an absolute path, or a symlink ({} is {})",
            rootfs.display(),
            real.display()
        )));
    }
    Ok(())
}

/// The plan of a config.json's text. `bundle` is absolute and clean; nothing is read but `bytes`
/// and what `options` ask for.
///
/// # Errors
/// [`SpecError`], in one line, for whatever is wrong with it.
pub fn from_json(bytes: &[u8], bundle: &Path, options: &LoadOptions<'_>) -> Result<Plan> {
    let room = json::Room::new();
    let document: Option<Document<'_>> = json::parse(bytes, &room, CONFIG)?;
    let mut document = document.ok_or_else(|| SpecError::rule("config cannot be null"))?;
    if let Some(resources) = document.linux.as_mut().and_then(|linux| linux.resources.as_mut()) {
        resources::forget_pids_without_limit(resources, || {
            keys::read(bytes).ok().and_then(|mut whole| Some(whole.pointer_mut("/linux/resources")?.take()))
        });
    }
    let bundle = bundle
        .to_str()
        .filter(|path| path.starts_with('/'))
        .ok_or_else(|| SpecError::value("bundle", bundle.display(), "is not an absolute path in UTF-8"))?;
    build(document, bundle, options)
}

/// The plan of a specification made in memory.
///
/// # Errors
/// As [`from_json`].
pub fn from_spec(spec: &Spec, bundle: &Path, options: &LoadOptions<'_>) -> Result<Plan> {
    let bytes = serde_json::to_vec(spec).map_err(|error| json::refused(CONFIG, &[], &error))?;
    from_json(&bytes, bundle, options)
}

fn build(mut document: Document<'_>, bundle: &str, options: &LoadOptions<'_>) -> Result<Plan> {
    let mut warnings = Vec::new();
    version::check(document.oci_version.take(), &mut warnings)?;
    let mut linux = document.linux.take().unwrap_or_default();
    let root = document.root.take().ok_or_else(|| SpecError::rule("root must be specified"))?;
    let rootfs = rootfs_path(&root, bundle)?;
    let namespaces = namespaces::resolve(linux.namespaces.take().unwrap_or_default())?;
    let (uid_mappings, gid_mappings) = maps(&linux, &namespaces, &mut warnings)?;
    rootless::check_namespaces(options.rootless, &namespaces)?;

    let around = Around {
        rootless: options.rootless,
        setgroups_denied: options.setgroups_denied,
        selinux: options.selinux,
        maps: (&uid_mappings, &gid_mappings),
    };
    let given =
        document.process.take().ok_or_else(|| SpecError::rule("process property must not be empty"))?;
    let mut process = process::resolve(given, around, &mut warnings)?;
    of_container(&mut process.process, &linux, &mut warnings)?;
    let filter =
        linux.seccomp.map(|text| seccomp::resolve(text, options.seccomp_cache)).transpose()?.flatten();
    let (filter, seccomp_listener) = filter.map(|filter| (filter.seccomp, filter.listener)).unzip();
    process.process.seccomp = filter;

    let surroundings =
        Surroundings { bundle, rootfs: &rootfs, namespaces: &namespaces, rootless: options.rootless };
    let mut mounts = mounts::resolve(document.mounts.take().unwrap_or_default(), &surroundings)?;
    warnings.append(&mut mounts.warnings);
    if options.rootless {
        rootless::check_mounts(&mounts.mounts, &uid_mappings, &gid_mappings)?;
    }
    let host_mounts = std::mem::take(&mut mounts.host);
    let cgroup_owner = cgroup_owner(&mounts, &namespaces, process.process.uid, &uid_mappings);
    let Hooks { host, create_container, start_container } =
        hooks::resolve(document.hooks.take().unwrap_or_default())?;
    let annotations = document.annotations.take().unwrap_or_default();
    if annotations.contains_key("") {
        return Err(SpecError::value("annotations", "", "a key must not be empty"));
    }
    let cgroups_path = resources::cgroups_path(linux.cgroups_path.take())?;
    let resources = linux.resources.take();
    resources.as_ref().map(resources::check).transpose()?;
    let intel_rdt = linux.intel_rdt.take();
    intel_rdt.as_ref().map(resources::check_intel_rdt).transpose()?;
    let net_devices = network::devices(
        linux.net_devices.take(),
        &namespaces,
        options.rootless || options.rootless_cgroups,
    )?;

    // Last, as in runc: whatever else is wrong is said first.
    rootless::check_groups(options.rootless, &process.process.groups)?;

    let bundle_devices = linux.devices.iter().flatten().filter_map(|device| device.path.clone()).collect();

    let init = InitPlan {
        kind: Kind::Create,
        fds: Fds { exec_fifo: -1, console: -1, preserve: 0 },
        namespaces: init_namespaces(&namespaces, &mut linux)?,
        loopback: namespaces.new & namespaces::NETWORK != 0,
        hostname: uts_name(document.hostname.take(), "hostname", &namespaces)?,
        domainname: uts_name(document.domainname.take(), "domainname", &namespaces)?,
        sysctl: parameters(&mut linux, &namespaces, options)?,
        // The state that createContainer hooks read comes with the runtime's answer.
        runtime_hooks: asks_for_runtime(&host) || !create_container.is_empty(),
        create_container,
        start_container,
        keyring: keyring(options)?,
        rootfs: Some(rootfs_plan(
            &rootfs,
            &root,
            linux,
            mounts,
            &namespaces,
            (&uid_mappings, &gid_mappings),
            options,
        )?),
        process: process.process,
        // The runtime decides about it: host-wide settings count too.
        resident: None,
    };
    Ok(Plan {
        init,
        bundle: PathBuf::from(bundle),
        rootfs: PathBuf::from(rootfs),
        new_namespaces: namespaces.new,
        joined_namespaces: namespaces.joined,
        uid_mappings,
        gid_mappings,
        cgroups_path,
        cgroup_owner,
        resources,
        bundle_devices,
        rlimits: process.rlimits.unwrap_or_default(),
        oom_score_adj: process.oom_score_adj,
        initial_affinity: process.initial_affinity,
        final_affinity: process.final_affinity,
        host_mounts,
        hooks: host,
        annotations,
        seccomp_listener: seccomp_listener.flatten(),
        intel_rdt,
        net_devices,
        warnings: warnings.into_iter().map(one_line).collect(),
    })
}

/// Who may make cgroups below the container's, as in runc.
fn cgroup_owner(mounts: &Mounts, namespaces: &Namespaces, uid: u32, maps: &[IdMapping]) -> Option<u32> {
    let delegated = namespaces.new & namespaces::CGROUP != 0 && mounts.writable_cgroup();
    match namespaces.has(namespaces::USER) {
        _ if !delegated => None,
        true => namespaces::to_host(maps, uid),
        false => Some(uid),
    }
}

fn asks_for_runtime(hooks: &HostHooks) -> bool {
    !hooks.prestart.is_empty() || !hooks.create_runtime.is_empty()
}

fn rootfs_path(root: &Root, bundle: &str) -> Result<String> {
    let path = root.path.as_deref().unwrap_or_default();
    if path.is_empty() {
        return Err(SpecError::value("root.path", path, "must not be empty"));
    }
    if path.contains('\0') {
        return Err(SpecError::value("root.path", path, "contains a NUL byte"));
    }
    Ok(join(bundle, path))
}

/// The maps of a new user namespace. A joined one has its own; containerd and CRI-O repeat them in
/// the bundle, which runc accepts too.
fn maps(
    linux: &Linux<'_>,
    namespaces: &Namespaces,
    warnings: &mut Vec<String>,
) -> Result<(Vec<IdMapping>, Vec<IdMapping>)> {
    let uid = linux.uid_mappings.as_deref().unwrap_or_default();
    let gid = linux.gid_mappings.as_deref().unwrap_or_default();
    namespaces::check_maps(namespaces, !uid.is_empty(), !gid.is_empty())?;
    let maps = (
        namespaces::id_mappings(uid, "linux.uidMappings")?,
        namespaces::id_mappings(gid, "linux.gidMappings")?,
    );
    if namespaces.new & namespaces::USER != 0 {
        namespaces::check_root(&maps.0, "uid")?;
        namespaces::check_root(&maps.1, "gid")?;
    }
    if namespaces.path(namespaces::USER).is_some() && !maps.0.is_empty() {
        warnings.push(
            "config.json has both a userns path to join and a userns mapping; the mapping is not used"
                .to_owned(),
        );
        return Ok((Vec::new(), Vec::new()));
    }
    Ok(maps)
}

/// What `linux` says about the program.
fn of_container(process: &mut plan::Process, linux: &Linux<'_>, warnings: &mut Vec<String>) -> Result<()> {
    process.memory_policy = linux.memory_policy.as_ref().map(scheduler::memory_policy).transpose()?;
    process.personality =
        linux.personality.as_ref().map(|given| scheduler::personality(given, warnings)).transpose()?;
    Ok(())
}

fn init_namespaces(namespaces: &Namespaces, linux: &mut Linux<'_>) -> Result<InitNamespaces> {
    let early = namespaces::USER | namespaces::PID;
    let join = namespaces
        .joined
        .iter()
        .filter(|(kind, _)| kind & early == 0)
        .map(|(kind, path)| Ok((*kind, -1, path_cstring(path)?)))
        .collect::<Result<Vec<_>>>()?;
    Ok(InitNamespaces {
        join,
        unshare: namespaces.new & namespaces::LATE,
        time_offsets: namespaces::time_offsets(namespaces, linux.time_offsets.take())?,
        user: namespaces.has(namespaces::USER),
        mount: namespaces.has(namespaces::MOUNT),
        network_follows: false,
    })
}

fn path_cstring(path: &Path) -> Result<CString> {
    cstring(String::from_utf8_lossy(path.as_os_str().as_bytes()).into_owned(), || "linux.namespaces.path")
}

fn uts_name(given: Option<String>, what: &str, namespaces: &Namespaces) -> Result<Option<CString>> {
    /// `__NEW_UTS_LEN`.
    const LONGEST_NAME: usize = 64;
    let Some(name) = optional(given, what)? else { return Ok(None) };
    if !namespaces.has(namespaces::UTS) {
        return Err(SpecError::rule(format!("unable to set {what} without a private UTS namespace")));
    }
    if name.as_bytes().len() > LONGEST_NAME {
        return Err(SpecError::value(what, name.to_string_lossy(), "is longer than 64 bytes"));
    }
    Ok(Some(name))
}

fn parameters(
    linux: &mut Linux<'_>,
    namespaces: &Namespaces,
    options: &LoadOptions<'_>,
) -> Result<Vec<(CString, CString)>> {
    let host_network = || {
        let Some(path) = namespaces.path(namespaces::NETWORK) else { return Ok(false) };
        (options.host_network)(path).map_err(|error| {
            let words = format!("invalid netns path: stat {}: {}", path.display(), Errno::from_io(&error));
            SpecError::rule(words)
        })
    };
    sysctl::resolve(linux.sysctl.take().unwrap_or_default(), namespaces, host_network)
}

fn keyring(options: &LoadOptions<'_>) -> Result<Option<CString>> {
    if options.no_new_keyring {
        return Ok(None);
    }
    cstring(format!("_ses.{}", options.id), || "container id").map(Some)
}

fn rootfs_plan(
    path: &str,
    root: &Root,
    linux: Linux<'_>,
    mounts: Mounts,
    namespaces: &Namespaces,
    maps: (&[IdMapping], &[IdMapping]),
    options: &LoadOptions<'_>,
) -> Result<Rootfs> {
    let own_mounts = namespaces.has(namespaces::MOUNT);
    let masked = linux.masked_paths.unwrap_or_default();
    let readonly_paths = linux.readonly_paths.unwrap_or_default();
    let hides = !masked.is_empty() || !readonly_paths.is_empty();
    if hides && !own_mounts {
        return Err(SpecError::rule("unable to restrict sys entries without a private MNT namespace"));
    }
    let given = options::root_propagation(linux.rootfs_propagation.as_deref(), options.no_pivot)?;
    let slave_or_private = given & (m::MS_PRIVATE | m::MS_SLAVE) != 0;
    let user = namespaces.has(namespaces::USER);
    let owner = namespaces::to_host(maps.0, 0).zip(namespaces::to_host(maps.1, 0));
    process::check_label(linux.mount_label.as_deref(), options.selinux)?;
    Ok(Rootfs {
        path: cstring(path.to_owned(), || "root.path")?,
        propagation: if given == 0 { m::MS_SLAVE | m::MS_REC } else { given },
        final_propagation: if slave_or_private { 0 } else { given },
        switch: match (options.no_pivot, own_mounts) {
            (true, _) => SwitchRoot::Move,
            (false, true) => SwitchRoot::Pivot,
            (false, false) => SwitchRoot::Chroot,
        },
        setup_dev: !mounts.bind_dev(),
        devices: devices::resolve(linux.devices.unwrap_or_default(), owner)?,
        bind_devices: user || options.in_user_namespace,
        mounts: mounts.mounts,
        masked: paths(masked, "linux.maskedPaths")?,
        readonly_paths: paths(readonly_paths, "linux.readonlyPaths")?,
        readonly: root.readonly.unwrap_or(false),
        mount_label: optional(linux.mount_label, "linux.mountLabel")?,
    })
}

fn paths(given: Vec<String>, field: &str) -> Result<Vec<CString>> {
    if let Some((i, path)) = given.iter().enumerate().find(|(_, path)| !path.starts_with('/')) {
        return Err(SpecError::value(format!("{field}[{i}]"), path, "is not an absolute path"));
    }
    cstrings(Some(given.iter().map(|path| crate::text::clean(path)).collect()), field)
}
