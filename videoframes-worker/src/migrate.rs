//! `vf-worker migrate`: migrations of the database schema.

use std::process::ExitCode;

use videoframes_console::{Failure, exit};
use videoframes_core::database::migration::{MigrationStatus, down, migrate, status};

use crate::args::{MigrateAction, MigrateArgs};
use crate::config::Config;
use crate::connections::{connect_directly, schema};
use crate::stdout::print;

pub(crate) async fn run(config: &Config, args: &MigrateArgs) -> Result<ExitCode, Failure> {
    let database = connect_directly(config).await?;
    if database.is_pooled() {
        return Err(
            Failure::new(exit::USAGE, "migrations cannot run through a connection pooler")
                .hint("set VF_DATABASE_DIRECT_URL to the address of the database server"),
        );
    }
    let failed = |error| -> Failure { schema(&error) };
    match args.action {
        MigrateAction::Up => migrate(database.connection()).await.map_err(failed)?,
        MigrateAction::Down { steps } => down(database.connection(), steps).await.map_err(failed)?,
        MigrateAction::Status => {}
    }
    let mut text = String::new();
    for state in status(database.connection()).await.map_err(failed)? {
        let what = match (state.status, state.known) {
            (MigrationStatus::Applied, true) => "applied",
            (MigrationStatus::Applied, false) => "applied by a newer version",
            (MigrationStatus::Pending, _) => "pending",
        };
        text += &format!("{}  {what}\n", state.name);
    }
    print(&text)
}
