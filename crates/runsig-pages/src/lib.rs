//! Manual pages and shell completions, made from the definitions that the program itself parses with.
//!
//! Owns: what the pages say beside those definitions ([`words`]), and their files. Must not: become part of
//! the program, whose pages in memory count.

mod completions;
mod page;
mod words;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use completions::{SHELLS, completion};
pub use page::{program_page, verb_page};

/// The date that pages bear when nobody says another one: a build has to give the same bytes every time.
pub const NO_DATE: &str = "";

/// Writes every manual page to `DIR/man` and every completion to `DIR/completions`; returns their paths.
///
/// # Errors
/// When a file cannot be written.
pub fn write_all(dir: &Path, date: &str) -> io::Result<Vec<PathBuf>> {
    let (man, completions) = (dir.join("man"), dir.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    let mut written = Vec::new();
    let mut write = |path: PathBuf, content: Vec<u8>| {
        fs::write(&path, content)?;
        written.push(path);
        io::Result::Ok(())
    };
    write(man.join("runsig.8"), program_page(date)?)?;
    for verb in runsig::cli::VERBS {
        write(man.join(format!("runsig-{}.8", verb.name)), verb_page(verb, date)?)?;
    }
    for (shell, name) in SHELLS {
        write(completions.join(name), completion(*shell))?;
    }
    Ok(written)
}
