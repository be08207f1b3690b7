//! `linux.intelRdt`: the container's class of service in the kernel's resctrl file system.
//!
//! Owns: the class's directory, its schemata, its tasks, and a monitoring group.
//! Must not: mount resctrl, or remove a class that it has not made: others may share it.
//! <https://docs.kernel.org/filesystems/resctrl.html>

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use oci_spec::runtime::LinuxIntelRdt;
use runsig_sys::{Errno, fd, fs as sys};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::store::c_path;

/// Where it is mounted; the kernel makes this directory when the processor has the feature.
const USUAL: &str = "/sys/fs/resctrl";
/// `RDTGROUP_SUPER_MAGIC`.
const MAGIC: i64 = 0x0765_5821;

/// The mounted file system.
#[derive(Debug)]
pub(crate) struct Resctrl {
    root: PathBuf,
}

/// What a container has there: in state.json before any of it is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Groups {
    /// Where the file system is.
    root: PathBuf,
    /// The directory of the class of service.
    class: PathBuf,
    /// It is ours to remove: it goes by the container's ID and was not there before.
    ours: bool,
    /// The directory of the monitoring group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    monitoring: Option<PathBuf>,
}

/// Lines of schemata that `update` changes.
#[derive(Debug, Clone, Default)]
pub struct Schemata {
    /// `L3:...`
    pub l3_cache: Option<String>,
    /// `MB:...`
    pub memory_bandwidth: Option<String>,
}

impl Schemata {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines().next().is_none()
    }

    fn lines(&self) -> impl Iterator<Item = &str> {
        [&self.l3_cache, &self.memory_bandwidth].into_iter().flatten().map(String::as_str)
    }

    /// Looks whether this machine and this container have what is to change.
    ///
    /// # Errors
    /// In runc's words.
    pub(crate) fn check(&self, resctrl: Option<&Resctrl>, groups: Option<&Groups>) -> Result<()> {
        let has = |feature| resctrl.is_some_and(|resctrl| resctrl.root.join("info").join(feature).exists());
        let words = if self.l3_cache.is_some() && !has("L3") {
            "Intel RDT/CAT: l3 cache schema is not enabled"
        } else if self.memory_bandwidth.is_some() && !has("MB") {
            "Intel RDT/MBA: memory bandwidth schema is not enabled"
        } else if groups.is_none() {
            "updating a non-existent Intel RDT configuration is not supported"
        } else {
            return Ok(());
        };
        Err(Error::Invalid(words.to_owned()))
    }
}

impl Resctrl {
    /// Finds it, at the usual place or where it is mounted else.
    ///
    /// # Errors
    /// runc's words when there is none.
    pub(crate) fn find() -> Result<Self> {
        let missing =
            || Error::Invalid("intelRdt is specified in config, but Intel RDT is not enabled".to_owned());
        let kind = sys::openat(fd::CWD, &c_path(Path::new(USUAL))?, sys::O_PATH | sys::O_DIRECTORY, 0)
            .and_then(|dir| sys::fstatfs(dir.as_fd()));
        let root = match kind {
            Ok((MAGIC, _)) => PathBuf::from(USUAL),
            // Supported, but mounted elsewhere or not at all.
            Ok(_) => mounted_elsewhere().ok_or_else(missing)?,
            Err(_) => return Err(missing()),
        };
        Ok(Self { root })
    }

