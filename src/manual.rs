//! What `zoonet completions` and `zoonet man` write: shell completions and man pages, both made
//! from the command line as it is declared.
//!
//! # Decisions
//!
//! * The program writes them itself, instead of a build script or files beside it: it is one file
//!   that is copied to hosts and into images, and what it writes there fits it.

use std::io::{self, Write};
use std::path::Path;

use clap::Command;
use clap_complete::Shell;

/// The completions of a shell for this command line.
///
/// # Errors
/// Those of `out`.
pub fn completions(mut command: Command, shell: Shell, out: &mut impl Write) -> io::Result<()> {
    let name = command.get_name().to_owned();
    // Made in memory: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    out.write_all(&script)
}

/// Writes a man page for the program and one for each command, section 1, into a directory, which
/// is made if it is not there.
///
/// # Errors
/// Of writing.
pub fn pages(command: Command, directory: &Path) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    clap_mangen::generate_to(command, directory)
}
