//! The container's init as bytes, built by the build script.
//!
//! Owns: the one constant. Must not: write or run it.

/// The `runsig-init` program: a static ELF file.
pub(crate) const INIT: &[u8] = include_bytes!(env!("RUNSIG_INIT_PATH"));

#[cfg(test)]
mod tests {
    use super::INIT;

    #[test]
    fn the_init_is_a_small_static_program() {
        assert!(INIT.starts_with(b"\x7fELF"));
        assert!(INIT.len() < 150 * 1024, "{} bytes", INIT.len());
        // Program headers: 64-bit ELF keeps their offset at 32, their size at 54, their number at 56.
        let word = |at: usize| usize::from(u16::from_le_bytes([INIT[at], INIT[at + 1]]));
        let (offset, size, count) = (word(32), word(54), word(56));
        const PT_DYNAMIC: usize = 2;
        const PT_INTERP: usize = 3;
        for header in (0..count).map(|i| offset + i * size) {
            assert!(![PT_DYNAMIC, PT_INTERP].contains(&word(header)), "needs a dynamic linker");
        }
    }
}
