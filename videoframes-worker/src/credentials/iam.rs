//! Tokens of AWS IAM as passwords of a database in Amazon RDS.
//!
//! <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html>

use std::error::Error;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use videoframes_core::aws::SdkConfig;
use videoframes_core::database::{DatabaseCredentials, DatabaseLogin, DatabasePassword};

/// Lifetime of a token, which RDS defines.
const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// Time before its end at which a token is renewed, so that short outages of AWS have no effect.
const MARGIN: Duration = Duration::from_secs(5 * 60);
/// Minimum time between two tokens.
const MIN_RENEWAL: Duration = Duration::from_secs(10);
/// Characters of a query that SigV4 encodes: all but the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
/// Parameter of a presigned request, which stands at the end.
const SIGNATURE: &str = "X-Amz-Signature";

/// Tokens for `VF_DATABASE_AUTH=iam`, signed on this machine.
#[derive(Debug)]
pub(crate) struct IamTokens {
    aws: SdkConfig,
}

impl IamTokens {
    pub(crate) fn new(aws: SdkConfig) -> Self {
        Self { aws }
    }
}

#[async_trait]
impl DatabaseCredentials for IamTokens {
    async fn password(
        &self,
        login: &DatabaseLogin,
    ) -> Result<DatabasePassword, Box<dyn Error + Send + Sync>> {
        let provider = self
            .aws
            .credentials_provider()
            .ok_or("there are no AWS credentials")?;
        let credentials = provider.provide_credentials().await?;
        let configured = self.aws.region().map(AsRef::as_ref);
        // Only the region of the database is accepted. The name of another host, such as an alias, does not show it.
        let region = region_of(&login.host)
            .or(configured)
            .ok_or("no AWS region is set")?;
        let now = SystemTime::now();
        let token = token(login, region, &credentials, now)?;
        Ok(DatabasePassword::new(token, renew_in(credentials.expiry(), now)))
    }
}

/// Returns the region in a host name of RDS, such as `jobs.abc.eu-west-1.rds.amazonaws.com`.
fn region_of(host: &str) -> Option<&str> {
    let suffixes = [".rds.amazonaws.com", ".rds.amazonaws.com.cn"];
    let name = suffixes.iter().find_map(|suffix| host.strip_suffix(suffix))?;
    name.rsplit_once('.').map(|(_, region)| region)
}

/// Returns the time until the next token. A token ends with the credentials that signed it.
fn renew_in(expiry: Option<SystemTime>, now: SystemTime) -> Duration {
    let left = expiry.map(|expiry| expiry.duration_since(now).unwrap_or_default());
    let lifetime = left.map_or(LIFETIME, |left| left.min(LIFETIME));
    lifetime.saturating_sub(MARGIN).max(MIN_RENEWAL)
}

