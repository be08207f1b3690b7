//! What is asked of systemd.
//! <https://www.freedesktop.org/software/systemd/man/latest/org.freedesktop.systemd1.html>
//!
//! Owns: the methods of its manager, and waiting for jobs. Must not: know cgroups or limits.

use std::time::Duration;

use runsig_sys::process::monotonic_ns;

use super::Property;
use super::bus::{Bus, BusError, Manager as Whose};
use super::message::Call;
use super::unit::{Unit, directory};
use super::value::Value;

const NAME: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";

type Result<T> = std::result::Result<T, BusError>;

/// How long a systemd may be away that restarts: mostly a tenth of it.
const RESTART_NS: u64 = 3_000_000_000;
/// How long a unit whose processes have ended may take to go: systemd is told, but not at once.
const GOING_NS: u64 = 2_000_000_000;
const PAUSE: Duration = Duration::from_millis(20);

/// A connection to the systemd that has a unit.
pub(crate) struct Manager {
    whose: Whose,
    bus: Bus,
    /// Signals of jobs come.
    hears_jobs: bool,
}

impl Manager {
    /// Connects, also when systemd is just restarting.
    pub(crate) fn connect(user: bool) -> Result<Self> {
        let whose = if user { Whose::User } else { Whose::System };
        let bus = patiently(RESTART_NS, BusError::is_interruption, || Bus::connect(whose))?;
        let hears_jobs = !bus.is_brokered;
        Ok(Self { whose, bus, hears_jobs })
    }

    /// Does it again when systemd restarts meanwhile: what is done twice must be as good as once.
    fn steadily<T>(&mut self, mut work: impl FnMut(&mut Self) -> Result<T>) -> Result<T> {
        let mut broken = false;
        patiently(RESTART_NS, BusError::is_interruption, || {
            if broken {
                self.bus = Bus::connect(self.whose)?;
                self.hears_jobs = !self.bus.is_brokered;
            }
            let worked = work(self);
            broken = worked.as_ref().is_err_and(BusError::is_interruption);
            worked
        })
    }

    fn call(&mut self, member: &str, arguments: &[Value]) -> Result<Vec<Value>> {
        self.bus.call(&Call { destination: NAME, path: PATH, interface: MANAGER, member, arguments })
    }

    fn property(&mut self, name: &str) -> Result<String> {
        let arguments = [Value::text(MANAGER), Value::text(name)];
        let interface = "org.freedesktop.DBus.Properties";
        let call = Call { destination: NAME, path: PATH, interface, member: "Get", arguments: &arguments };
        match self.steadily(|manager| manager.bus.call(&call))?.into_iter().next() {
            Some(Value::Variant(value)) => value.as_text().map(str::to_owned).ok_or_else(|| unexpected(name)),
            _ => Err(unexpected(name)),
        }
    }

    /// Its number: 252 of `252.38-1~deb12u1`.
    pub(crate) fn version(&mut self) -> Result<u32> {
        let text = self.property("Version")?;
        version_number(&text).ok_or_else(|| BusError::Broken(format!("can't parse version: {text}")))
    }

    /// The cgroup its units are in; the host's own has the root.
    pub(crate) fn control_group(&mut self) -> Result<String> {
        self.property("ControlGroup")
    }

    /// Starts the unit around a process and waits until it is there. One of this name that has failed
    /// before is in the way of a new one: it is forgotten first.
    pub(crate) fn start(&mut self, unit: &Unit, properties: &[Property], pid: i32) -> Result<()> {
        let arguments = [
            Value::text(&unit.name),
            Value::text("replace"),
            properties_value(properties),
            Value::Array("(sa(sv))".to_owned(), Vec::new()),
        ];
        let mut interrupted = false;
        self.steadily(|manager| {
            let started = manager.start_once(unit, &arguments, pid);
            interrupted |= started.as_ref().is_err_and(BusError::is_interruption);
            match started {
                // Before it went away systemd had done it, and it keeps units.
                Err(error) if interrupted && error.is("UnitExists") && is_in(pid, unit) => Ok(()),
                Err(BusError::Timeout) if interrupted && is_in(pid, unit) => Ok(()),
                other => other,
            }
        })
    }

    fn start_once(&mut self, unit: &Unit, arguments: &[Value], pid: i32) -> Result<()> {
        self.hear_jobs()?;
        let job = match self.call("StartTransientUnit", arguments) {
            Err(error) if error.is("UnitExists") && !is_in(pid, unit) => {
                let is_going = |error: &BusError| error.is("UnitExists");
                patiently(GOING_NS, is_going, || {
                    self.reset_failed(unit);
                    self.call("StartTransientUnit", arguments)
                })?
            }
            other => other?,
        };
        let result = self.job_result(&job)?;
        if result == "done" {
            return Ok(());
        }
        self.reset_failed(unit);
        let name = &unit.name;
        Err(BusError::Job(format!("error creating systemd unit `{name}`: got `{result}`")))
    }

