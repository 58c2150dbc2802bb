//! Passwords that change, and TLS, with a database server that requires both.

use std::path::PathBuf;
use std::process::Command;

use super::place::{Place, wait};
use super::server::Postgres;
use super::video;

/// Sessions of the workers; the tests use another user.
const END_SESSIONS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'worker'";

/// A server with passwords and TLS, a database, and a user for workers.
struct Guarded {
    server: Postgres,
    place: Place,
}

impl Guarded {
    fn start() -> Option<Self> {
        let server = Postgres::start_with_tls()?;
        let place = Place::at(&server.address);
        place.sql("CREATE ROLE worker SUPERUSER LOGIN PASSWORD 'first'");
        let guarded = Self { server, place };
        guarded.write_password("first\n");
        Some(guarded)
    }

    fn password_file(&self) -> PathBuf {
        self.place.folder.path().join("password")
    }

    /// Replaces the file as a secret store does.
    fn write_password(&self, content: &str) {
        let new = self.password_file().with_extension("new");
        std::fs::write(&new, content).unwrap();
        std::fs::rename(&new, self.password_file()).unwrap();
    }

    fn change_password(&self, password: &str) {
        self.place
            .sql(&format!("ALTER ROLE worker PASSWORD '{password}'"));
    }

    /// Returns the address of the database by TCP, without a password.
    fn url(&self, host: &str) -> String {
        let url = self.place.database_url();
        let (path, _) = url.split_once('?').unwrap();
        let (_, name) = path.rsplit_once('/').unwrap();
        format!("postgres://worker@{host}:{}/{name}", self.server.port())
    }

    fn environment(&self) -> [(&'static str, String); 3] {
        [
            ("DATABASE_URL", self.url("localhost")),
            (
                "VF_DATABASE_PASSWORD_FILE",
                self.password_file().to_str().unwrap().to_owned(),
            ),
            ("VF_DATABASE_TLS_CA_FILE", self.server.ca_file()),
        ]
    }

    /// Returns a command that connects to the database at `host`, with the password in the address.
    fn jobs(&self, host: &str, query: &str, variables: &[(&str, &str)]) -> Command {
        let url = self.url(host).replace("worker@", "worker:first@");
        let mut command = self.place.command(&["jobs"]);
        command
            .env("DATABASE_URL", format!("{url}{query}"))
            .envs(variables.iter().copied());
        command
    }

    fn completed(&self) -> usize {
        let jobs = self.place.jobs();
        jobs.iter().filter(|job| job["status"] == "completed").count()
    }
}

/// Runs a command that must fail; returns the exit code and the text on stderr.
fn failure(mut command: Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{stderr}");
    assert!(!stderr.contains("first"), "no password is shown: {stderr}");
    (output.status.code(), stderr)
}

fn succeeds(mut command: Command) {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
}

#[test]
fn a_new_password_in_the_middle_of_jobs_costs_no_attempt() {
    let Some(guarded) = Guarded::start() else { return };
    let place = &guarded.place;
    for _ in 0..20 {
        place.submit(video::short(), &["--fps", "4", "-f", "png"]);
    }
    let environment = guarded.environment();
    let mut environment: Vec<(&str, &str)> = environment
        .iter()
        .map(|(name, value)| (*name, &**value))
        .collect();
    environment.extend([("VF_REUSE", "off"), ("VF_CONCURRENCY", "2")]);
    let mut worker = place.worker(&environment, &[]);

    // The file is replaced before the sessions end.
    wait("some jobs are completed", || guarded.completed() >= 2);
    guarded.change_password("second");
    guarded.write_password("second");
    place.sql(END_SESSIONS);
    assert!(guarded.completed() < 20, "jobs are in progress");

    // The file is replaced after the server has refused the last password.
    let before = guarded.completed();
    wait("more jobs are completed", || guarded.completed() >= before + 2);
    guarded.change_password("third");
    place.sql(END_SESSIONS);
    assert!(guarded.completed() < 20, "jobs are in progress");
    wait("the password is refused", || {
        worker.log().contains("password authentication failed")
    });
    guarded.write_password("third");
    wait("all jobs are completed", || guarded.completed() == 20);
    wait("all notifications are sent", || place.notifications().len() >= 20);
    for job in place.jobs() {
        assert_eq!(
            (&job["attempts"], &job["crash_count"]),
            (&1.into(), &0.into()),
            "{job}"
        );
    }
    assert!(
        worker.log().contains("use the renewed password"),
        "{}",
        worker.log()
    );
    worker.signal("TERM");
    assert!(worker.wait().success(), "{}", worker.log());
    place.check(20);
}

#[test]
fn a_password_file_that_disappears_leaves_the_last_password() {
    let Some(guarded) = Guarded::start() else { return };
    let place = &guarded.place;
    let environment = guarded.environment();
    let environment = environment.each_ref().map(|(name, value)| (*name, &**value));
    let mut worker = place.worker(&environment, &[]);
    let warnings = || worker.log().matches("failed to renew database password").count();
    let works = |number: &str| {
        let id = place.submit(video::short(), &["-n", number]);
        place.sql(END_SESSIONS);
        place.wait_for(&id, |job| job["status"] == "completed");
    };
    works("1");
    guarded.write_password("");
    wait("the empty file is reported", || warnings() == 1);
    works("2");
    guarded.write_password("first");
    wait("the password is available again", || {
        worker.log().contains("the database password is available again")
    });
    std::fs::remove_file(guarded.password_file()).unwrap();
    wait("the missing file is reported", || warnings() == 2);
    works("3");
    worker.signal("TERM");
    assert!(worker.wait().success(), "{}", worker.log());

    // At the start, the same is an error.
    let mut run = place.command(&["run"]);
    run.envs(environment);
    let (code, stderr) = failure(run);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(
        stderr.contains("VF_DATABASE_PASSWORD_FILE") && stderr.contains("No such file"),
        "{stderr}"
    );
}

#[test]
fn the_certificate_of_the_server_is_verified() {
    let Some(guarded) = Guarded::start() else { return };
    let ca_file = guarded.server.ca_file();
    let ca = ("VF_DATABASE_TLS_CA_FILE", ca_file.as_str());
    succeeds(guarded.jobs("localhost", "", &[ca]));
    // The certificate is for `localhost` only.
    let (code, stderr) = failure(guarded.jobs("127.0.0.1", "", &[ca]));
    assert_eq!(code, Some(21), "{stderr}");
    assert!(
        stderr.contains("failed to establish TLS") && stderr.contains("not valid for name"),
        "{stderr}"
    );
    succeeds(guarded.jobs("127.0.0.1", "", &[ca, ("VF_DATABASE_TLS", "verify-ca")]));
    // The authority is not known to the system.
    for mode in ["verify-full", "verify-ca"] {
        let (code, stderr) = failure(guarded.jobs("localhost", "", &[("VF_DATABASE_TLS", mode)]));
        assert_eq!(code, Some(21), "{stderr}");
        assert!(
            stderr.contains("UnknownIssuer") && stderr.contains("VF_DATABASE_TLS_CA_FILE"),
            "{stderr}"
        );
    }
    succeeds(guarded.jobs("localhost", "", &[("VF_DATABASE_TLS", "require")]));
    let missing = ("VF_DATABASE_TLS_CA_FILE", "/no/such/file");
    let (code, stderr) = failure(guarded.jobs("localhost", "", &[missing]));
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("'/no/such/file'"), "{stderr}");
}