    /// Decides which groups a container gets. Makes nothing.
    ///
    /// # Errors
    /// When the processor lacks what is asked for, or a class that has to be there is not.
    pub(crate) fn plan(&self, given: &LinuxIntelRdt, id: &str) -> Result<Groups> {
        for (what, line, feature, name) in [
            ("l3CacheSchema", given.l3_cache_schema(), "L3", "CAT"),
            ("memBwSchema", given.mem_bw_schema(), "MB", "MBA"),
        ] {
            let asked = line.as_ref().is_some_and(|line| !line.is_empty());
            if asked && !self.root.join("info").join(feature).exists() {
                let words =
                    format!("intelRdt.{what} is specified in config, but Intel RDT/{name} is not enabled");
                return Err(Error::Invalid(words));
            }
        }
        let named = given.clos_id().as_deref().filter(|name| !name.is_empty());
        let class = match named {
            Some("/") => self.root.clone(),
            Some(name) => self.root.join(name),
            None => self.root.join(id),
        };
        let found = fs::metadata(&class);
        if let (Some(_), Err(error), true) = (named, &found, schemata(given).is_empty()) {
            return Err(Error::Invalid(format!(
                "clos dir not accessible (must be pre-created when schemata, l3CacheSchema and \
                 memBwSchema are empty): stat {}: {}",
                class.display(),
                Errno::from_io(error)
            )));
        }
        let monitored = given.enable_monitoring().unwrap_or(false);
        Ok(Groups {
            root: self.root.clone(),
            monitoring: monitored.then(|| class.join("mon_groups").join(id)),
            ours: named.is_none() && found.is_err(),
            class,
        })
    }
}

/// The first resctrl in our mount table.
fn mounted_elsewhere() -> Option<PathBuf> {
    let table = fs::read("/proc/self/mountinfo").ok()?;
    let mut lines = table.split(|byte| *byte == b'\n').map(fields);
    lines.find_map(|fields| {
        let after = fields.iter().position(|field| *field == b"-")?;
        let resctrl = fields.get(after + 1).is_some_and(|kind| *kind == b"resctrl");
        // A mount point with a blank is written with an escape; nobody mounts resctrl on one.
        resctrl.then(|| fields.get(4).map(|point| PathBuf::from(OsStr::from_bytes(point))))?
    })
}

fn fields(line: &[u8]) -> Vec<&[u8]> {
    line.split(|byte| *byte == b' ').collect()
}

/// The lines to write, in runtime-spec's order.
fn schemata(given: &LinuxIntelRdt) -> String {
    let first = [given.l3_cache_schema(), given.mem_bw_schema()].into_iter().flatten();
    let lines = first.chain(given.schemata().iter().flatten()).filter(|line| !line.is_empty());
    lines.fold(String::new(), |text, line| text + line + "\n")
}

impl Groups {
    /// Makes the groups, puts a process into them and writes the schemata.
    ///
    /// # Errors
    /// In runc's words, with what the kernel says about its refusal.
    pub(crate) fn apply(&mut self, given: &LinuxIntelRdt, pid: i32) -> Result<()> {
        let failed = |why: String| {
            Error::Invalid(format!("unable to apply Intel RDT configuration: {why}{}", self.last_status()))
        };
        let made = make(&self.class).map_err(failed)?;
        if let Some(group) = &self.monitoring {
            make(group).map_err(failed)?;
        }
        self.enter(pid).map_err(failed)?;
        let lines = schemata(given);
        if !lines.is_empty() {
            write(&self.class.join("schemata"), &lines)
                .map_err(|errno| failed(format!("intelrdt: unable to write {lines:?}: {errno}")))?;
        }
        // Somebody else was quicker, and it is theirs.
        self.ours &= made;
        Ok(())
    }

    /// Puts one more process of the container into its groups.
    ///
    /// # Errors
    /// As [`Groups::apply`].
    pub(crate) fn add(&self, pid: i32) -> Result<()> {
        if !self.class.exists() {
            return Ok(());
        }
        self.enter(pid).map_err(|why| {
            Error::Invalid(format!("error adding pid {pid} to Intel RDT: {why}{}", self.last_status()))
        })
    }

    fn enter(&self, pid: i32) -> std::result::Result<(), String> {
        // The class first: entering it leaves any monitoring group.
        [Some(&self.class), self.monitoring.as_ref()].into_iter().flatten().try_for_each(|group| {
            write(&group.join("tasks"), &pid.to_string())
                .map_err(|errno| format!("intelrdt: unable to add pid {pid}: {errno}"))
        })
    }

