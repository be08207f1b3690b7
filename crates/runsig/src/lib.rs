//! What the program's command line is, for the program itself and for what is made from the same
//! definitions: manual pages and completions (`runsig-pages`).

pub mod cli;
