//! Retries of calls that have had no effect, since their connection was refused or lost.

use std::borrow::Cow;
#[cfg(feature = "postgres")]
use std::sync::Arc;

use metrics::counter;
use sea_orm::{DbErr, RuntimeErr, sqlx};

#[cfg(feature = "postgres")]
use super::passwords::Renewer;

/// What a call may have changed by the time at which its connection is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing, or the same as a repeated call: a read, the begin of a transaction, the renewal of a lease.
    Repeatable,
    /// A write whose commit may have succeeded before the connection was lost.
    Once,
}

/// The reason why a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// The server refused the password, so nothing was executed.
    Refused,
    /// The server ended the session, or the connection broke.
    Lost,
    /// A retry would fail again, or its caller has to decide.
    Other,
}

/// What follows a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Repeat,
    /// Repeat the call if there is another password.
    Renew,
    Fail,
}

/// Failures of a call so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Past {
    refused: u32,
    lost: u32,
}

/// Decides whether to repeat a call. Each of `max_lost` idle connections may have been ended by the server.
fn decide(failure: Failure, effect: Effect, past: Past, max_lost: u32) -> Decision {
    match (failure, effect) {
        // Credentials with a new password for every call could be refused forever.
        (Failure::Refused, _) if past.refused == 0 => Decision::Renew,
        (Failure::Lost, Effect::Repeatable) if past.lost < max_lost => Decision::Repeat,
        _ => Decision::Fail,
    }
}

/// Classifies the SQLSTATE of an error of Postgres.
///
/// `28P01` is a wrong password. `28000` is any other refused login; Amazon RDS also answers so to an expired token.
/// `57P01` and `57P02` are sessions that an administrator or a crash of the server ended.
fn classify_code(code: &str) -> Failure {
    match code {
        "28P01" | "28000" => Failure::Refused,
        "57P01" | "57P02" => Failure::Lost,
        _ => Failure::Other,
    }
}

/// Returns whether a SQLSTATE is a refusal for lack of permission. `42501` is a missing privilege.
fn is_refusal(code: &str) -> bool {
    code == "42501" || classify_code(code) == Failure::Refused
}

/// Returns the error of the client, if `error` has one.
fn client_error(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

/// Returns the SQLSTATE of an error of the server.
fn code(error: &DbErr) -> Option<Cow<'_, str>> {
    client_error(error)?.as_database_error()?.code()
}

fn classify(error: &DbErr) -> Failure {
    match client_error(error) {
        Some(sqlx::Error::Io(_)) => Failure::Lost,
        _ => code(error).map_or(Failure::Other, |code| classify_code(&code)),
    }
}

/// Returns whether the connection of a call was lost.
pub(super) fn is_lost(error: &DbErr) -> bool {
    classify(error) == Failure::Lost
}

/// Returns whether the server refused a login.
#[cfg(feature = "postgres")]
pub(super) fn is_refused_login(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| classify_code(&code) == Failure::Refused)
}

/// Repeats calls of one database.
#[derive(Clone, Default)]
pub(super) struct Retries {
    /// Maximum number of lost connections during one call.
    max_lost: u32,
    #[cfg(feature = "postgres")]
    renewer: Option<Arc<Renewer>>,
}

impl Retries {
    #[cfg(feature = "postgres")]
    pub(super) fn new(max_lost: u32, renewer: Option<Arc<Renewer>>) -> Self {
        Self { max_lost, renewer }
    }

    /// Runs `call` until success, or until an error that a retry cannot fix.
    pub(super) async fn run<T, F: Future<Output = Result<T, DbErr>>>(
        &self,
        effect: Effect,
        call: impl Fn() -> F,
    ) -> Result<T, DbErr> {
        let mut past = Past::default();
        loop {
            let password = self.password();
            let error = match call().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let failure = classify(&error);
            let repeat = match decide(failure, effect, past, self.max_lost) {
                Decision::Repeat => true,
                Decision::Renew => self.renewed(password).await,
                Decision::Fail => false,
            };
            if !repeat {
                if code(&error).is_some_and(|code| is_refusal(&code)) {
                    counter!("videoframes_refusals_total", "dependency" => "database").increment(1);
                }
                return Err(error);
            }
            tracing::debug!(%error, "repeating a call without an effect on another connection");
            past.refused += u32::from(failure == Failure::Refused);
            past.lost += u32::from(failure == Failure::Lost);
        }
    }

    /// Returns the number of the password that new connections use.
    fn password(&self) -> u64 {
        #[cfg(feature = "postgres")]
        if let Some(renewer) = &self.renewer {
            return renewer.changes();
        }
        0
    }

    /// Returns whether there is another password than the refused one.
    async fn renewed(&self, refused: u64) -> bool {
        #[cfg(feature = "postgres")]
        if let Some(renewer) = &self.renewer {
            return renewer.refused(refused).await;
        }
        let _ = refused;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lack_of_permission_is_a_refusal() {
        for (code, refusal) in [
            ("28P01", true),
            ("28000", true),
            ("42501", true),
            ("57P01", false),
            ("23505", false),
        ] {
            assert_eq!(is_refusal(code), refusal, "{code}");
        }
    }

    #[test]
    fn only_calls_without_an_effect_are_repeated() {
        use Decision::{Fail, Renew, Repeat};
        use Effect::{Once, Repeatable};
        let past = |refused, lost| Past { refused, lost };
        for (code, effect, past, expected) in [
            // A refused connection has executed nothing.
            ("28P01", Repeatable, past(0, 0), Renew),
            ("28P01", Once, past(0, 0), Renew),
            ("28000", Once, past(0, 2), Renew),
            ("28P01", Once, past(1, 0), Fail),
            // A lost connection may have committed.
            ("57P01", Repeatable, past(0, 0), Repeat),
            ("57P02", Repeatable, past(1, 2), Repeat),
            ("57P01", Repeatable, past(0, 3), Fail),
            ("57P01", Once, past(0, 0), Fail),
            // The answer to these would be the same.
            ("57014", Repeatable, past(0, 0), Fail),
            ("23505", Repeatable, past(0, 0), Fail),
            ("42501", Repeatable, past(0, 0), Fail),
        ] {
            let decision = decide(classify_code(code), effect, past, 3);
            assert_eq!(decision, expected, "{code} {effect:?} {past:?}");
        }
    }
}