    /// Stops the unit, waits, and has it forgotten when it has failed. One that is not there is no
    /// error.
    pub(crate) fn stop(&mut self, unit: &Unit) -> Result<()> {
        self.steadily(|manager| {
            manager.hear_jobs()?;
            match manager.call("StopUnit", &[Value::text(&unit.name), Value::text("replace")]) {
                Err(error) if error.is("NoSuchUnit") => return Ok(()),
                Err(error) => return Err(error),
                Ok(job) => drop(manager.job_result(&job)?),
            }
            manager.reset_failed(unit);
            Ok(())
        })
    }

    /// Most units have not failed: that it cannot be done is no news.
    pub(crate) fn reset_failed(&mut self, unit: &Unit) {
        let _ = self.call("ResetFailedUnit", &[Value::text(&unit.name)]);
    }

    /// Changes properties until the unit ends.
    pub(crate) fn set_properties(&mut self, unit: &Unit, properties: &[Property]) -> Result<()> {
        let arguments = [Value::text(&unit.name), Value::Bool(true), properties_value(properties)];
        self.steadily(|manager| manager.call("SetUnitProperties", &arguments)).map(drop)
    }

    /// Moves a process into the unit's cgroup, or into one below (`/` or `/sub`). v238.
    pub(crate) fn attach(&mut self, unit: &Unit, sub: &str, pid: u32) -> Result<()> {
        let arguments = [
            Value::text(&unit.name),
            Value::text(sub),
            Value::Array("u".to_owned(), vec![Value::Uint32(pid)]),
        ];
        self.steadily(|manager| manager.call("AttachProcessesToUnit", &arguments)).map(drop)
    }

    /// systemd tells its own clients everything, and those on a bus what they ask for.
    fn hear_jobs(&mut self) -> Result<()> {
        if self.hears_jobs {
            return Ok(());
        }
        let rule = format!("type='signal',sender='{NAME}',interface='{MANAGER}',member='JobRemoved'");
        self.bus.call(&Call {
            destination: "org.freedesktop.DBus",
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            member: "AddMatch",
            arguments: &[Value::Text(rule)],
        })?;
        self.call("Subscribe", &[])?;
        self.hears_jobs = true;
        Ok(())
    }

    /// How the job ended that a call has returned: `done`, or why not.
    fn job_result(&mut self, reply: &[Value]) -> Result<String> {
        let job = reply.first().and_then(Value::as_text).ok_or_else(|| unexpected("job"))?.to_owned();
        // JobRemoved(u id, o job, s unit, s result)
        self.bus.signal("JobRemoved", |signal| {
            (signal.text(1) == Some(job.as_str())).then(|| signal.text(3).unwrap_or_default().to_owned())
        })
    }
}

/// Tries until it works, it fails for good, or the time is up.
fn patiently<T>(
    bound_ns: u64,
    is_passing: impl Fn(&BusError) -> bool,
    mut work: impl FnMut() -> Result<T>,
) -> Result<T> {
    let end = monotonic_ns() + bound_ns;
    loop {
        match work() {
            Err(error) if is_passing(&error) && monotonic_ns() < end => std::thread::sleep(PAUSE),
            other => return other,
        }
    }
}

/// Whether a process is in the unit's cgroup itself.
fn is_in(pid: i32, unit: &Unit) -> bool {
    let cgroups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    cgroups.lines().any(|line| line.rsplit('/').next() == Some(&*directory(&unit.name)))
}

fn unexpected(what: &str) -> BusError {
    BusError::Broken(format!("unexpected answer for {what}"))
}

fn properties_value(properties: &[Property]) -> Value {
    let pair = |property: &Property| {
        Value::Struct(vec![Value::text(&property.name), Value::Variant(Box::new(property.value.clone()))])
    };
    Value::Array("(sv)".to_owned(), properties.iter().map(pair).collect())
}

fn version_number(text: &str) -> Option<u32> {
    let number = text.trim_start_matches(['"', 'v']);
    let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (text, number) in
            [("v245.4-1.fc32", 245), ("245", 245), ("252.38-1~deb12u1", 252), ("\"v258~rc1\"", 258)]
        {
            assert_eq!(version_number(text), Some(number), "{text}");
        }
        for bad in ["", "v", "devel", "99999999999"] {
            assert_eq!(version_number(bad), None, "{bad}");
        }
    }
}
