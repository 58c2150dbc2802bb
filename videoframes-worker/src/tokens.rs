//! `vf-worker token`: creates, lists and revokes access tokens.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use videoframes_console::options::{JsonArgs, wall_time};
use videoframes_console::{Failure, exit, to_json};
use videoframes_core::access::{
    AccessToken, NewToken, Scopes, SeaOrmTokens, TokenError, TokenName, TokenRegistry, TokenSecret,
};
use videoframes_core::clock::UnixMillis;
use videoframes_core::tenant::Tenant;

use crate::config::Config;
use crate::connections::open;
use crate::stdout::print;

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    action: TokenAction,
}

#[derive(Debug, Subcommand)]
enum TokenAction {
    /// Create a token and print it; the token cannot be printed again
    Create(CreateArgs),
    /// List the tokens, without their secrets
    List(JsonArgs),
    /// Revoke tokens; workers reject them within 5 seconds
    Revoke {
        /// Names of tokens
        #[arg(value_name = "NAME", required = true)]
        names: Vec<TokenName>,
    },
}

#[derive(Debug, Args)]
struct CreateArgs {
    /// Name of the token in logs, such as the user or the program that holds it
    #[arg(long, value_name = "NAME")]
    name: TokenName,
    /// What the holder may do: read, submit and operate (cancel, retry, keep, redrive), separated by commas
    #[arg(long, value_name = "SCOPES", default_value = "read")]
    scope: Scopes,
    /// Time after which the token is invalid: 12h, 90d [default: never]
    #[arg(long, value_name = "DURATION", value_parser = wall_time)]
    expires: Option<Duration>,
    /// Tenant of all jobs that the holder submits; other tenants are refused [default: any tenant]
    #[arg(long, value_name = "NAME")]
    tenant: Option<Tenant>,
}

pub(crate) async fn run(config: &Config, args: &TokenArgs) -> Result<ExitCode, Failure> {
    let connections = open(config).await?;
    let tokens = SeaOrmTokens::new(connections.database);
    match &args.action {
        TokenAction::Create(args) => create(&tokens, args).await,
        TokenAction::List(json) => list(&tokens, json).await,
        TokenAction::Revoke { names } => revoke(&tokens, names).await,
    }
}

async fn create(tokens: &SeaOrmTokens, args: &CreateArgs) -> Result<ExitCode, Failure> {
    let secret = TokenSecret::generate().map_err(|error| Failure::internal(&error))?;
    let mut new = NewToken::new(args.name.clone(), secret.hash(), args.scope.clone());
    new.lifetime = args.expires;
    new.tenant.clone_from(&args.tenant);
    tokens.create(&new).await.map_err(|error| match &error {
        TokenError::AlreadyExists(_) => {
            Failure::because(exit::CONFLICT, &error).hint("choose another name, or revoke the token first")
        }
        _ => unavailable(&error),
    })?;
    print(&format!("{}\n", secret.reveal()))
}

async fn list(tokens: &SeaOrmTokens, args: &JsonArgs) -> Result<ExitCode, Failure> {
    let tokens = tokens.tokens().await.map_err(|error| unavailable(&error))?;
    print(&match args.json {
        true => to_json(&tokens)?,
        false => table(&tokens),
    })
}

async fn revoke(tokens: &SeaOrmTokens, names: &[TokenName]) -> Result<ExitCode, Failure> {
    let mut missing = Vec::new();
    for name in names {
        match tokens.revoke(name).await.map_err(|error| unavailable(&error))? {
            true => eprintln!("revoked '{name}'"),
            false => missing.push(format!("no token has the name '{name}'")),
        }
    }
    match missing.is_empty() {
        true => Ok(ExitCode::SUCCESS),
        false => Err(Failure::all(exit::NOT_FOUND, missing).hint("'vf-worker token list' lists the tokens")),
    }
}

fn unavailable(error: &TokenError) -> Failure {
    Failure::because(exit::UNAVAILABLE, error)
}

/// Returns a table with one line per token.
fn table(tokens: &[AccessToken]) -> String {
    let width = tokens.iter().map(|token| token.name.as_str().len());
    let width = width.max().unwrap_or(0).max("name".len());
    let time =
        |at: Option<UnixMillis>| at.map_or_else(|| "-".to_owned(), |at| at.to_string()[..19].to_owned());
    let mut text = format!(
        "{:<width$}  {:<19}  {:<19}  {:<19}  {:<19}  {}\n",
        "name", "scopes", "created", "expires", "last used", "tenant"
    );
    for token in tokens {
        text += format!(
            "{:<width$}  {:<19}  {:<19}  {:<19}  {:<19}  {}",
            token.name,
            token.scopes,
            time(Some(token.created_at)),
            time(token.expires_at),
            time(token.last_used_at),
            token.tenant.as_ref().map_or("-", Tenant::as_str)
        )
        .trim_end();
        text.push('\n');
    }
    text
}
