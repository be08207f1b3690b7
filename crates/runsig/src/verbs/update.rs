//! `update`: limits from flags or from JSON, in the units of runc's flags.
//!
//! Owns: turning them into resources. Must not: know cgroups.

use std::io::Read;
use std::path::Path;

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxPids, LinuxResources};
use runsig_runtime::update::Schemata;

use crate::args::Args;
use crate::failure::{Failure, Result};
use crate::session::Session;

/// A file of limits is some lines; more than this is none.
const LONGEST: u64 = 1024 * 1024;

pub(super) fn update(session: &Session<'_>, args: &Args) -> Result<()> {
    let id = args.only_id()?;
    // An unknown container is the news, whatever else is wrong.
    session.load(id)?;
    if args.text("kernel-memory")?.or(args.text("kernel-memory-tcp")?).is_some() {
        session.log.warning("Kernel memory settings are ignored and will be removed");
    }
    let resources = match args.path("resources") {
        Some(path) => from_json(&path)?,
        None => from_flags(args)?,
    };
    let schemata =
        Schemata { l3_cache: args.text("l3-cache-schema")?, memory_bandwidth: args.text("mem-bw-schema")? };
    Ok(runsig_runtime::update::update(&session.globals, id, &resources, &schemata)?)
}

fn from_json(path: &Path) -> Result<LinuxResources> {
    let failed = |error: std::io::Error| Failure::io("read", path, &error);
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().take(LONGEST).read_to_string(&mut text).map_err(failed)?;
    } else {
        let file = std::fs::File::open(path).map_err(|error| Failure::io("open", path, &error))?;
        file.take(LONGEST).read_to_string(&mut text).map_err(failed)?;
    }
    parse(&text)
}

/// The first JSON value of the text; runc does not look at what follows it either.
fn parse(text: &str) -> Result<LinuxResources> {
    // serde would take an array for a structure, field by field.
    if text.trim_start().starts_with('[') {
        return Err(Failure::new("resources: an array is not an object"));
    }
    let refused = |error: serde_json::Error| Failure::new(format!("resources: {error}"));
    let value = runsig_spec::read_json(text.as_bytes()).map_err(refused)?;
    if value.is_null() {
        return Ok(LinuxResources::default());
    }
    let mut resources = serde_json::from_value(value.clone()).map_err(refused)?;
    runsig_spec::forget_pids_without_limit(&mut resources, || Some(value));
    Ok(resources)
}

fn from_flags(args: &Args) -> Result<LinuxResources> {
    let mut resources = LinuxResources::default();
    resources.set_cpu(Some(cpu(args)?));
    resources.set_memory(Some(memory(args)?));
    if let Some(weight) = args.number::<u16>("blkio-weight")?.filter(|weight| *weight != 0) {
        let mut block_io = LinuxBlockIo::default();
        block_io.set_weight(Some(weight));
        resources.set_block_io(Some(block_io));
    }
    if let Some(limit) = args.number("pids-limit")? {
        let mut pids = LinuxPids::default();
        pids.set_limit(limit);
        resources.set_pids(Some(pids));
    }
    Ok(resources)
}

fn cpu(args: &Args) -> Result<LinuxCpu> {
    let mut cpu = LinuxCpu::default();
    cpu.set_cpus(args.text("cpuset-cpus")?);
    cpu.set_mems(args.text("cpuset-mems")?);
    cpu.set_idle(number(args, "cpu-idle")?);
    cpu.set_burst(number(args, "cpu-burst")?);
    cpu.set_period(number(args, "cpu-period")?);
    cpu.set_quota(number(args, "cpu-quota")?);
    cpu.set_shares(number(args, "cpu-share")?);
    cpu.set_realtime_period(number(args, "cpu-rt-period")?);
    cpu.set_realtime_runtime(number(args, "cpu-rt-runtime")?);
    Ok(cpu)
}

fn memory(args: &Args) -> Result<LinuxMemory> {
    let mut memory = LinuxMemory::default();
    memory.set_limit(bytes(args, "memory")?);
    memory.set_swap(bytes(args, "memory-swap")?);
    memory.set_reservation(bytes(args, "memory-reservation")?);
    Ok(memory)
}

fn number<T: std::str::FromStr>(args: &Args, flag: &str) -> Result<Option<T>> {
    let parse = |text: String| text.parse().map_err(|_| invalid(flag, &text));
    args.text(flag)?.map(parse).transpose()
}

fn bytes(args: &Args, flag: &str) -> Result<Option<i64>> {
    args.text(flag)?.map(|text| size(&text).ok_or_else(|| invalid(flag, &text))).transpose()
}

fn invalid(flag: &str, text: &str) -> Failure {
    Failure::new(format!("invalid value for {flag}: invalid number: {text:?}"))
}

/// A number of bytes: -1, or a number with a unit (`k`, `m`, `g`, `t`, `p`, all of 1024, then `b`
/// or `ib`), with or without a space between them.
fn size(text: &str) -> Option<i64> {
    if text == "-1" {
        return Some(-1);
    }
    let end = text.rfind(|c: char| c.is_ascii_digit() || c == '.')? + 1;
    let (digits, unit) = (text.get(..end)?, text.get(end..)?.trim_start().to_ascii_lowercase());
    let shift = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" if matches!(unit.as_str(), "" | "b") => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return None,
    };
    let factor = 1i64 << shift;
    match digits.parse::<i64>() {
        Ok(number) => number.checked_mul(factor).filter(|bytes| *bytes >= 0),
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "a fraction of a unit"
        )]
        Err(_) => {
            digits.parse::<f64>().ok().filter(|n| (0.0..8e6).contains(n)).map(|n| (n * factor as f64) as i64)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("-1", -1),
            ("0", 0),
            ("67108864", 67_108_864),
            ("50M", 50 << 20),
            ("1.5g", 3 << 29),
            ("2 KiB", 2048),
            ("7b", 7),
            ("1gb", 1 << 30),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for bad in ["", "-2", "M", "1x", "1mm", "9999999p", "1i", "0x10"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }

    #[test]
    fn json_gives_only_what_is_to_change() {
        let given = parse(r#"{"memory":{"limit":5},"cpu":{"shares":0,"cpus":""}} trailing"#);
        let given = given.unwrap_or_default();
        assert_eq!(given.memory().as_ref().and_then(LinuxMemory::limit), Some(5));
        assert!(given.pids().is_none());
        for nothing in ["null", r#"{"pids":{}}"#, r#"{"pids":{"limit":null}}"#, r#"{"pids":null,"cpu":null}"#]
        {
            assert_eq!(parse(nothing).unwrap(), LinuxResources::default(), "{nothing}");
        }
        assert_eq!(parse(r#"{"pids":{"limit":0}}"#).unwrap().pids().map(|pids| pids.limit()), Some(0));
        for bad in ["", "{", "[]", r#"{"memory":7}"#] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
