//! Access tokens: names, expiry, uses and revocation.

use std::time::Duration;

use videoframes_core::access::{
    NewToken, Scope, Scopes, SeaOrmTokens, TokenError, TokenName, TokenRegistry, TokenSecret,
};
use videoframes_core::tenant::Tenant;

use crate::Own;

fn name(text: &str) -> TokenName {
    text.parse().unwrap()
}

#[tokio::test]
async fn tokens_are_valid_until_they_expire_or_are_revoked() {
    for own in Own::each().await {
        let database = own.migrated().await;
        let tokens = SeaOrmTokens::new(database.clone());
        let (kept, short) = (TokenSecret::generate().unwrap(), TokenSecret::generate().unwrap());
        let created = tokens
            .create(&NewToken::new(name("kept"), kept.hash(), Scopes::all()))
            .await
            .unwrap();
        assert_eq!((created.expires_at, created.last_used_at), (None, None));
        let hour = Duration::from_secs(3600);
        let new = NewToken::new(name("a-short"), short.hash(), Scope::Read.into())
            .lifetime(hour)
            .tenant("acme".parse().unwrap());
        tokens.create(&new).await.unwrap();
        let used = tokens.verify(&short.hash()).await.unwrap().unwrap();
        assert_eq!((used.name, used.scopes), (name("a-short"), Scope::Read.into()));
        assert_eq!(used.tenant.as_ref().and_then(Tenant::name), Some("acme"));
        assert_eq!(created.tenant, None);
        let unknown = TokenSecret::generate().unwrap();
        assert_eq!(tokens.verify(&unknown.hash()).await.unwrap(), None);

        let listed = tokens.tokens().await.unwrap();
        let names: Vec<&str> = listed.iter().map(|token| token.name.as_str()).collect();
        assert_eq!(names, ["a-short", "kept"]);
        assert!(listed[0].last_used_at.is_some() && listed[1].last_used_at.is_none());

        database.advance(hour);
        assert_eq!(tokens.verify(&short.hash()).await.unwrap(), None, "expired");
        assert!(tokens.verify(&kept.hash()).await.unwrap().is_some());
        assert!(tokens.revoke(&name("kept")).await.unwrap());
        assert!(!tokens.revoke(&name("kept")).await.unwrap());
        assert_eq!(tokens.verify(&kept.hash()).await.unwrap(), None, "revoked");
    }
}

#[tokio::test]
async fn a_name_belongs_to_one_token() {
    for own in Own::each().await {
        let tokens = SeaOrmTokens::new(own.migrated().await);
        let (first, second) = (TokenSecret::generate().unwrap(), TokenSecret::generate().unwrap());
        let new = |secret: &TokenSecret| NewToken::new(name("ci"), secret.hash(), Scope::Submit.into());
        tokens.create(&new(&first)).await.unwrap();
        let refused = tokens.create(&new(&second)).await;
        assert!(matches!(refused, Err(TokenError::AlreadyExists(taken)) if taken == name("ci")));
        assert!(tokens.verify(&first.hash()).await.unwrap().is_some());
        assert_eq!(tokens.verify(&second.hash()).await.unwrap(), None);
    }
}
