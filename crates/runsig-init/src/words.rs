//! Text without `core::fmt`, whose machinery would be a good part of this small program.
//!
//! Owns: putting bytes and numbers together. Must not: know any message.

use alloc::ffi::CString;
use alloc::vec::Vec;

use runsig_sys::Errno;

/// Text under construction.
#[derive(Debug, Clone, Default)]
pub struct Text(Vec<u8>);

impl Text {
    /// No text yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
    /// With these bytes at the end.
    #[must_use]
    pub fn with(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }
    /// With this number at the end, in decimal.
    #[must_use]
    pub fn number(mut self, number: u32) -> Self {
        let start = self.0.len();
        let mut rest = number;
        loop {
            self.0.push(b'0' + (rest % 10) as u8);
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.0.get_mut(start..).unwrap_or_default().reverse();
        self
    }
    /// With the words for this error at the end.
    #[must_use]
    pub fn errno(self, errno: Errno) -> Self {
        match errno.words() {
            Some(words) => self.with(words.as_bytes()),
            None => self.with(b"errno ").number(errno.raw().unsigned_abs()),
        }
    }
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
    /// As a terminated string; a NUL inside ends it.
    #[must_use]
    pub fn into_cstring(mut self) -> CString {
        if let Some(nul) = self.0.iter().position(|b| *b == 0) {
            self.0.truncate(nul);
        }
        CString::new(self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal() {
        for (number, text) in [(0, "0"), (7, "7"), (10, "10"), (u32::MAX, "4294967295")] {
            assert_eq!(Text::new().number(number).as_bytes(), text.as_bytes());
        }
    }

    #[test]
    fn errors_have_words_or_a_number() {
        assert_eq!(Text::new().errno(Errno::ENOENT).as_bytes(), b"no such file or directory");
        assert_eq!(Text::new().with(b"x: ").errno(Errno::from_raw(4000)).as_bytes(), b"x: errno 4000");
    }

    #[test]
    fn a_nul_ends_the_text() {
        assert_eq!(Text::new().with(b"ab\0c").into_cstring().as_c_str(), c"ab");
    }
}
