//! CRIU's messages, as far as we send and read them.
//!
//! The numbers are those of images/rpc.proto in CRIU's sources (proto2); fields that nobody here
//! sets or reads are left out, which protobuf allows in both directions.
//!
//! Owns: the types. Must not: know what they are for.

/// What is asked of CRIU, and what an answer is to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum Kind {
    /// Nothing.
    Empty = 0,
    /// Save a tree of processes.
    Dump = 1,
    /// Bring one back.
    Restore = 2,
    /// Save memory only, and leave the processes running.
    PreDump = 4,
    /// CRIU tells how far it is, and waits for our answer.
    Notify = 6,
    /// What CRIU and the kernel can do.
    FeatureCheck = 9,
    /// Which CRIU it is.
    Version = 10,
}

impl Kind {
    /// CRIU's own name for it, as runc prints it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Empty => "EMPTY",
            Self::Dump => "DUMP",
            Self::Restore => "RESTORE",
            Self::PreDump => "PRE_DUMP",
            Self::Notify => "NOTIFY",
            Self::FeatureCheck => "FEATURE_CHECK",
            Self::Version => "VERSION",
        }
    }
}

/// What to do about cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum CgroupMode {
    /// Neither save nor restore any.
    Ignore = 0,
    /// Restore the properties of those that CRIU makes.
    Soft = 3,
    /// Restore the properties of all.
    Full = 4,
    /// Restore all, and fail when one exists.
    Strict = 5,
    /// CRIU's choice.
    Default = 6,
}

/// One request; also the answer to a notification.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Request {
    #[prost(enumeration = "Kind", required, tag = "1")]
    pub(super) kind: i32,
    #[prost(message, optional, tag = "2")]
    pub(super) options: Option<Options>,
    #[prost(bool, optional, tag = "3")]
    pub(super) notify_success: Option<bool>,
    #[prost(message, optional, tag = "5")]
    pub(super) features: Option<Features>,
}

/// The options of a dump or a restore. Descriptors among them are ours: CRIU finds them through
/// /proc of whoever made the socket.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Options {
    #[prost(int32, required, tag = "1")]
    pub(super) images_dir_fd: i32,
    #[prost(int32, optional, tag = "2")]
    pub(super) pid: Option<i32>,
    #[prost(bool, optional, tag = "3")]
    pub(super) leave_running: Option<bool>,
    #[prost(bool, optional, tag = "4")]
    pub(super) ext_unix_sk: Option<bool>,
    #[prost(bool, optional, tag = "5")]
    pub(super) tcp_established: Option<bool>,
    #[prost(bool, optional, tag = "6")]
    pub(super) evasive_devices: Option<bool>,
    #[prost(bool, optional, tag = "7")]
    pub(super) shell_job: Option<bool>,
    #[prost(bool, optional, tag = "8")]
    pub(super) file_locks: Option<bool>,
    #[prost(int32, optional, tag = "9")]
    pub(super) log_level: Option<i32>,
    #[prost(string, optional, tag = "10")]
    pub(super) log_file: Option<String>,
    #[prost(message, optional, tag = "11")]
    pub(super) page_server: Option<PageServer>,
    #[prost(bool, optional, tag = "12")]
    pub(super) notify_scripts: Option<bool>,
    #[prost(string, optional, tag = "13")]
    pub(super) root: Option<String>,
    #[prost(string, optional, tag = "14")]
    pub(super) parent_img: Option<String>,
    #[prost(bool, optional, tag = "15")]
    pub(super) track_mem: Option<bool>,
    #[prost(bool, optional, tag = "16")]
    pub(super) auto_dedup: Option<bool>,
    #[prost(int32, optional, tag = "17")]
    pub(super) work_dir_fd: Option<i32>,
    #[prost(bool, optional, tag = "18")]
    pub(super) link_remap: Option<bool>,
    #[prost(message, repeated, tag = "23")]
    pub(super) external_mounts: Vec<ExternalMount>,
    #[prost(bool, optional, tag = "24")]
    pub(super) manage_cgroups: Option<bool>,
    #[prost(message, repeated, tag = "25")]
    pub(super) cgroup_roots: Vec<CgroupRoot>,
    #[prost(bool, optional, tag = "26")]
    pub(super) rst_sibling: Option<bool>,
    #[prost(message, repeated, tag = "27")]
    pub(super) inherit_fds: Vec<InheritFd>,
    #[prost(enumeration = "CgroupMode", optional, tag = "34")]
    pub(super) manage_cgroups_mode: Option<i32>,
    #[prost(string, repeated, tag = "37")]
    pub(super) external: Vec<String>,
    #[prost(uint32, optional, tag = "38")]
    pub(super) empty_ns: Option<u32>,
    #[prost(message, repeated, tag = "39")]
    pub(super) join_ns: Vec<JoinNamespace>,
    #[prost(string, optional, tag = "44")]
    pub(super) freeze_cgroup: Option<String>,
    #[prost(bool, optional, tag = "46")]
    pub(super) tcp_skip_in_flight: Option<bool>,
    #[prost(bool, optional, tag = "48")]
    pub(super) lazy_pages: Option<bool>,
    #[prost(int32, optional, tag = "49")]
    pub(super) status_fd: Option<i32>,
    #[prost(bool, optional, tag = "50")]
    pub(super) orphan_pts_master: Option<bool>,
    #[prost(string, optional, tag = "51")]
    pub(super) config_file: Option<String>,
    #[prost(string, optional, tag = "53")]
    pub(super) lsm_profile: Option<String>,
    #[prost(string, optional, tag = "63")]
    pub(super) lsm_mount_context: Option<String>,
}

