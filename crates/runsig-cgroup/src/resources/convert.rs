//! Numbers that the bundle gives in terms of v1 and that v2 takes in its own.

use crate::error::{Error, Result};

/// `cpu.shares` (2 to 262144, default 1024) as `cpu.weight` (1 to 10000, default 100): the curve
/// through these three points that runc took up with opencontainers/cgroups 0.0.4. The older
/// straight line turned the default of 1024 into 39.
pub(crate) fn shares_to_weight(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        _ => {
            #[expect(clippy::cast_precision_loss, reason = "at most 2^18")]
            let l = (shares as f64).log2();
            let exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 10000")]
            let weight = 10f64.powf(exponent).ceil() as u64;
            weight
        }
    }
}

/// `blkio.weight` (10 to 1000) as `io.weight` (1 to 10000), along a straight line.
pub(crate) fn io_weight(weight: u16) -> u64 {
    1 + u64::from(weight).saturating_sub(10) * 9999 / 990
}

/// The limit of memory and swap together, as one of swap alone. 0 is "not given", -1 "no limit".
pub(crate) fn swap(memory_and_swap: i64, memory: i64) -> Result<i64> {
    match (memory_and_swap, memory) {
        // As on v1, where no limit on memory means none on the sum.
        (0, -1) => Ok(-1),
        (-1 | 0, _) => Ok(memory_and_swap),
        (_, -1) => Ok(memory_and_swap),
        (_, 0) => Err(Error::invalid("unable to set swap limit without memory limit")),
        (_, ..0) => Err(Error::invalid(format!("invalid memory value: {memory}"))),
        _ if memory_and_swap < memory => Err(Error::invalid("memory+swap limit should be >= memory limit")),
        _ => Ok(memory_and_swap - memory),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares() {
        // The ends, the default, and values of the formula in between.
        for (shares, weight) in [
            (1, 1),
            (2, 1),
            (100, 17),
            (512, 59),
            (1024, 100),
            (2048, 174),
            (262_144, 10_000),
            (u64::MAX, 10_000),
        ] {
            assert_eq!(shares_to_weight(shares), weight, "{shares}");
        }
        let mut last = 0;
        for shares in (2..=262_144).step_by(97) {
            let weight = shares_to_weight(shares);
            assert!((1..=10_000).contains(&weight) && weight >= last, "{shares} {weight}");
            last = weight;
        }
    }

    #[test]
    fn weights() {
        assert_eq!(io_weight(10), 1);
        assert_eq!(io_weight(1000), 10_000);
        assert_eq!(io_weight(500), 4950);
        assert_eq!(io_weight(1), 1);
    }

    #[test]
    fn swaps() {
        assert_eq!(swap(0, 0).unwrap(), 0);
        assert_eq!(swap(0, -1).unwrap(), -1);
        assert_eq!(swap(-1, 100).unwrap(), -1);
        assert_eq!(swap(0, 100).unwrap(), 0);
        assert_eq!(swap(50, -1).unwrap(), 50);
        assert_eq!(swap(300, 100).unwrap(), 200);
        assert_eq!(swap(100, 100).unwrap(), 0);
        assert_eq!(swap(50, 0).unwrap_err().to_string(), "unable to set swap limit without memory limit");
        assert_eq!(swap(50, 100).unwrap_err().to_string(), "memory+swap limit should be >= memory limit");
        assert_eq!(swap(50, -7).unwrap_err().to_string(), "invalid memory value: -7");
        assert_eq!(swap(-2, 100).unwrap_err().to_string(), "memory+swap limit should be >= memory limit");
    }
}
