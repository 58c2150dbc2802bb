//! The registry in a database.

use std::time::Duration;

use async_trait::async_trait;
use sea_orm::sea_query::{Cond, Expr, ExprTrait, OnConflict, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, Iterable, Order, QueryResult};

use super::entity::token::{Column, Entity, Model};
use crate::access::{AccessToken, NewToken, TokenError, TokenHash, TokenName, TokenRegistry};
use crate::clock::UnixMillis;
use crate::database::{Database, within};
use crate::tenant::Tenant;

/// Precision of the time of the last use: a busy token must not cost a write per request.
const USE_PRECISION: Duration = Duration::from_secs(60);

/// A [`TokenRegistry`] in a [`Database`] with an up-to-date schema.
#[derive(Debug, Clone)]
pub struct SeaOrmTokens {
    database: Database,
}

/// The reason why a call failed.
enum CallError {
    Token(TokenError),
    Database(DbErr),
}

impl From<DbErr> for CallError {
    fn from(error: DbErr) -> Self {
        match error {
            DbErr::Type(what) => Self::Token(TokenError::Unreadable(what)),
            error => Self::Database(error),
        }
    }
}

impl SeaOrmTokens {
    /// Returns the registry in `database`.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    async fn call<T>(
        &self,
        action: &'static str,
        work: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, TokenError> {
        within(self.database.patience(), work)
            .await
            .map_err(|error| match error {
                CallError::Token(error) => error,
                CallError::Database(source) => TokenError::Unavailable {
                    action,
                    source: source.into(),
                },
            })
    }

    async fn insert(&self, new: &NewToken) -> Result<AccessToken, CallError> {
        let expires_at = match new.lifetime {
            Some(lifetime) => self.database.later(lifetime),
            None => Expr::val(Option::<i64>::None),
        };
        let insert = Query::insert()
            .into_table(Entity)
            .columns(Column::iter())
            .values_panic([
                new.name.as_str().into(),
                new.hash.as_str().into(),
                new.scopes.to_string().into(),
                self.database.now(),
                expires_at,
                Expr::val(Option::<i64>::None),
                new.tenant.as_ref().and_then(Tenant::name).into(),
            ])
            .on_conflict(OnConflict::column(Column::Name).do_nothing().to_owned())
            .returning(Query::returning().columns(Column::iter()))
            .to_owned();
        match self.database.run(&insert).await?.first() {
            Some(row) => Ok(token(row)?),
            None => Err(CallError::Token(TokenError::AlreadyExists(new.name.clone()))),
        }
    }

    async fn find(&self, hash: &TokenHash) -> Result<Option<AccessToken>, CallError> {
        let not_expired = Cond::any()
            .add(Expr::col(Column::ExpiresAt).is_null())
            .add(Expr::col(Column::ExpiresAt).gt(self.database.now()));
        let found = self.read(Cond::all().add(hash_is(hash)).add(not_expired)).await?;
        let Some(row) = found.first() else {
            return Ok(None);
        };
        let found = token(row)?;
        let used = Query::update()
            .table(Entity)
            .value(Column::LastUsedAt, self.database.now())
            .and_where(hash_is(hash))
            .cond_where(
                Cond::any()
                    .add(Expr::col(Column::LastUsedAt).is_null())
                    .add(Expr::col(Column::LastUsedAt).lt(self.database.earlier(USE_PRECISION))),
            )
            .to_owned();
        let now = UnixMillis(row.try_get("", NOW)?);
        let is_recent = |at: UnixMillis| now.since(at) < USE_PRECISION;
        if !found.last_used_at.is_some_and(is_recent) {
            self.database.run(&used).await?;
        }
        Ok(Some(found))
    }

    async fn list(&self) -> Result<Vec<AccessToken>, CallError> {
        let rows = self.read(Cond::all()).await?;
        Ok(rows.iter().map(token).collect::<Result<_, _>>()?)
    }

    async fn delete(&self, name: &TokenName) -> Result<bool, CallError> {
        let delete = Query::delete()
            .from_table(Entity)
            .and_where(Expr::col(Column::Name).eq(name.as_str()))
            .returning_col(Column::Name)
            .to_owned();
        Ok(!self.database.run(&delete).await?.is_empty())
    }

    async fn read(
        &self,
        condition: impl sea_orm::sea_query::IntoCondition,
    ) -> Result<Vec<QueryResult>, DbErr> {
        let select: SelectStatement = Query::select()
            .columns(Column::iter())
            .expr_as(self.database.now(), NOW)
            .from(Entity)
            .cond_where(condition)
            .order_by(Column::Name, Order::Asc)
            .to_owned();
        self.database.reader().await?.query_all(&select).await
    }
}

/// Name of the result column with the current time.
const NOW: &str = "now";

fn hash_is(hash: &TokenHash) -> Expr {
    Expr::col(Column::Hash).eq(hash.as_str())
}

fn token(row: &QueryResult) -> Result<AccessToken, DbErr> {
    let row = Model::from_query_result(row, "")?;
    let unreadable = |what: &str| DbErr::Type(format!("{what} of the token '{}'", row.name));
    let tenant = row.tenant.as_deref().map(str::parse).transpose();
    Ok(AccessToken {
        scopes: row.scopes.parse().map_err(|_| unreadable("the scopes"))?,
        name: row.name.parse().map_err(|_| unreadable("the name"))?,
        created_at: UnixMillis(row.created_at),
        expires_at: row.expires_at.map(UnixMillis),
        last_used_at: row.last_used_at.map(UnixMillis),
        tenant: tenant.map_err(|_| unreadable("the tenant"))?,
    })
}

#[async_trait]
impl TokenRegistry for SeaOrmTokens {
    async fn create(&self, token: &NewToken) -> Result<AccessToken, TokenError> {
        self.call("store the token", self.insert(token)).await
    }

    async fn verify(&self, hash: &TokenHash) -> Result<Option<AccessToken>, TokenError> {
        self.call("verify the token", self.find(hash)).await
    }

    async fn tokens(&self) -> Result<Vec<AccessToken>, TokenError> {
        self.call("list the tokens", self.list()).await
    }

    async fn revoke(&self, name: &TokenName) -> Result<bool, TokenError> {
        self.call("revoke the token", self.delete(name)).await
    }
}