/// A mount whose content is not part of the images.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ExternalMount {
    /// Dump: where it is in the container. Restore: the value it was dumped with.
    #[prost(string, required, tag = "1")]
    pub(super) key: String,
    /// Dump: a name for it. Restore: what to mount.
    #[prost(string, required, tag = "2")]
    pub(super) value: String,
}

/// Where a controller's restored cgroups begin.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CgroupRoot {
    #[prost(string, optional, tag = "1")]
    pub(super) controller: Option<String>,
    #[prost(string, required, tag = "2")]
    pub(super) path: String,
}

/// A descriptor of CRIU's that takes the place of one in the images.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct InheritFd {
    #[prost(string, required, tag = "1")]
    pub(super) key: String,
    #[prost(int32, required, tag = "2")]
    pub(super) fd: i32,
}

/// An existing namespace for the restored processes.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct JoinNamespace {
    #[prost(string, required, tag = "1")]
    pub(super) namespace: String,
    #[prost(string, required, tag = "2")]
    pub(super) file: String,
}

/// Where pages are sent instead of into image files.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PageServer {
    #[prost(string, optional, tag = "1")]
    pub(super) address: Option<String>,
    #[prost(int32, optional, tag = "2")]
    pub(super) port: Option<i32>,
}

/// Asked with `true`, answered with what there is.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Features {
    #[prost(bool, optional, tag = "1")]
    pub(super) mem_track: Option<bool>,
    #[prost(bool, optional, tag = "2")]
    pub(super) lazy_pages: Option<bool>,
}

/// An answer, or a notification in between.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Response {
    #[prost(enumeration = "Kind", required, tag = "1")]
    pub(super) kind: i32,
    #[prost(bool, required, tag = "2")]
    pub(super) success: bool,
    #[prost(message, optional, tag = "4")]
    pub(super) restore: Option<Restored>,
    #[prost(message, optional, tag = "5")]
    pub(super) notify: Option<Notification>,
    #[prost(int32, optional, tag = "7")]
    pub(super) errno: Option<i32>,
    #[prost(message, optional, tag = "8")]
    pub(super) features: Option<Features>,
    #[prost(string, optional, tag = "9")]
    pub(super) error: Option<String>,
    #[prost(message, optional, tag = "10")]
    pub(super) version: Option<Version>,
}

/// What a restore has made.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Restored {
    #[prost(int32, required, tag = "1")]
    pub(super) pid: i32,
}

/// Where CRIU is.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Notification {
    #[prost(string, optional, tag = "1")]
    pub(super) script: Option<String>,
    #[prost(int32, optional, tag = "2")]
    pub(super) pid: Option<i32>,
}

/// CRIU's version.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Version {
    #[prost(int32, required, tag = "1")]
    pub(super) major: i32,
    #[prost(int32, required, tag = "2")]
    pub(super) minor: i32,
    #[prost(string, optional, tag = "3")]
    pub(super) git: Option<String>,
    #[prost(int32, optional, tag = "4")]
    pub(super) sublevel: Option<i32>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;

    #[test]
    fn requests_are_the_bytes_criu_reads() {
        let version = Request { kind: Kind::Version as i32, ..Request::default() };
        assert_eq!(version.encode_to_vec(), [0x08, 10]);
        let features = Features { mem_track: Some(true), lazy_pages: None };
        let check =
            Request { kind: Kind::FeatureCheck as i32, features: Some(features), ..Request::default() };
        assert_eq!(check.encode_to_vec(), [0x08, 9, 0x2a, 2, 0x08, 1]);
        let answer = Request { kind: Kind::Notify as i32, notify_success: Some(false), ..Request::default() };
        assert_eq!(answer.encode_to_vec(), [0x08, 6, 0x18, 0]);
        let mount = ExternalMount { key: "/a".into(), value: "/b".into() };
        let options = Options { images_dir_fd: 7, external_mounts: vec![mount], ..Options::default() };
        assert_eq!(
            options.encode_to_vec(),
            [0x08, 7, 0xba, 0x01, 8, 0x0a, 2, b'/', b'a', 0x12, 2, b'/', b'b']
        );
    }

    #[test]
    fn answers_of_criu_are_read() {
        // What criu 3.17.1 sends.
        let bytes = [0x08, 10, 0x10, 1, 0x52, 6, 0x08, 3, 0x10, 17, 0x20, 1];
        let response = Response::decode(&bytes[..]).unwrap();
        assert_eq!((response.kind, response.success), (Kind::Version as i32, true));
        let version = response.version.unwrap();
        assert_eq!((version.major, version.minor, version.sublevel), (3, 17, Some(1)));
        assert!(Response::decode(&b"\xff\xff\xff"[..]).is_err());
    }
}
