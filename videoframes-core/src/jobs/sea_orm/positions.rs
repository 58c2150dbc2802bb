//! Positions at which sweeps continue, so that all tenants have their turn.

use std::sync::{Mutex, PoisonError};

/// The last tenant, or tenant and priority, that each part of a sweep examined.
#[derive(Debug, Default)]
pub(super) struct Positions {
    /// Tenants with parked jobs.
    pub(super) parked: Position<String>,
    /// Tenants and priorities with jobs in work.
    pub(super) in_work: Position<(String, i32)>,
    /// Tenants and priorities with pending jobs.
    pub(super) waiting: Position<(String, i32)>,
}

/// A position in an order. The default is the start.
#[derive(Debug, Default)]
pub(super) struct Position<T>(Mutex<Option<T>>);

impl<T: Clone> Position<T> {
    /// Returns the position; `None` for the start.
    pub(super) fn get(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the position; `None` for the start.
    pub(super) fn set(&self, position: Option<&T>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = position.cloned();
    }
}
