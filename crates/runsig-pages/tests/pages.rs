//! The pages and completions beside the definitions and the programs that read them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use runsig::cli;

/// A directory that goes with the test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let path = std::env::temp_dir().join(format!("runsig-pages-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Dir(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn written(name: &str) -> (Dir, Vec<PathBuf>) {
    let dir = Dir::new(name);
    let files = runsig_pages::write_all(&dir.0, "2026-01-02").unwrap();
    (dir, files)
}

/// The flags of a verb that help shows, as typed.
fn flags(command: &clap::Command) -> Vec<String> {
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    shown
        .flat_map(|arg| {
            let long = arg.get_long().map(|long| format!("--{long}"));
            long.into_iter().chain(arg.get_short().map(|short| format!("-{short}")))
        })
        .collect()
}

/// A page without the escapes of its hyphens and fonts.
fn plain(page: &[u8]) -> String {
    let text = String::from_utf8(page.to_vec()).unwrap();
    ["\\fB", "\\fI", "\\fR"].iter().fold(text.replace("\\-", "-"), |text, font| text.replace(font, ""))
}

/// Whether it worked, its output and its complaints.
fn run(program: &str, args: &[&str]) -> (bool, String, String) {
    let output = Command::new(program)
        .args(args)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; hack/setup installs it"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn every_verb_and_flag_is_in_its_page() {
    for verb in cli::VERBS {
        let page = plain(&runsig_pages::verb_page(verb, "").unwrap());
        for flag in flags(&cli::command(verb)) {
            // What may follow it: its end, the other form, a value, a value that may be left out.
            let is_there = ["\n", ",", " ", "["].iter().any(|end| page.contains(&format!("{flag}{end}")));
            assert!(is_there, "runsig-{}.8 lacks {flag}", verb.name);
        }
        for section in [
            ".SH NAME",
            ".SH SYNOPSIS",
            ".SH DESCRIPTION",
            ".SH OPTIONS",
            ".SH \"EXIT STATUS\"",
            ".SH EXAMPLES",
            ".SH \"SEE ALSO\"",
        ] {
            assert!(page.contains(section), "runsig-{}.8 lacks {section}:\n{page}", verb.name);
        }
        assert!(page.contains(verb.usage), "runsig-{}.8 lacks its usage", verb.name);
    }
    let page = plain(&runsig_pages::program_page("").unwrap());
    for flag in flags(&cli::globals()) {
        assert!(page.contains(&flag), "runsig.8 lacks {flag}");
    }
    for verb in cli::VERBS {
        assert!(page.contains(&format!("runsig-{}(8)", verb.name)), "runsig.8 lacks {}", verb.name);
    }
}

fn pages(files: &[PathBuf]) -> impl Iterator<Item = &PathBuf> {
    files.iter().filter(|file| file.extension().is_some_and(|kind| kind == "8"))
}

#[test]
fn references_lead_to_pages() {
    let (_dir, files) = written("references");
    for file in pages(&files) {
        let page = plain(&fs::read(file).unwrap());
        let words = page.split(|c: char| c.is_whitespace() || c == ',' || c == ';');
        let ours = words.filter_map(|word| word.trim_end_matches('.').strip_suffix("(8)"));
        for name in ours.filter(|name| name.starts_with("runsig")) {
            let there = files.iter().any(|file| file.ends_with(format!("{name}.8")));
            assert!(there, "{}: {name}", file.display());
        }
    }
}

/// The lines between `.nf` and `.fi` that call Runsig, without what a shell does with them.
fn example_calls(page: &str) -> Vec<String> {
    let blocks = page.split("\n.nf\n").skip(1).filter_map(|rest| rest.split("\n.fi").next());
    let commands = blocks.flat_map(|block| block.lines().flat_map(|line| line.split(['|', '&'])));
    let calls = commands.filter_map(|command| command.trim().strip_prefix("runsig "));
    calls.map(|call| call.replace('\'', "")).collect()
}