/// On Linux, a connection to 0.0.0.0 reaches this machine, but the address is not one of the loopback interface.
#[test]
fn a_server_without_tls_is_refused_unless_it_is_on_this_machine() {
    let Some(guarded) = Guarded::start() else { return };
    guarded.place.sql("ALTER SYSTEM SET ssl = off");
    guarded.place.sql("SELECT pg_reload_conf()");
    wait("the server has no TLS", || {
        let output = guarded
            .jobs("localhost", "", &[("VF_DATABASE_TLS", "require")])
            .output();
        String::from_utf8_lossy(&output.unwrap().stderr).contains("does not support TLS")
    });
    let (code, stderr) = failure(guarded.jobs("0.0.0.0", "", &[]));
    assert_eq!(code, Some(21), "{stderr}");
    assert!(
        stderr.contains("server does not support TLS") && stderr.contains("VF_DATABASE_TLS=off"),
        "{stderr}"
    );
    succeeds(guarded.jobs("0.0.0.0", "", &[("VF_DATABASE_TLS", "off")]));
    succeeds(guarded.jobs("localhost", "", &[]));
    succeeds(guarded.jobs("127.0.0.1", "", &[]));
    // An address does not weaken the default or the variable.
    for (variables, option) in [
        (&[][..], "the default for the host '0.0.0.0'"),
        (&[("VF_DATABASE_TLS", "require")], "TLS mode require"),
    ] {
        let (code, stderr) = failure(guarded.jobs("0.0.0.0", "?sslmode=disable", variables));
        assert_eq!(code, Some(2), "{stderr}");
        assert!(
            stderr.contains("sslmode=disable")
                && stderr.contains(option)
                && stderr.contains("VF_DATABASE_TLS"),
            "{stderr}"
        );
    }
}

/// Only RDS accepts tokens. Another server compares the token with the password of the user.
#[test]
fn tokens_of_iam_are_sent_as_passwords() {
    let Some(guarded) = Guarded::start() else { return };
    let command = |variables: &[(&str, &str)]| {
        let mut command = guarded.place.command(&["jobs"]);
        command
            .env("DATABASE_URL", guarded.url("localhost"))
            .env("VF_DATABASE_AUTH", "iam")
            .env("VF_DATABASE_TLS_CA_FILE", guarded.server.ca_file())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
        for name in ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            command.env_remove(name);
        }
        command.envs(variables.iter().copied());
        command
    };
    let keys = [
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let (code, stderr) = failure(command(&[]));
    assert_eq!(code, Some(21), "{stderr}");
    assert!(
        stderr.contains("failed to get the password of the database"),
        "{stderr}"
    );
    let (_, stderr) = failure(command(&keys));
    assert!(stderr.contains("no AWS region is set"), "{stderr}");
    let (code, stderr) = failure(command(&[keys[0], keys[1], ("AWS_REGION", "eu-west-1")]));
    assert_eq!(code, Some(21), "{stderr}");
    assert!(stderr.contains("password authentication failed"), "{stderr}");
}
