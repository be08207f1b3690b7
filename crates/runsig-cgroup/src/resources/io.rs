//! Block devices: weights and throttles.

use oci_spec::runtime::{LinuxBlockIo, LinuxResources, LinuxThrottleDevice, LinuxWeightDevice};
use runsig_sys::fs::O_RDWR;

use super::convert;
use super::knobs::{Knobs, is_missing};
use crate::dir::read_all;
use crate::error::Result;

type Throttles = Option<Vec<LinuxThrottleDevice>>;

/// The four kinds of throttle: the name of `io.max`, the file of v1, the list.
fn throttles(io: &LinuxBlockIo) -> [(&'static str, &'static str, &Throttles); 4] {
    [
        ("rbps", "blkio.throttle.read_bps_device", io.throttle_read_bps_device()),
        ("wbps", "blkio.throttle.write_bps_device", io.throttle_write_bps_device()),
        ("riops", "blkio.throttle.read_iops_device", io.throttle_read_iops_device()),
        ("wiops", "blkio.throttle.write_iops_device", io.throttle_write_iops_device()),
    ]
}

fn weight(io: &LinuxBlockIo) -> Option<u16> {
    io.weight().filter(|weight| *weight != 0)
}

fn leaf_weight(io: &LinuxBlockIo) -> Option<u16> {
    io.leaf_weight().filter(|weight| *weight != 0)
}

fn weight_devices(io: &LinuxBlockIo) -> &[LinuxWeightDevice] {
    io.weight_device().as_deref().unwrap_or_default()
}

fn has_any(io: &LinuxBlockIo) -> bool {
    let throttled = throttles(io).iter().any(|(_, _, list)| list.as_ref().is_some_and(|l| !l.is_empty()));
    weight(io).is_some() || !weight_devices(io).is_empty() || throttled
}

pub(super) fn is_set(r: &LinuxResources) -> bool {
    r.block_io().as_ref().is_some_and(has_any)
}

/// Leaf weights are not known to v2.
pub(super) fn unified(r: &LinuxResources, knobs: &Knobs<'_>) -> Result<()> {
    let Some(io) = r.block_io().as_ref().filter(|io| has_any(io)) else { return Ok(()) };
    unified_weights(io, knobs)?;
    for (name, _, list) in throttles(io) {
        for device in list.iter().flatten() {
            let (major, minor, rate) = (device.major(), device.minor(), device.rate());
            knobs.write("io.max", &format!("{major}:{minor} {name}={rate}"))?;
        }
    }
    Ok(())
}

/// The BFQ scheduler takes the numbers as they are, and (5.4) per device. Without it there is
/// io.weight, on another scale, and nothing per device.
fn unified_weights(io: &LinuxBlockIo, knobs: &Knobs<'_>) -> Result<()> {
    const BFQ: &str = "io.bfq.weight";
    if weight(io).is_none() && weight_devices(io).is_empty() {
        return Ok(());
    }
    let bfq = match knobs.dir.open_file(BFQ, O_RDWR) {
        Err(error) if is_missing(&error) => {
            return weight(io)
                .map_or(Ok(()), |weight| knobs.write_number("io.weight", convert::io_weight(weight)));
        }
        other => other?,
    };
    if let Some(weight) = weight(io) {
        knobs.dir.write_to(bfq.as_fd(), BFQ, &weight.to_string())?;
    }
    // An older kernel shows the one number alone instead of "default N".
    let per_device = read_all(bfq.as_fd()).is_ok_and(|text| text.trim().parse::<i64>().is_err());
    for device in weight_devices(io).iter().filter(|_| per_device) {
        let (major, minor, weight) = (device.major(), device.minor(), device.weight().unwrap_or(0));
        knobs.dir.write_to(bfq.as_fd(), BFQ, &format!("{major}:{minor} {weight}\n"))?;
    }
    Ok(())
}

pub(super) fn legacy<'a>(r: &LinuxResources, knobs: impl FnOnce() -> Result<Knobs<'a>>) -> Result<()> {
    let Some(io) = r.block_io().as_ref().filter(|io| has_any(io) || leaf_weight(io).is_some()) else {
        return Ok(());
    };
    let knobs = knobs()?;
    legacy_weights(io, &knobs)?;
    for (_, file, list) in throttles(io) {
        for device in list.iter().flatten() {
            knobs.write(file, &format!("{}:{} {}", device.major(), device.minor(), device.rate()))?;
        }
    }
    Ok(())
}

/// `blkio.weight` was CFQ's and left with it (5.0); BFQ has files of its own.
fn legacy_weights(io: &LinuxBlockIo, knobs: &Knobs<'_>) -> Result<()> {
    let (own, devices) = if knobs.dir.has("blkio.weight") {
        ("blkio.weight", "blkio.weight_device")
    } else {
        ("blkio.bfq.weight", "blkio.bfq.weight_device")
    };
    if let Some(weight) = weight(io) {
        knobs.write_number(own, weight)?;
    }
    if let Some(weight) = leaf_weight(io) {
        knobs.write_number("blkio.leaf_weight", weight)?;
    }
    for device in weight_devices(io) {
        for (file, weight) in [(devices, device.weight()), ("blkio.leaf_weight_device", device.leaf_weight())]
        {
            if let Some(weight) = weight.filter(|weight| *weight != 0) {
                knobs.write(file, &format!("{}:{} {weight}", device.major(), device.minor()))?;
            }
        }
    }
    Ok(())
}
