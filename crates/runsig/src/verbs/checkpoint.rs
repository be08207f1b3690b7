//! `checkpoint` and `restore`: what is typed becomes a request to CRIU.

use runsig_runtime::CreateOptions;
use runsig_runtime::checkpoint::{CgroupsMode, CheckpointOptions, CriuOptions, RestoreOptions};

use super::run::exit_code;
use crate::args::{Args, absolute};
use crate::failure::{Failure, Result};
use crate::session::Session;

pub(super) fn checkpoint(session: &Session<'_>, args: &Args) -> Result<()> {
    let id = args.only_id()?.to_owned();
    warn_users(session);
    let options = CheckpointOptions {
        id,
        criu: criu(args)?,
        parent_path: args.path("parent-path"),
        leave_running: args.flag("leave-running"),
        tcp_skip_in_flight: args.flag("tcp-skip-in-flight"),
        link_remap: args.flag("link-remap"),
        status_fd: args.number("status-fd")?.filter(|number: &i32| *number >= 0),
        page_server: args.text("page-server")?.as_deref().map(page_server).transpose()?,
        pre_dump: args.flag("pre-dump"),
    };
    Ok(runsig_runtime::checkpoint::checkpoint(&session.globals, &options)?)
}

/// Returns the exit code of the container's program.
pub(super) fn restore(session: &Session<'_>, args: &Args) -> Result<u8> {
    args.only_id()?;
    warn_users(session);
    let options = RestoreOptions {
        create: container(args)?,
        criu: criu(args)?,
        detach: args.flag("detach"),
        no_subreaper: args.flag("no-subreaper"),
        lsm_profile: args.text("lsm-profile")?,
        lsm_mount_context: args.text("lsm-mount-context")?,
    };
    Ok(runsig_runtime::checkpoint::restore(&session.globals, &options).map(exit_code)?)
}

/// The container that is made.
fn container(args: &Args) -> Result<CreateOptions> {
    Ok(CreateOptions {
        config: None,
        id: args.first_id()?.to_owned(),
        bundle: absolute(&args.path("bundle").unwrap_or_default())?,
        pid_file: args.absolute_path("pid-file")?,
        console_socket: args.absolute_path("console-socket")?,
        pidfd_socket: None,
        no_pivot: args.flag("no-pivot"),
        no_new_keyring: true,
        preserve_fds: 0,
        init: false,
    })
}

fn warn_users(session: &Session<'_>) {
    if runsig_sys::process::geteuid() != 0 {
        session.log.warning("runsig checkpoint is untested with rootless containers");
    }
}

/// The flags of both verbs.
fn criu(args: &Args) -> Result<CriuOptions> {
    check_empty_namespaces(&args.texts("empty-ns")?)?;
    Ok(CriuOptions {
        // runc's default.
        image_path: absolute(&args.path("image-path").unwrap_or_else(|| "checkpoint".into()))?,
        work_path: args.absolute_path("work-path")?,
        tcp_established: args.flag("tcp-established"),
        ext_unix_sk: args.flag("ext-unix-sk"),
        shell_job: args.flag("shell-job"),
        lazy_pages: args.flag("lazy-pages"),
        file_locks: args.flag("file-locks"),
        auto_dedup: args.flag("auto-dedup"),
        cgroups_mode: cgroups_mode(args.text("manage-cgroups-mode")?.as_deref())?,
    })
}

/// There is one that may be named, and that one is always made empty, as in runc: what is in it is the
/// engine's business.
fn check_empty_namespaces(names: &[String]) -> Result<()> {
    match names.iter().find(|name| *name != "network") {
        Some(name) => Err(Failure::new(format!("namespace {name:?} is not supported"))),
        None => Ok(()),
    }
}

fn cgroups_mode(word: Option<&str>) -> Result<CgroupsMode> {
    match word {
        None => Ok(CgroupsMode::Default),
        Some("soft") => Ok(CgroupsMode::Soft),
        Some("full") => Ok(CgroupsMode::Full),
        Some("strict") => Ok(CgroupsMode::Strict),
        Some("ignore") => Ok(CgroupsMode::Ignore),
        Some(_) => Err(Failure::new("invalid manage-cgroups-mode value")),
    }
}

/// `ADDRESS:PORT`, an IPv6 address in brackets.
fn page_server(text: &str) -> Result<(String, i32)> {
    let bad = || Failure::new("Use --page-server ADDRESS:PORT to specify page server");
    let (address, port) = text.rsplit_once(':').ok_or_else(bad)?;
    let address = match address.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').ok_or_else(bad)?,
        None if address.contains(':') => return Err(bad()),
        None => address,
    };
    if address.is_empty() || port.is_empty() {
        return Err(bad());
    }
    let port = port.parse().map_err(|_| Failure::new("Invalid port number"))?;
    Ok((address.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message<T>(result: Result<T>) -> String {
        result.err().map(|failure| failure.to_string()).unwrap_or_default()
    }

    #[test]
    fn page_servers_are_an_address_and_a_port() {
        assert_eq!(page_server("10.0.0.1:27").ok(), Some(("10.0.0.1".to_owned(), 27)));
        assert_eq!(page_server("[::1]:27").ok(), Some(("::1".to_owned(), 27)));
        for bad in ["", "host", ":1", "host:", "::1:27", "[::1:27"] {
            assert_eq!(
                message(page_server(bad)),
                "Use --page-server ADDRESS:PORT to specify page server",
                "{bad}"
            );
        }
        assert_eq!(message(page_server("h:x")), "Invalid port number");
    }

    #[test]
    fn modes_and_namespaces_are_checked() {
        assert!(matches!(cgroups_mode(Some("ignore")), Ok(CgroupsMode::Ignore)));
        assert_eq!(message(cgroups_mode(Some("hard"))), "invalid manage-cgroups-mode value");
        assert!(check_empty_namespaces(&["network".to_owned()]).is_ok());
        assert_eq!(
            message(check_empty_namespaces(&["ipc".to_owned()])),
            "namespace \"ipc\" is not supported"
        );
    }
}
