//! Writes the manual pages and completions: `runsig-pages DIR [DATE]`.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (dir, date) = match args.as_slice() {
        [dir] => (dir, runsig_pages::NO_DATE),
        [dir, date] => (dir, date.as_str()),
        _ => {
            eprintln!("usage: runsig-pages DIR [YYYY-MM-DD]");
            return ExitCode::from(2);
        }
    };
    match runsig_pages::write_all(Path::new(dir), date) {
        Ok(written) => {
            println!("{} files in {dir}", written.len());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{dir}: {error}");
            ExitCode::FAILURE
        }
    }
}