#[test]
fn examples_are_calls_that_parse() {
    let (_dir, files) = written("examples");
    let mut seen = 0;
    for file in pages(&files) {
        for call in example_calls(&plain(&fs::read(file).unwrap())) {
            let words = std::iter::once("runsig").chain(call.split_whitespace());
            let globals =
                cli::globals().try_get_matches_from(words).unwrap_or_else(|error| panic!("{call}: {error}"));
            let (verb, rest) = globals.subcommand().unwrap_or_else(|| panic!("{call}: no verb"));
            let rest: Vec<_> = rest.get_many::<OsString>("").into_iter().flatten().cloned().collect();
            let verb = cli::find(verb).unwrap_or_else(|| panic!("{call}: {verb} is no verb"));
            cli::command(verb).try_get_matches_from(rest).unwrap_or_else(|error| panic!("{call}: {error}"));
            seen += 1;
        }
    }
    assert!(seen > cli::VERBS.len(), "{seen} examples");
}

#[test]
fn pages_render_without_a_warning() {
    let (_dir, files) = written("render");
    for page in pages(&files) {
        let path = page.to_str().unwrap();
        let (worked, _, complaints) = run("groff", &["-man", "-ww", "-z", "-T", "utf8", path]);
        assert!(worked && complaints.is_empty(), "{path}: {complaints}");
        let (worked, text, complaints) = run("man", &["--warnings=w", "-l", path]);
        assert!(worked && text.contains("SEE ALSO") && complaints.is_empty(), "{path}: {complaints}");
    }
}

#[test]
fn every_verb_and_flag_is_in_the_completions() {
    for (shell, name) in runsig_pages::SHELLS {
        let script = String::from_utf8(runsig_pages::completion(*shell)).unwrap();
        for verb in cli::VERBS {
            assert!(script.contains(verb.name), "{name} lacks {}", verb.name);
            for flag in flags(&cli::command(verb)) {
                let word = if name.ends_with(".fish") {
                    flag.strip_prefix("--")
                        .map_or_else(|| format!("-s {}", &flag[1..]), |long| format!("-l {long}"))
                } else {
                    flag
                };
                assert!(script.contains(&word), "{name} lacks {word} of {}", verb.name);
            }
        }
    }
}

/// Asks bash itself, as a user with the TAB key does.
fn bash_offers(script: &Path, words: &[&str]) -> Vec<String> {
    let line = words.join("' '");
    let commands = format!(
        "source '{}'; COMP_WORDS=('{line}'); COMP_CWORD={}; _runsig runsig \"${{COMP_WORDS[COMP_CWORD]}}\" \
         \"${{COMP_WORDS[COMP_CWORD-1]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.display(),
        words.len() - 1
    );
    let (worked, offers, complaints) = run("bash", &["--norc", "-c", &commands]);
    assert!(worked, "{complaints}");
    offers.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_verbs_and_flags() {
    let (dir, _files) = written("bash");
    let script = dir.0.join("completions/runsig");
    let verbs = bash_offers(&script, &["runsig", ""]);
    for verb in cli::VERBS {
        assert!(verbs.iter().any(|offer| offer == verb.name), "{verbs:?} lacks {}", verb.name);
    }
    assert_eq!(bash_offers(&script, &["runsig", "sig"]), ["signals"]);
    assert_eq!(bash_offers(&script, &["runsig", "stop", "--tim"]), ["--timeout"]);
}

#[test]
fn zsh_and_fish_read_their_completions() {
    let (dir, _files) = written("shells");
    for (shell, name) in [("zsh", "_runsig"), ("fish", "runsig.fish")] {
        let path = dir.0.join("completions").join(name);
        let (worked, _, complaints) = run(shell, &["-n", path.to_str().unwrap()]);
        assert!(worked && complaints.is_empty(), "{shell}: {complaints}");
    }
    let script = dir.0.join("completions/runsig.fish");
    let ask = format!("source {}; complete --do-complete 'runsig stop --tim'", script.display());
    let (worked, offers, _) = run("fish", &["--no-config", "-c", &ask]);
    assert!(worked && offers.starts_with("--timeout"), "{offers}");
}
