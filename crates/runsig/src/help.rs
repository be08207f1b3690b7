//! Help, laid out as runc's: NAME, USAGE, OPTIONS.
//!
//! Owns: the layout. Must not: know a verb or a flag; [`runsig::cli`] does.

use runsig::cli::{self, Verb};

use crate::failure::called_as;

/// The help of the program.
pub(crate) fn of_program() -> String {
    let called = called_as();
    let template = format!(
        "NAME:\n   {called} - {{about}}\n\n{}\n\nUSAGE:\n   {called} {}\n\n\
         COMMANDS:\n{{subcommands}}\n\nGLOBAL OPTIONS:\n{{options}}\n",
        indented(cli::MORE_ABOUT),
        cli::USAGE,
    );
    cli::full().help_template(template).render_help().to_string()
}

/// The help of one verb.
pub(crate) fn of_verb(verb: &Verb) -> String {
    let called = format!("{} {}", called_as(), verb.name);
    let template = format!(
        "NAME:\n   {called} - {{about}}\n\nUSAGE:\n   {called} [options] {}\n\nOPTIONS:\n{{options}}\n",
        verb.usage
    );
    cli::command(verb).help_template(template).render_help().to_string()
}

fn indented(text: &str) -> String {
    let lines = text.lines().map(|line| if line.is_empty() { String::new() } else { format!("   {line}") });
    lines.collect::<Vec<_>>().join("\n")
}
