//! The fleet: roles of revisions, reports of workers, and claims.

use std::time::Duration;

use videoframes_core::database::Database;
use videoframes_core::fleet::{
    FleetChange, FleetError, FleetRegistry, Revision, Role, SeaOrmFleet, WorkerReport, WorkerState,
};
use videoframes_core::jobs::{Claim, ClaimTerms, Enqueue, JobRepo, SeaOrmJobRepo};

use crate::Own;
use crate::jobs::{TERMS, job};

/// Time after which a worker counts as lost.
const TIMEOUT: Duration = Duration::from_secs(90);

fn revision(name: &str) -> Revision {
    name.parse().unwrap()
}

async fn activate(fleet: &SeaOrmFleet, name: &str) {
    let change = FleetChange::Activate(revision(name));
    fleet.change(&change, TIMEOUT).await.unwrap();
}

fn canary(name: &str) -> FleetChange {
    FleetChange::Canary {
        revision: revision(name),
        share: "10%".parse().unwrap(),
        duration: Duration::from_secs(60),
    }
}

fn report(worker: &str, name: &str, state: WorkerState) -> WorkerReport {
    let mut report = WorkerReport::new(worker, "1.0.0", Some(revision(name)));
    report.state = state;
    report
}

#[tokio::test]
async fn only_the_active_revision_and_the_canary_claim_jobs() {
    for own in Own::each_and_pooled().await {
        let database = own.migrated().await;
        let (fleet, repo) = (
            SeaOrmFleet::new(database.clone()),
            SeaOrmJobRepo::new(database.clone()),
        );
        let jobs: Vec<_> = (0..3).map(|number| job(&format!("job {number}"))).collect();
        let jobs = repo.submit(&jobs, Enqueue::AlreadyQueued).await.unwrap();
        let claim = async |job: usize, name: Option<&str>| {
            let terms = ClaimTerms {
                revision: name.map(revision),
                ..TERMS
            };
            let owner = format!("worker of {name:?}");
            repo.claim(jobs[job].id, &owner, &terms).await.unwrap()
        };
        let stands_by = async |name: &str| {
            let before = repo.get(jobs[0].id).await.unwrap();
            assert_eq!(claim(0, Some(name)).await, Claim::Standby, "{name}");
            assert_eq!(repo.get(jobs[0].id).await.unwrap(), before, "nothing was changed");
        };
        stands_by("blue").await;
        activate(&fleet, "blue").await;
        stands_by("green").await;
        assert!(matches!(claim(1, Some("blue")).await, Claim::Claimed(..)));
        assert!(matches!(claim(2, None).await, Claim::Claimed(..)), "no revision");
        fleet.change(&canary("green"), TIMEOUT).await.unwrap();
        advance(&database, 59);
        assert!(matches!(
            fleet.fleet().await.unwrap().role(&revision("green")),
            Role::Canary(_)
        ));
        advance(&database, 2);
        stands_by("green").await;
        activate(&fleet, "green").await;
        stands_by("blue").await;
        let terms = ClaimTerms {
            revision: Some(revision("green")),
            ..TERMS
        };
        let claimed = repo.claim(jobs[0].id, "green", &terms).await.unwrap();
        assert!(matches!(claimed, Claim::Claimed(..)), "{claimed:?}");
    }
}

fn advance(database: &Database, seconds: u64) {
    database.advance(Duration::from_secs(seconds));
}

#[tokio::test]
async fn a_revision_takes_over_only_from_one_without_running_workers() {
    for own in Own::each_and_pooled().await {
        let database = own.migrated().await;
        let fleet = SeaOrmFleet::new(database.clone());
        let take_over = async |name: &str| {
            let change = FleetChange::TakeOver(revision(name));
            let after = fleet.change(&change, TIMEOUT).await.unwrap();
            after.active.unwrap().to_string()
        };
        fleet
            .report(&report("b1", "blue", WorkerState::Ready))
            .await
            .unwrap();
        fleet
            .report(&report("g1", "green", WorkerState::Ready))
            .await
            .unwrap();
        assert_eq!(take_over("blue").await, "blue");
        assert_eq!(take_over("green").await, "blue");
        advance(&database, 89);
        assert_eq!(take_over("green").await, "blue");
        advance(&database, 2);
        assert_eq!(take_over("green").await, "green", "the worker of blue is lost");
        // The worker of green is lost as well.
        fleet
            .report(&report("b1", "blue", WorkerState::Stopped))
            .await
            .unwrap();
        assert_eq!(take_over("blue").await, "blue");
        assert_eq!(
            take_over("green").await,
            "green",
            "all workers of blue have stopped"
        );
    }
}

