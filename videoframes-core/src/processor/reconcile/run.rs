//! Performs a reconciliation.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use super::options::ReconcileOptions;
use super::pass::Pass;
use super::report::{Accepted, ReconcileError, ReconcileReport};
use crate::jobs::{JobRepo, RestoreMark, RestoreRow, RestoreState};
use crate::processor::fault::{self, Point};
use crate::processor::mark;
use crate::storage::{StorageError, Stores};

/// Reconciles the jobs of a database with a result store.
pub struct Reconciler {
    repo: Arc<dyn JobRepo>,
    stores: Stores,
    options: ReconcileOptions,
}

impl fmt::Debug for Reconciler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconciler")
            .field("stores", &self.stores)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Reconciler {
    /// Returns a reconciler that has changed nothing yet.
    pub fn new(repo: Arc<dyn JobRepo>, stores: Stores, options: ReconcileOptions) -> Self {
        Self {
            repo,
            stores,
            options,
        }
    }

    /// Rebuilds lost rows from archives, retries and enqueues jobs, and accepts the restore of the database.
    ///
    /// Idempotent: may be repeated after an error or a crash. Workers may run.
    ///
    /// # Errors
    /// Returns the first error of database or store. Then the restore is not accepted.
    pub async fn run(&self) -> Result<ReconcileReport, ReconcileError> {
        let (row, store) = self.marks().await?;
        let state = RestoreState::compare(&row, store.as_ref());
        let mut pass = Pass {
            repo: self.repo.as_ref(),
            stores: &self.stores,
            options: &self.options,
            now: row.now,
            was_restored: !state.is_current() || row.mark.generation > 0,
            retried: HashSet::new(),
            report: ReconcileReport::new(state),
        };
        pass.reconcile_results().await?;
        for prefix in &self.options.prefixes {
            pass.reconcile_prefix(prefix).await?;
        }
        fault::reached(Point::ReconcileListed);
        pass.reconcile_rows().await?;
        let mut report = pass.report;
        if !self.options.dry_run {
            report.accepted = Some(self.accept().await?.mark);
        }
        Ok(report)
    }

    /// Accepts the restore of the database without any other change, and reads no object except the mark.
    ///
    /// # Errors
    /// Returns the error of database or store.
    pub async fn accept(&self) -> Result<Accepted, ReconcileError> {
        let (row, store) = self.marks().await?;
        let accepted = self.repo.accept_restore(store.as_ref()).await?;
        // As always, first the database and then the store: after a crash here, the database is ahead.
        fault::reached(Point::ReconcileAccepted);
        mark::write(self.stores.results().as_ref(), &accepted).await?;
        fault::reached(Point::ReconcileMarked);
        Ok(Accepted {
            state: RestoreState::compare(&row, store.as_ref()),
            mark: accepted.mark,
        })
    }

    /// Returns the marks of database and store. An unreadable mark in the store is replaced at the end.
    async fn marks(&self) -> Result<(RestoreRow, Option<RestoreMark>), ReconcileError> {
        let store = match mark::read(self.stores.results().as_ref()).await {
            Ok(store) => store.map(|store| store.mark),
            Err(StorageError::Invalid { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        Ok((self.repo.restore_mark().await?, store))
    }
}
