//! Changes of the active revision and the canary. Pure.

use std::time::Duration;

use super::{Canary, Fleet, FleetError, Revision, Share};

/// A change of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FleetChange {
    /// Makes a revision active, and ends a canary.
    Activate(Revision),
    /// Makes the previous revision active again if this revision is active, or ends its canary.
    RollBack(Revision),
    /// Makes a revision the canary, in place of another one, or renews the canary.
    Canary {
        /// The revision.
        revision: Revision,
        /// Share of the time in which each worker of the revision receives messages.
        share: Share,
        /// Time for which the revision is the canary.
        duration: Duration,
    },
    /// Makes a revision active if no worker of the active revision runs.
    TakeOver(Revision),
}

impl FleetChange {
    /// Returns the fleet after the change. `live` is the number of running workers of the active revision.
    ///
    /// Idempotent: repeating a change changes nothing, except that a canary is renewed. For implementations of
    /// [`FleetRegistry`](super::FleetRegistry).
    ///
    /// # Errors
    /// Returns [`FleetError::AlreadyActive`], [`FleetError::NoActive`] or [`FleetError::NoPrevious`] for an impossible
    /// change.
    pub fn apply(&self, fleet: &Fleet, live: u64) -> Result<Fleet, FleetError> {
        match self {
            Self::Activate(revision) => Ok(activate(fleet, revision)),
            Self::RollBack(revision) => roll_back(fleet, revision),
            Self::Canary {
                revision,
                share,
                duration,
            } => canary(fleet, revision, *share, *duration),
            Self::TakeOver(revision) => Ok(match live {
                0 => activate(fleet, revision),
                _ => fleet.clone(),
            }),
        }
    }
}

fn activate(fleet: &Fleet, revision: &Revision) -> Fleet {
    if fleet.active.as_ref() == Some(revision) {
        return Fleet {
            canary: None,
            ..fleet.clone()
        };
    }
    Fleet {
        active: Some(revision.clone()),
        previous: fleet.active.clone(),
        canary: None,
        activated_at: Some(fleet.now),
        now: fleet.now,
    }
}

fn roll_back(fleet: &Fleet, revision: &Revision) -> Result<Fleet, FleetError> {
    if fleet.active.as_ref() == Some(revision) {
        let previous = fleet.previous.as_ref().ok_or(FleetError::NoPrevious)?;
        return Ok(activate(fleet, previous));
    }
    let mut fleet = fleet.clone();
    fleet.canary.take_if(|canary| canary.revision == *revision);
    Ok(fleet)
}

fn canary(fleet: &Fleet, revision: &Revision, share: Share, duration: Duration) -> Result<Fleet, FleetError> {
    match &fleet.active {
        None => Err(FleetError::NoActive),
        Some(active) if active == revision => Err(FleetError::AlreadyActive(revision.clone())),
        Some(_) => Ok(Fleet {
            canary: Some(Canary {
                revision: revision.clone(),
                share,
                until: fleet.now.after(duration),
            }),
            ..fleet.clone()
        }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::clock::UnixMillis;

    fn revision(name: &str) -> Revision {
        name.parse().unwrap()
    }

    /// `active previous canary` with `-` for none.
    fn fleet(text: &str) -> Fleet {
        let names: Vec<Option<Revision>> = text.split(' ').map(|name| name.parse().ok()).collect();
        let names: Vec<_> = names
            .into_iter()
            .map(|name| name.filter(|name| name.as_str() != "-"))
            .collect();
        Fleet {
            active: names[0].clone(),
            previous: names[1].clone(),
            canary: names[2].clone().map(|revision| Canary {
                revision,
                share: Share::from_percent(10).unwrap(),
                until: UnixMillis(1_060),
            }),
            activated_at: None,
            now: UnixMillis(1_000),
        }
    }

    fn text(fleet: &Fleet) -> String {
        let name = |revision: Option<&Revision>| revision.map_or("-".to_owned(), ToString::to_string);
        let canary = fleet.canary.as_ref().map(|canary| &canary.revision);
        format!(
            "{} {} {}",
            name(fleet.active.as_ref()),
            name(fleet.previous.as_ref()),
            name(canary)
        )
    }

    #[test]
    fn changes_of_the_active_revision() {
        use FleetChange::*;
        let (blue, green) = (revision("blue"), revision("green"));
        for (before, change, live, after) in [
            ("- - -", Activate(green.clone()), 0, "green - -"),
            ("blue - green", Activate(green.clone()), 1, "green blue -"),
            ("green blue -", Activate(green.clone()), 1, "green blue -"),
            ("green blue -", RollBack(green.clone()), 1, "blue green -"),
            ("blue green -", RollBack(green.clone()), 1, "blue green -"),
            ("blue - green", RollBack(green.clone()), 1, "blue - -"),
            ("blue - red", RollBack(green.clone()), 1, "blue - red"),
            ("- - -", TakeOver(blue.clone()), 0, "blue - -"),
            ("green - -", TakeOver(blue.clone()), 1, "green - -"),
            ("green - -", TakeOver(blue.clone()), 0, "blue green -"),
            ("green red blue", TakeOver(blue), 0, "blue green -"),
        ] {
            let changed = change.apply(&fleet(before), live).unwrap();
            assert_eq!(text(&changed), after, "{before}: {change:?}");
        }
        let nothing = RollBack(green).apply(&fleet("green - -"), 1);
        assert!(matches!(nothing, Err(FleetError::NoPrevious)), "{nothing:?}");
    }

    #[test]
    fn a_canary_needs_another_active_revision_and_ends() {
        let change = |name| FleetChange::Canary {
            revision: revision(name),
            share: Share::from_percent(20).unwrap(),
            duration: Duration::from_millis(500),
        };
        let changed = change("green").apply(&fleet("blue - red"), 1).unwrap();
        assert_eq!(text(&changed), "blue - green");
        let canary = changed.canary.unwrap();
        assert_eq!((canary.share.percent(), canary.until), (20, UnixMillis(1_500)));
        let active = change("blue").apply(&fleet("blue - -"), 1);
        assert!(matches!(active, Err(FleetError::AlreadyActive(_))), "{active:?}");
        let none = change("blue").apply(&fleet("- - -"), 0);
        assert!(matches!(none, Err(FleetError::NoActive)), "{none:?}");
    }
}