#[tokio::test]
async fn workers_are_listed_with_their_last_report_until_a_day_later() {
    for own in Own::each_and_pooled().await {
        let database = own.migrated().await;
        let fleet = SeaOrmFleet::new(database.clone());
        let mut first = report("b1", "blue", WorkerState::Starting);
        fleet.report(&first).await.unwrap();
        advance(&database, 10);
        first.state = WorkerState::Ready;
        (first.ended.completed, first.ended.failed, first.ended.faults) = (7, 2, 1);
        fleet.report(&first).await.unwrap();
        let other = WorkerReport::new("other", "1.1.0", None);
        fleet.report(&other).await.unwrap();
        advance(&database, 5);
        let workers = fleet.workers().await.unwrap();
        assert_eq!(
            workers.iter().map(|worker| &worker.report).collect::<Vec<_>>(),
            [&first, &other]
        );
        assert!(workers[0].age >= Duration::from_secs(5) && workers[0].age < Duration::from_secs(15));
        assert!(workers[0].started_at < workers[1].started_at);
        advance(&database, 24 * 3600);
        fleet.report(&other).await.unwrap();
        let workers = fleet.workers().await.unwrap();
        assert_eq!(workers.len(), 1, "{workers:?}");
        assert_eq!(workers[0].report, other);
    }
}

#[tokio::test]
async fn a_worker_that_restarts_under_its_name_is_listed_with_its_new_revision() {
    for own in Own::each().await {
        let fleet = SeaOrmFleet::new(own.migrated().await);
        let old = report("host-1", "blue", WorkerState::Ready);
        fleet.report(&old).await.unwrap();
        let mut new = report("host-1", "green", WorkerState::Starting);
        new.version = "2.0.0".to_owned();
        fleet.report(&new).await.unwrap();
        let workers = fleet.workers().await.unwrap();
        assert_eq!(
            workers.iter().map(|worker| &worker.report).collect::<Vec<_>>(),
            [&new]
        );
    }
}

#[tokio::test]
async fn impossible_changes_change_nothing() {
    for own in Own::each().await {
        let fleet = SeaOrmFleet::new(own.migrated().await);
        let change = async |change: FleetChange| fleet.change(&change, TIMEOUT).await.unwrap_err();
        assert!(matches!(change(canary("green")).await, FleetError::NoActive));
        activate(&fleet, "blue").await;
        assert!(matches!(
            change(canary("blue")).await,
            FleetError::AlreadyActive(_)
        ));
        let roll_back = FleetChange::RollBack(revision("blue"));
        assert!(matches!(change(roll_back).await, FleetError::NoPrevious));
        let found = fleet.fleet().await.unwrap();
        assert_eq!((found.active, found.canary), (Some(revision("blue")), None));
    }
}

#[tokio::test]
async fn simultaneous_takeovers_have_one_winner() {
    for own in Own::each().await {
        let database = own.migrated().await;
        let takers: Vec<_> = (0..8)
            .map(|number| {
                let fleet = SeaOrmFleet::new(database.clone());
                tokio::spawn(async move {
                    let name = format!("r{number}");
                    let worker = report(&name, &name, WorkerState::Ready);
                    fleet.report(&worker).await.unwrap();
                    let change = FleetChange::TakeOver(revision(&name));
                    fleet.change(&change, TIMEOUT).await.unwrap().active.unwrap()
                })
            })
            .collect();
        let mut winners = Vec::new();
        for taker in takers {
            winners.push(taker.await.unwrap());
        }
        winners.dedup();
        assert_eq!(winners.len(), 1, "{winners:?}");
    }
}