/// Signs a request to connect, whose URL without the scheme is the token.
fn token(
    login: &DatabaseLogin,
    region: &str,
    credentials: &Credentials,
    time: SystemTime,
) -> Result<String, Box<dyn Error + Send + Sync>> {
    let host = format!("{}:{}", login.host, login.port);
    let user = utf8_percent_encode(&login.user, ENCODED);
    let request = format!("{host}/?Action=connect&DBUser={user}");
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(LIFETIME);
    let identity = credentials.clone().into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("rds-db")
        .time(time)
        .settings(settings)
        .build()?
        .into();
    let url = format!("https://{request}");
    let headers = [("host", host.as_str())];
    let signable = SignableRequest::new("GET", &url, headers.into_iter(), SignableBody::Bytes(&[]))?;
    let (_, mut query) = sign(signable, &params)?.into_parts().0.into_parts();
    query.sort_by_key(|(name, _)| *name == SIGNATURE);
    Ok(query.iter().fold(request, |token, (name, value)| {
        token + &format!("&{name}={}", utf8_percent_encode(value, ENCODED))
    }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The expected tokens are those of `generate_db_auth_token` in botocore 1.44.8 at 2026-01-02T03:04:05Z.
    #[test]
    fn tokens_are_those_of_botocore() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_323_045);
        let short = DatabaseLogin::new("jobs.abc123.eu-west-1.rds.amazonaws.com", 5432, "worker");
        let odd = DatabaseLogin::new("db.example.com", 6432, "vf worker+é/@x");
        for (session, login, region, expected) in [
            (
                None,
                &short,
                "eu-west-1",
                "jobs.abc123.eu-west-1.rds.amazonaws.com:5432/?Action=connect&DBUser=worker&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20260102%2Feu-west-1%2Frds-db%2Faws4_request&X-Amz-Date=20260102T030405Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature=d7777d93a81fce1b4fea8c4edc2a02f28e50793b8941143c2c66fb929974588c",
            ),
            (
                None,
                &odd,
                "us-gov-west-1",
                "db.example.com:6432/?Action=connect&DBUser=vf%20worker%2B%C3%A9%2F%40x&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20260102%2Fus-gov-west-1%2Frds-db%2Faws4_request&X-Amz-Date=20260102T030405Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature=c418d618747c79f53320188e5c4a6b55288187cfe8eb24fa0fecbfb906dafd4e",
            ),
            (
                Some("token/+=="),
                &short,
                "eu-west-1",
                "jobs.abc123.eu-west-1.rds.amazonaws.com:5432/?Action=connect&DBUser=worker&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20260102%2Feu-west-1%2Frds-db%2Faws4_request&X-Amz-Date=20260102T030405Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Security-Token=token%2F%2B%3D%3D&X-Amz-Signature=3d2e15106fd2ec0d2968a66d87d11bbba478cf13283f201cd7a331081affcc0b",
            ),
            (
                Some("token/+=="),
                &odd,
                "us-gov-west-1",
                "db.example.com:6432/?Action=connect&DBUser=vf%20worker%2B%C3%A9%2F%40x&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20260102%2Fus-gov-west-1%2Frds-db%2Faws4_request&X-Amz-Date=20260102T030405Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Security-Token=token%2F%2B%3D%3D&X-Amz-Signature=a661bb5f9f0b31e30f9e4831be982fef9a82b48fbf4bd80bdc8ed0e6405b322d",
            ),
        ] {
            let credentials = Credentials::new(
                "AKIDEXAMPLE",
                "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                session.map(str::to_owned),
                None,
                "test",
            );
            assert_eq!(token(login, region, &credentials, time).unwrap(), expected);
        }
    }

    #[test]
    fn the_region_is_part_of_the_names_of_rds() {
        for (host, expected) in [
            ("jobs.abc123.eu-west-1.rds.amazonaws.com", Some("eu-west-1")),
            ("jobs.proxy-abc123.us-east-2.rds.amazonaws.com", Some("us-east-2")),
            (
                "jobs.cluster-ro-abc.cn-north-1.rds.amazonaws.com.cn",
                Some("cn-north-1"),
            ),
            ("db.example.com", None),
            ("rds.amazonaws.com", None),
        ] {
            assert_eq!(region_of(host), expected, "{host}");
        }
    }

    #[test]
    fn tokens_are_renewed_before_they_or_their_credentials_end() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_323_045);
        for (seconds_left, expected) in [
            (None, 600),
            (Some(3600), 600),
            (Some(900), 600),
            (Some(420), 120),
            (Some(60), 10),
            (Some(-60), 10),
        ] {
            let expiry = seconds_left.map(|seconds: i64| match u64::try_from(seconds) {
                Ok(seconds) => now + Duration::from_secs(seconds),
                Err(_) => now - Duration::from_secs(seconds.unsigned_abs()),
            });
            assert_eq!(
                renew_in(expiry, now),
                Duration::from_secs(expected),
                "{seconds_left:?}"
            );
        }
    }
}