    /// Writes other lines of the class's schemata; what they do not mention stays.
    ///
    /// # Errors
    /// What the kernel says about its refusal.
    pub(crate) fn update(&self, schemata: &Schemata) -> Result<()> {
        let lines: String = schemata.lines().flat_map(|line| [line, "\n"]).collect();
        write(&self.class.join("schemata"), &lines).map_err(|errno| {
            let status = self.last_status();
            Error::Invalid(format!("intelrdt: unable to write {lines:?}: {errno}{status}"))
        })
    }

    /// Removes what is the container's alone.
    ///
    /// # Errors
    /// When the kernel refuses; groups that are gone are none.
    pub(crate) fn remove(&self) -> Result<()> {
        // A class takes its monitoring groups along.
        let Some(group) = (if self.ours { Some(&self.class) } else { self.monitoring.as_ref() }) else {
            return Ok(());
        };
        match fs::remove_dir(group) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::std_io("unable to remove Intel RDT group", group)(error))
            }
            _ => Ok(()),
        }
    }

    /// The kernel's words about the last request, to append to an error.
    fn last_status(&self) -> String {
        match fs::read_to_string(self.root.join("info/last_cmd_status")) {
            Ok(status) => format!(", last_cmd_status: {}", status.trim().replace('\n', "; ")),
            Err(_) => String::new(),
        }
    }
}

/// Makes a group's directory; whether it was not there.
fn make(group: &Path) -> std::result::Result<bool, String> {
    match fs::create_dir(group) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(format!("mkdir {}: {}", group.display(), Errno::from_io(&error))),
    }
}

