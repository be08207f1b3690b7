//! One manual page: what the definitions say, and around it what only a manual has room for.

use std::io;

use clap::Command;
use clap_mangen::Man;
use roff::{Roff, bold, italic, roman};
use runsig::cli::{self, Verb};

use crate::words::{self, Words};

/// The section of the manual: system administration.
const SECTION: &str = "8";

/// `runsig.8`: the global flags, the verbs, the files.
///
/// # Errors
/// None in memory; the signature is that of the renderer.
pub fn program_page(date: &str) -> io::Result<Vec<u8>> {
    let words = words::of_program();
    let man = man(cli::full(), date);
    let mut page = head(&man)?;
    description(&words).to_writer(&mut page)?;
    man.render_options_section(&mut page)?;
    verbs().to_writer(&mut page)?;
    tail(&words, &["runsig-create(8)", "runsig-stop(8)", "runc(8)", "crun(1)"]).to_writer(&mut page)?;
    Ok(page)
}

/// The page of one verb.
///
/// # Errors
/// As [`program_page`].
pub fn verb_page(verb: &Verb, date: &str) -> io::Result<Vec<u8>> {
    let words = words::of_verb(verb.name);
    let command = cli::command(verb).display_name(format!("runsig-{}", verb.name)).bin_name("runsig");
    let man = man(command, date);
    let mut page = head(&man)?;
    description(&words).to_writer(&mut page)?;
    man.render_options_section(&mut page)?;
    tail(&words, &["runsig(8)"]).to_writer(&mut page)?;
    Ok(page)
}

fn man(mut command: Command, date: &str) -> Man {
    command.build();
    let title = command.get_display_name().unwrap_or("runsig").to_owned();
    Man::new(command)
        .title(title)
        .section(SECTION)
        .date(date)
        .source(concat!("runsig ", env!("CARGO_PKG_VERSION")))
        .manual("Runsig")
}

fn head(man: &Man) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    Ok(page)
}

fn description(words: &Words) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["DESCRIPTION"]);
    for (number, paragraph) in words.description.iter().enumerate() {
        if number > 0 {
            roff.control("PP", []);
        }
        roff.text([roman(*paragraph)]);
    }
    roff
}

fn verbs() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["VERBS"]);
    for verb in cli::VERBS {
        roff.control("TP", []);
        roff.text([bold(format!("runsig-{}", verb.name)), roman("(8)")]);
        roff.text([roman(verb.about)]);
    }
    roff
}

fn tail(words: &Words, always: &[&str]) -> Roff {
    let mut roff = Roff::new();
    defined(&mut roff, "EXIT STATUS", words.exits);
    defined(&mut roff, "FILES", words.files);
    examples(&mut roff, words.examples);
    roff.control("SH", ["SEE ALSO"]);
    let pages: Vec<String> = words.see.iter().map(|verb| format!("runsig-{verb}(8)")).collect();
    let all: Vec<&str> = always.iter().copied().chain(pages.iter().map(String::as_str)).collect();
    roff.text([roman(all.join(", "))]);
    roff
}

/// Terms with their meaning.
fn defined(roff: &mut Roff, heading: &'static str, terms: &[(&str, &str)]) {
    if terms.is_empty() {
        return;
    }
    roff.control("SH", [heading]);
    for (term, meaning) in terms {
        roff.control("TP", []);
        roff.text([italic(*term)]);
        roff.text([roman(*meaning)]);
    }
}

fn examples(roff: &mut Roff, examples: &[(&str, &str)]) {
    roff.control("SH", ["EXAMPLES"]);
    for (number, (what, lines)) in examples.iter().enumerate() {
        if number > 0 {
            roff.control("PP", []);
        }
        if !what.is_empty() {
            roff.text([roman(*what)]);
            roff.control("PP", []);
        }
        roff.control("RS", ["4"]);
        roff.control("nf", []);
        for line in lines.lines() {
            roff.text([roman(line)]);
        }
        roff.control("fi", []);
        roff.control("RE", []);
    }
}
