//! Accepts clients. A placeholder.

use crate::config::Config;

/// Runs the sidecar.
///
/// # Errors
/// Always, for now.
pub async fn run(_config: Config) -> std::io::Result<()> {
    Err(std::io::Error::other("not built yet"))
}
