//! Lists of small numbers, as in `0-3,7`: processors and memory nodes.
//!
//! Owns: the parser. Must not: know which processors exist; the kernel ignores those that do not.

use crate::error::{Result, SpecError};

/// The largest number accepted, as in runc: far above any machine, and 1 KiB of mask.
const LARGEST: u32 = 8191;

/// The numbers of a list as a mask in 64-bit words; `None` for an empty string.
pub(crate) fn parse(list: &str, field: &str) -> Result<Option<Vec<u64>>> {
    if list.is_empty() {
        return Ok(None);
    }
    let refused = |why: String| SpecError::value(field, list, why);
    let mut mask = Vec::new();
    // Extra blanks and commas are accepted, as the kernel does.
    for range in list.split(',').map(str::trim).filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (number(first).map_err(refused)?, number(last).map_err(refused)?);
        if first > last {
            return Err(refused(format!("invalid range: {range}")));
        }
        (first..=last).for_each(|bit| set(&mut mask, bit));
    }
    if mask.is_empty() {
        return Err(refused("no members found".to_owned()));
    }
    Ok(Some(mask))
}

fn number(text: &str) -> std::result::Result<u32, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| text.parse::<u32>().unwrap_or(u32::MAX));
    match number {
        Some(number) if number <= LARGEST => Ok(number),
        Some(_) => Err(format!("values larger than {LARGEST} are not supported")),
        None => Err(format!("{text:?} is no number")),
    }
}

fn set(mask: &mut Vec<u64>, bit: u32) {
    let word = (bit / 64) as usize;
    if mask.len() <= word {
        mask.resize(word + 1, 0);
    }
    if let Some(word) = mask.get_mut(word) {
        *word |= 1 << (bit % 64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_become_masks() {
        for (list, want) in [
            ("0", vec![1]),
            ("0-3,7", vec![0x8f]),
            (" 1 , 3-4 ,", vec![0x1a]),
            ("64", vec![0, 1]),
            ("63-64,128", vec![1 << 63, 1, 1]),
            ("3-3", vec![8]),
        ] {
            assert_eq!(parse(list, "f"), Ok(Some(want)), "{list}");
        }
        assert_eq!(parse("", "f"), Ok(None));
        assert_eq!(parse("8191", "f").unwrap().unwrap().len(), 128);
    }

    #[test]
    fn anything_else_is_refused() {
        for list in ["a", "1-", "-1", "3-2", "1-2-3", "8192", "99999999999", "1;2", ",", "0x1", "+1", "1 2"] {
            let error = parse(list, "linux.memoryPolicy.nodes").unwrap_err().to_string();
            assert!(error.starts_with("invalid linux.memoryPolicy.nodes \""), "{error}");
        }
    }
}