fn write(file: &Path, text: &str) -> std::result::Result<(), Errno> {
    fs::OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(file)
        .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
        .map_err(|error| Errno::from_io(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory tree with resctrl's files; unlike resctrl it makes none in new groups.
    struct Fake(PathBuf);

    impl Fake {
        fn new(name: &str) -> Self {
            let root = std::env::temp_dir().join(format!("runsig-resctrl-{}-{name}", std::process::id()));
            fs::create_dir_all(root.join("info/L3")).unwrap();
            let fake = Self(root);
            fake.group("");
            fake
        }

        fn group(&self, name: &str) -> PathBuf {
            let group = self.0.join(name);
            fs::create_dir_all(group.join("mon_groups")).unwrap();
            fs::write(group.join("tasks"), "").unwrap();
            fs::write(group.join("schemata"), "").unwrap();
            group
        }

        fn plan(&self, rdt: &LinuxIntelRdt) -> Result<Groups> {
            Resctrl { root: self.0.clone() }.plan(rdt, "box")
        }
    }

    impl Drop for Fake {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn rdt(json: serde_json::Value) -> LinuxIntelRdt {
        serde_json::from_value(json).unwrap()
    }

    fn read(group: &Path, file: &str) -> String {
        fs::read_to_string(group.join(file)).unwrap()
    }

    #[test]
    fn a_class_of_ones_own_is_removed() {
        let fake = Fake::new("own");
        let groups = fake.plan(&rdt(serde_json::json!({}))).unwrap();
        let class = fake.0.join("box");
        assert!(groups.ours && groups.class == class && !class.exists());
        // resctrl removes its directories with the files in them; here there are none.
        fs::create_dir(&class).unwrap();
        groups.remove().unwrap();
        assert!(!class.exists());
        groups.remove().unwrap();
    }

    #[test]
    fn schemata_are_written_in_order_and_a_shared_class_stays() {
        let fake = Fake::new("shared");
        let class = fake.group("gold");
        let given =
            rdt(serde_json::json!({"closID": "gold", "schemata": ["L2:0=f"], "l3CacheSchema": "L3:0=ff"}));
        let mut groups = fake.plan(&given).unwrap();
        groups.apply(&given, 42).unwrap();
        assert_eq!(read(&class, "schemata"), "L3:0=ff\nL2:0=f\n");
        assert_eq!(read(&class, "tasks"), "42");
        groups.add(43).unwrap();
        assert_eq!(read(&class, "tasks"), "43");
        groups.remove().unwrap();
        assert!(class.exists());
    }

    #[test]
    fn a_class_that_was_there_already_is_not_ours() {
        let fake = Fake::new("taken");
        let class = fake.group("box");
        let given = rdt(serde_json::json!({}));
        let mut groups = fake.plan(&given).unwrap();
        assert!(!groups.ours);
        // The same when it came up in between.
        groups.ours = true;
        groups.apply(&given, 42).unwrap();
        assert!(!groups.ours);
        groups.remove().unwrap();
        assert!(class.exists());
        assert_eq!(read(&class, "schemata"), "", "nothing is written when nothing is asked for");
    }

    #[test]
    fn a_monitoring_group_is_made_in_the_class_and_removed_alone() {
        let fake = Fake::new("monitor");
        let class = fake.group("gold");
        let monitoring = class.join("mon_groups/box");
        fs::create_dir(&monitoring).unwrap();
        fs::write(monitoring.join("tasks"), "").unwrap();
        let given = rdt(serde_json::json!({"closID": "gold", "enableMonitoring": true}));
        let mut groups = fake.plan(&given).unwrap();
        groups.apply(&given, 42).unwrap();
        assert_eq!(read(&monitoring, "tasks"), "42");
        fs::remove_file(monitoring.join("tasks")).unwrap();
        groups.remove().unwrap();
        assert!(!monitoring.exists() && class.exists());
    }

    #[test]
    fn other_lines_are_written_where_there_are_groups() {
        let fake = Fake::new("update");
        let class = fake.group("gold");
        let groups = fake.plan(&rdt(serde_json::json!({"closID": "gold", "schemata": ["L3:0=f"]}))).unwrap();
        let resctrl = Resctrl { root: fake.0.clone() };
        let cache = Schemata { l3_cache: Some("L3:0=3".to_owned()), ..Schemata::default() };
        cache.check(Some(&resctrl), Some(&groups)).unwrap();
        groups.update(&cache).unwrap();
        assert_eq!(read(&class, "schemata"), "L3:0=3\n");
        let both = Schemata { memory_bandwidth: Some("MB:0=20".to_owned()), ..cache.clone() };
        for (schemata, resctrl, groups, words) in [
            (&cache, None, Some(&groups), "CAT: l3 cache schema is not enabled"),
            (&both, Some(&resctrl), Some(&groups), "MBA: memory bandwidth schema is not enabled"),
            (
                &cache,
                Some(&resctrl),
                None,
                "updating a non-existent Intel RDT configuration is not supported",
            ),
        ] {
            let error = schemata.check(resctrl, groups).unwrap_err().to_string();
            assert!(error.ends_with(words), "{error}");
        }
        fs::create_dir(fake.0.join("info/MB")).unwrap();
        groups.update(&both).unwrap();
        assert_eq!(read(&class, "schemata"), "L3:0=3\nMB:0=20\n");
        assert!(Schemata::default().is_empty() && !both.is_empty());
    }

    #[test]
    fn the_root_class_is_used_as_it_is() {
        let fake = Fake::new("root");
        let given = rdt(serde_json::json!({"closID": "/"}));
        let mut groups = fake.plan(&given).unwrap();
        groups.apply(&given, 42).unwrap();
        assert_eq!(read(&fake.0, "tasks"), "42");
        groups.remove().unwrap();
        assert!(fake.0.exists());
    }

    #[test]
    fn refusals_say_why() {
        let fake = Fake::new("refused");
        for (json, words) in [
            (serde_json::json!({"closID": "gone"}), "clos dir not accessible (must be pre-created"),
            (serde_json::json!({"memBwSchema": "MB:0=20"}), "Intel RDT/MBA is not enabled"),
        ] {
            let error = fake.plan(&rdt(json)).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        fs::write(fake.0.join("info/last_cmd_status"), "no room\n").unwrap();
        let given = rdt(serde_json::json!({"closID": "new", "schemata": ["L3:0=1"]}));
        // The fake has no `tasks` in a new group.
        let error = fake.plan(&given).unwrap().apply(&given, 42).unwrap_err().to_string();
        assert!(error.ends_with("unable to add pid 42: no such file or directory, last_cmd_status: no room"));
    }
}
