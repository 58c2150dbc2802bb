//! The roles of the revisions. Pure.

use serde::Serialize;

use super::{Revision, Share};
use crate::clock::UnixMillis;

/// A revision that receives messages in a share of the time, until an end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Canary {
    /// The revision.
    pub revision: Revision,
    /// The share of the time in which each of its workers receives messages.
    pub share: Share,
    /// Time after which the revision stands by, unless the canary was renewed.
    pub until: UnixMillis,
}

/// The role of a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Receives messages.
    Active,
    /// Receives messages in a share of the time.
    #[serde(serialize_with = "share")]
    Canary(Share),
    /// Receives no messages.
    Standby,
}

fn share<S: serde::Serializer>(share: &Share, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(share)
}

impl Role {
    /// Returns `active`, `canary` or `standby`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Canary(_) => "canary",
            Self::Standby => "standby",
        }
    }

    /// Returns whether the revision may claim jobs.
    #[must_use]
    pub fn may_claim(self) -> bool {
        self != Self::Standby
    }
}

/// The state of a fleet, with times of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fleet {
    /// The revision that receives messages. `None` before the first activation: then no revision does.
    pub active: Option<Revision>,
    /// The revision that was active before.
    pub previous: Option<Revision>,
    /// The canary, if any.
    pub canary: Option<Canary>,
    /// Time of the last activation.
    pub activated_at: Option<UnixMillis>,
    /// Time of the read.
    pub now: UnixMillis,
}

impl Fleet {
    /// Returns the fleet before the first activation.
    #[must_use]
    pub fn new(now: UnixMillis) -> Self {
        Self {
            active: None,
            previous: None,
            canary: None,
            activated_at: None,
            now,
        }
    }

    /// Returns the role of a revision at the time of the read.
    #[must_use]
    pub fn role(&self, revision: &Revision) -> Role {
        if self.active.as_ref() == Some(revision) {
            return Role::Active;
        }
        match &self.canary {
            Some(canary) if canary.revision == *revision && canary.until > self.now => {
                Role::Canary(canary.share)
            }
            _ => Role::Standby,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn roles_of_revisions() {
        let revision = |name: &str| name.parse::<Revision>().unwrap();
        let share = Share::from_percent(10).unwrap();
        let fleet = |now| Fleet {
            active: Some(revision("blue")),
            canary: Some(Canary {
                revision: revision("green"),
                share,
                until: UnixMillis(100),
            }),
            ..Fleet::new(UnixMillis(now))
        };
        for (now, name, role) in [
            (50, "blue", Role::Active),
            (50, "green", Role::Canary(share)),
            (99, "green", Role::Canary(share)),
            (100, "green", Role::Standby),
            (50, "red", Role::Standby),
            (100, "blue", Role::Active),
        ] {
            assert_eq!(fleet(now).role(&revision(name)), role, "{name} at {now}");
        }
        assert_eq!(Fleet::new(UnixMillis(0)).role(&revision("blue")), Role::Standby);
    }
}
