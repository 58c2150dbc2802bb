//! Private servers of a test.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::resources;

/// Runs a script that starts or stops a server; returns `None` with a message if the server is not installed.
pub(crate) fn script(name: &str, args: &[&str]) -> Option<String> {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts");
    let output = Command::new(scripts.join(name)).args(args).output().unwrap();
    if output.status.code() == Some(3) {
        eprintln!("skipped: what scripts/{name} starts is not installed");
        return None;
    }
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

/// A private Postgres server that a test may kill or configure.
pub(crate) struct Postgres {
    pub(crate) folder: PathBuf,
    /// Address of its socket, for a superuser without a password.
    pub(crate) address: String,
}

impl Postgres {
    pub(crate) fn start() -> Option<Self> {
        Self::start_as(&[])
    }

    /// Starts a server that requires passwords on 127.0.0.1 and has a certificate for `localhost`.
    pub(crate) fn start_with_tls() -> Option<Self> {
        Self::start_as(&["tls"])
    }

    fn start_as(kind: &[&str]) -> Option<Self> {
        // A configured Postgres implies that Postgres is installed.
        resources::named("VF_TEST_POSTGRES", "skipped")?;
        // Not in $TMPDIR, since the path of a socket must be short.
        let folder = tempfile::Builder::new()
            .prefix("vf-pg.")
            .tempdir_in("/tmp")
            .unwrap()
            .keep();
        let address = script("postgres", &[&["start", folder.to_str().unwrap()], kind].concat())?;
        Some(Self { folder, address })
    }

    /// Returns the TCP port.
    pub(crate) fn port(&self) -> &str {
        let (_, rest) = self.address.split_once("port=").unwrap();
        rest.split('&').next().unwrap()
    }

    /// Returns the file of the authority that issued the certificate.
    pub(crate) fn ca_file(&self) -> String {
        self.folder.join("ca.crt").to_str().unwrap().to_owned()
    }

    pub(crate) fn restart(&self) {
        script("postgres", &["restart", self.folder.to_str().unwrap()]).unwrap();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        script("postgres", &["stop", self.folder.to_str().unwrap()]);
    }
}
