//! Authentication and TLS of the database.

use std::path::PathBuf;

use videoframes_core::database::DatabaseTls;

use super::values::Reader;
use crate::args::LocationArgs;
use crate::credentials::read_password;

/// The source of the database password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DatabaseAuth {
    /// The address of the database.
    Address,
    /// A file.
    File(PathBuf),
    /// Tokens of AWS IAM.
    Iam,
}

/// Authentication and TLS of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DatabaseSettings {
    pub(crate) auth: DatabaseAuth,
    /// `None` for the default, which depends on the host.
    pub(crate) tls: Option<DatabaseTls>,
    pub(crate) tls_ca_file: Option<PathBuf>,
}

impl DatabaseSettings {
    pub(super) fn read(location: &LocationArgs, read: &mut Reader) -> Self {
        if location.local.is_some() {
            return Self {
                auth: DatabaseAuth::Address,
                tls: None,
                tls_ca_file: None,
            };
        }
        let iam = read.get("VF_DATABASE_AUTH", |text| match text {
            "password" => Ok(false),
            "iam" => Ok(true),
            _ => Err("password or iam".to_owned()),
        });
        let file = read.optional("VF_DATABASE_PASSWORD_FILE", password_file);
        if iam && read.is_set("VF_DATABASE_PASSWORD_FILE") {
            read.record(
                "VF_DATABASE_PASSWORD_FILE and VF_DATABASE_AUTH=iam exclude each other: set only one",
            );
        }
        let tls = read.optional("VF_DATABASE_TLS", tls);
        if iam && tls == Some(DatabaseTls::Off) {
            read.record("VF_DATABASE_AUTH=iam needs TLS, so VF_DATABASE_TLS must not be off");
        }
        // RDS accepts tokens only through TLS. A tunnel would otherwise count as a local server.
        let default_tls = iam.then_some(DatabaseTls::VerifyFull);
        Self {
            auth: match file {
                _ if iam => DatabaseAuth::Iam,
                Some(file) => DatabaseAuth::File(file),
                None => DatabaseAuth::Address,
            },
            tls: tls.or(default_tls),
            tls_ca_file: read.optional("VF_DATABASE_TLS_CA_FILE", |text| Ok(PathBuf::from(text))),
        }
    }
}

fn tls(text: &str) -> Result<DatabaseTls, String> {
    match text {
        "verify-full" => Ok(DatabaseTls::VerifyFull),
        "verify-ca" => Ok(DatabaseTls::VerifyCa),
        "require" => Ok(DatabaseTls::Require),
        "off" => Ok(DatabaseTls::Off),
        _ => Err("verify-full, verify-ca, require or off".to_owned()),
    }
}

fn password_file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match read_password(&path) {
        Ok(_) => Ok(path),
        Err(error) => Err(format!("a readable file with a password: {error}")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use videoframes_console::options::VerboseArgs;

    use super::*;

    fn of(local: Option<&str>, values: &[(&str, &str)]) -> Result<DatabaseSettings, Vec<String>> {
        let location = LocationArgs {
            local: local.map(PathBuf::from),
            verbose: VerboseArgs::default(),
        };
        let values = values
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut read = Reader::new(values.collect());
        let settings = DatabaseSettings::read(&location, &mut read);
        match read.is_fine() {
            true => Ok(settings),
            false => Err(read.into_errors()),
        }
    }

    #[test]
    fn the_password_has_one_source() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let empty = of(None, &[("VF_DATABASE_PASSWORD_FILE", path)]).unwrap_err();
        assert!(
            empty[0].contains(path) && empty[0].contains("the file is empty"),
            "{empty:?}"
        );
        std::fs::write(path, "s3cret\n").unwrap();
        let auth = |values: &[(&str, &str)]| of(None, values).map(|settings| settings.auth);
        assert_eq!(auth(&[]), Ok(DatabaseAuth::Address));
        let set = ("VF_DATABASE_PASSWORD_FILE", path);
        assert_eq!(auth(&[set]), Ok(DatabaseAuth::File(path.into())));
        assert_eq!(auth(&[("VF_DATABASE_AUTH", "iam")]), Ok(DatabaseAuth::Iam));
        let both = auth(&[set, ("VF_DATABASE_AUTH", "iam")]).unwrap_err();
        assert!(both[0].contains("set only one"), "{both:?}");
        let missing = auth(&[("VF_DATABASE_PASSWORD_FILE", "/no/such/file")]).unwrap_err();
        assert!(
            missing[0].contains("'/no/such/file' is not a readable file"),
            "{missing:?}"
        );
        // A local database has no password.
        let local = of(Some("data"), &[("VF_DATABASE_PASSWORD_FILE", "/no/such/file")]);
        assert_eq!(local.unwrap().auth, DatabaseAuth::Address);
    }

    #[test]
    fn tokens_are_never_sent_without_tls() {
        let tls = |values: &[(&str, &str)]| of(None, values).map(|settings| settings.tls);
        let iam = ("VF_DATABASE_AUTH", "iam");
        assert_eq!(tls(&[]), Ok(None));
        assert_eq!(tls(&[("VF_DATABASE_TLS", "off")]), Ok(Some(DatabaseTls::Off)));
        assert_eq!(tls(&[iam]), Ok(Some(DatabaseTls::VerifyFull)));
        assert_eq!(
            tls(&[iam, ("VF_DATABASE_TLS", "verify-ca")]),
            Ok(Some(DatabaseTls::VerifyCa))
        );
        let off = tls(&[iam, ("VF_DATABASE_TLS", "off")]).unwrap_err();
        assert!(off[0].contains("needs TLS"), "{off:?}");
        let prefer = tls(&[("VF_DATABASE_TLS", "prefer")]).unwrap_err();
        assert!(
            prefer[0].contains("verify-full, verify-ca, require or off"),
            "{prefer:?}"
        );
    }
}
