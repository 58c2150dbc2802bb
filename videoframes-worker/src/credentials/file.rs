//! A password in a file that another program replaces.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use videoframes_core::database::{DatabaseCredentials, DatabaseLogin, DatabasePassword};

/// Interval at which the file is read again.
const INTERVAL: Duration = Duration::from_secs(5);

/// The file in `VF_DATABASE_PASSWORD_FILE`.
#[derive(Debug)]
pub(crate) struct PasswordFile {
    path: PathBuf,
}

impl PasswordFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }
}

#[async_trait]
impl DatabaseCredentials for PasswordFile {
    async fn password(&self, _: &DatabaseLogin) -> Result<DatabasePassword, Box<dyn Error + Send + Sync>> {
        let content = tokio::fs::read_to_string(&self.path).await;
        let password = content.and_then(password);
        let password = password.map_err(|error| format!("'{}': {error}", self.path.display()))?;
        Ok(DatabasePassword::new(password, INTERVAL))
    }
}

/// Reads the password at startup, so that a missing file is an error of the configuration.
pub(crate) fn read_password(path: &Path) -> io::Result<String> {
    std::fs::read_to_string(path).and_then(password)
}

/// Returns the content of the file without the end of its line. An empty file is an error: the program that replaces
/// the file may have truncated it first.
fn password(content: String) -> io::Result<String> {
    let password = content.strip_suffix('\n').unwrap_or(&content);
    let password = password.strip_suffix('\r').unwrap_or(password);
    match password.is_empty() {
        true => Err(io::Error::new(io::ErrorKind::InvalidData, "the file is empty")),
        false => Ok(password.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_ends_before_the_end_of_the_line() {
        for (content, expected) in [
            ("s3cret", Some("s3cret")),
            ("s3cret\n", Some("s3cret")),
            ("s3cret\r\n", Some("s3cret")),
            (" s3 cret \n", Some(" s3 cret ")),
            ("s3cret\n\n", Some("s3cret\n")),
            ("", None),
            ("\n", None),
        ] {
            assert_eq!(
                password(content.to_owned()).ok().as_deref(),
                expected,
                "{content:?}"
            );
        }
    }
}
