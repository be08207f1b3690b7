//! `exec`: another process in a running container.

use std::path::PathBuf;

use runsig_runtime::ExecOptions;
use runsig_spec::{ExecSource, ProcessOverrides};

use crate::args::Args;
use crate::failure::{Failure, Result};
use crate::session::Session;

/// runc's exit code when the process could not be run.
const FAILED: u8 = 255;

/// Returns the exit code of the process.
pub(super) fn exec(session: &Session<'_>, args: &Args) -> Result<u8> {
    args.at_least(1)?;
    let exec = || {
        let (process, changes) = (args.absolute_path("process")?, changes(args)?);
        let source = match &process {
            Some(path) => ExecSource::File(path),
            None if changes.args.is_empty() => return Err(Failure::new("exec args cannot be empty")),
            None => ExecSource::Container(changes),
        };
        let code = runsig_runtime::exec::exec(&session.globals, source, options(args)?)?;
        Ok(u8::try_from(code).unwrap_or(FAILED))
    };
    exec().map_err(|failure: Failure| match failure.incorrect_usage() {
        Some(_) => failure,
        None => failure.context("exec failed").exit_with(FAILED),
    })
}

/// What is to be other than in the container's own process.
fn changes(args: &Args) -> Result<ProcessOverrides> {
    let (uid, gid) = args.text("user")?.map(|user| user_ids(&user)).transpose()?.unwrap_or_default();
    Ok(ProcessOverrides {
        args: args.after_id()?.to_vec(),
        cwd: args.text("cwd")?,
        env: args.texts("env")?,
        tty: args.flag("tty"),
        uid,
        gid,
        additional_gids: args
            .texts("additional-gids")?
            .iter()
            .map(|gid| group(gid))
            .collect::<Result<_>>()?,
        capabilities: args.texts("cap")?,
        no_new_privileges: args.switch("no-new-privs")?,
        apparmor_profile: args.text("apparmor")?,
        selinux_label: args.text("process-label")?,
    })
}

fn options(args: &Args) -> Result<ExecOptions> {
    Ok(ExecOptions {
        id: args.first_id()?.to_owned(),
        detach: args.flag("detach"),
        pid_file: args.absolute_path("pid-file")?,
        console_socket: args.absolute_path("console-socket")?,
        pidfd_socket: args.absolute_path("pidfd-socket")?,
        preserve_fds: args.descriptors()?,
        cgroups: sub_cgroups(&args.texts("cgroup")?)?,
        ignore_paused: args.flag("ignore-paused"),
        name: args.given("name")?,
    })
}

/// `UID[:GID]`.
fn user_ids(user: &str) -> Result<(Option<u32>, Option<u32>)> {
    let number = |what: &str, text: &str| {
        let invalid = |_| format!("bad {what}: strconv.Atoi: parsing {text:?}: invalid syntax");
        text.parse().map(Some).map_err(|error: std::num::ParseIntError| Failure::new(invalid(error)))
    };
    match user.split_once(':') {
        Some((uid, gid)) => Ok((number("uid", uid)?, number("gid", gid)?)),
        None => Ok((number("uid", user)?, None)),
    }
}

fn group(gid: &str) -> Result<u32> {
    gid.parse().map_err(|_| Failure::new(format!("additional-gids must be a positive number {gid}")))
}

/// `[CONTROLLER,...:]PATH` as (controller, path); the controller is empty for cgroup v2, where there
/// is one path only.
fn sub_cgroups(given: &[String]) -> Result<Vec<(String, PathBuf)>> {
    let mut all: Vec<(String, PathBuf)> = Vec::new();
    for argument in given {
        let (controllers, path) = match argument.split_once(':') {
            Some(parts) => parts,
            None if given.len() == 1 => return Ok(vec![(String::new(), argument.into())]),
            None => {
                return Err(Failure::new(format!(
                    "invalid --cgroup argument: {argument} (missing <controller>: prefix)"
                )));
            }
        };
        for controller in controllers.split(',') {
            if controller.is_empty() {
                return Err(Failure::new(format!(
                    "invalid --cgroup argument: {argument} (empty <controller> prefix)"
                )));
            }
            if all.iter().any(|(known, _)| known == controller) {
                return Err(Failure::new(format!(
                    "invalid --cgroup argument(s): controller {controller} specified multiple times"
                )));
            }
            all.push((controller.to_owned(), path.into()));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cgroups(given: &[&str]) -> std::result::Result<Vec<(String, PathBuf)>, String> {
        let given: Vec<_> = given.iter().map(|text| (*text).to_owned()).collect();
        sub_cgroups(&given).map_err(|failure| failure.to_string())
    }

    #[test]
    fn users_are_numbers() {
        assert_eq!(user_ids("7").ok(), Some((Some(7), None)));
        assert_eq!(user_ids("7:8").ok(), Some((Some(7), Some(8))));
        for (user, message) in [
            ("root", "bad uid: strconv.Atoi: parsing \"root\""),
            ("7:", "bad gid: strconv.Atoi: parsing \"\""),
        ] {
            let message = format!("{message}: invalid syntax");
            assert_eq!(user_ids(user).err().map(|failure| failure.to_string()), Some(message));
        }
        assert!(group("-1").is_err());
    }

    #[test]
    fn cgroups_are_taken_apart() {
        assert_eq!(cgroups(&["sub"]), Ok(vec![(String::new(), "sub".into())]));
        assert_eq!(
            cgroups(&["cpu,cpuacct:a"]),
            Ok(vec![("cpu".into(), "a".into()), ("cpuacct".into(), "a".into())])
        );
        assert!(cgroups(&["a", "b"]).unwrap_err().contains("missing <controller>"));
        assert!(cgroups(&[",cpu:a"]).unwrap_err().contains("empty <controller>"));
        assert!(cgroups(&["cpu:a", "cpu:b"]).unwrap_err().contains("specified multiple times"));
    }
}
