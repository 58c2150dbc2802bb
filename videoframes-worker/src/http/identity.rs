//! Who sent a request, and what the sender may do.

use std::net::{IpAddr, Ipv6Addr};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::Serialize;
use videoframes_core::access::{Scope, Scopes, TokenName};
use videoframes_core::clock::UnixMillis;
use videoframes_core::jobs::{JobId, JobRequest};
use videoframes_core::tenant::Tenant;

use super::problem::Problem;

/// The address of a client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(super) IpAddr);

impl Peer {
    /// Returns the network of the client, for limits: a host with IPv6 usually has a whole /64.
    pub(super) fn network(self) -> IpAddr {
        match self.0.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            address => address,
        }
    }
}

/// The sender of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Name of the token; `None` without tokens.
    pub(super) name: Option<TokenName>,
    pub(super) scopes: Scopes,
    pub(super) expires_at: Option<UnixMillis>,
    /// Tenant of all jobs that the sender submits; `None` for any tenant.
    pub(super) tenant: Option<Tenant>,
}

/// How the port authenticates senders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    Open,
    Tokens,
}

impl Identity {
    /// Returns the sender of every request without tokens.
    pub(super) fn open() -> Self {
        Self {
            name: None,
            scopes: Scopes::all(),
            expires_at: None,
            tenant: None,
        }
    }

    /// Sets the tenant of the sender. Fails if the request names another tenant.
    pub(super) fn submits(&self, request: JobRequest) -> Result<JobRequest, Problem> {
        match &self.tenant {
            Some(own) => request
                .for_tenant(own)
                .map_err(|other| Problem::other_tenant(own, &other)),
            None => Ok(request),
        }
    }

    /// Fails unless the sender has the scope.
    pub(super) fn require(&self, scope: Scope) -> Result<(), Problem> {
        match self.scopes.contains(scope) {
            true => Ok(()),
            false => Err(Problem::out_of_scope(scope)),
        }
    }
}

/// The sender and the address of an authenticated request, for the log of changes.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    pub(super) identity: Identity,
    pub(super) peer: IpAddr,
}

impl Actor {
    fn name(&self) -> &str {
        self.identity.name.as_ref().map_or("local", TokenName::as_str)
    }

    /// Logs a change of a job.
    pub(super) fn changed_job(&self, action: &'static str, job: JobId) {
        tracing::info!(user.name = self.name(), client.address = %self.peer, action, job.id = %job, "HTTP request changed a job");
    }

    /// Logs a change that concerns no job or several jobs.
    pub(super) fn changed(&self, action: &'static str, subject: &str) {
        tracing::info!(user.name = self.name(), client.address = %self.peer, action, subject, "HTTP request made a change");
    }
}

impl<S: Sync> FromRequestParts<S> for Actor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let missing = || Problem::unauthorized("the request was not authenticated");
        let identity = parts.extensions.get::<Identity>().ok_or_else(missing)?;
        let Peer(peer) = parts.extensions.get::<Peer>().ok_or_else(missing)?;
        Ok(Self {
            identity: identity.clone(),
            peer: *peer,
        })
    }
}

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<Self>().copied();
        peer.ok_or_else(|| Problem::bad_request("the request has no peer"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_per_network() {
        for (address, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("::1", "::"),
        ] {
            assert_eq!(
                Peer(address.parse().unwrap()).network(),
                expected.parse::<IpAddr>().unwrap()
            );
        }
    }
}
