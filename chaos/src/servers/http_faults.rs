//! Rules that inject faults into responses of the store and the queue.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use videoframes_core::testing::{Fault, ProxiedRequest};

use super::cloud::ACCESS_KEYS;
use crate::injection::HttpFault;

/// Part of the keys of sources whose jobs request all frames, so that workers copy these sources as a whole and verify
/// the checksum.
pub(crate) const COPIED: &str = "/copied-";
/// Part of the keys of sources whose reads may be denied.
pub(crate) const DENIED: &str = "/denied-";

/// The active faults, and how often each was injected.
#[derive(Debug, Default)]
pub(crate) struct HttpFaults {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    active: Vec<HttpFault>,
    hits: BTreeMap<HttpFault, u64>,
    /// Access key that is refused.
    refused: Option<&'static str>,
    refusals: u64,
}

impl HttpFaults {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn start(&self, fault: HttpFault) {
        self.state().active.push(fault);
    }

    pub(crate) fn end(&self, fault: HttpFault) {
        let active = &mut self.state().active;
        if let Some(index) = active.iter().position(|other| *other == fault) {
            active.swap_remove(index);
        }
    }

    /// Returns the number of injected faults of a kind.
    pub(crate) fn hits(&self, fault: HttpFault) -> u64 {
        self.state().hits.get(&fault).copied().unwrap_or_default()
    }

    /// Refuses one of the access keys.
    pub(crate) fn refuse(&self, key: &'static str) {
        self.state().refused = Some(key);
    }

    /// Returns the number of requests with a refused access key.
    pub(crate) fn refusals(&self) -> u64 {
        self.state().refusals
    }

    /// Returns the fault of a request.
    pub(crate) fn fault(&self, request: &ProxiedRequest) -> Fault {
        let state = &mut *self.state();
        if state.refused.is_some_and(|key| is_signed_with(request, key)) {
            state.refusals += 1;
            return Fault::Answer(400, "ExpiredToken");
        }
        for fault in &state.active {
            if let Some(injected) = inject(*fault, request) {
                *state.hits.entry(*fault).or_default() += 1;
                return injected;
            }
        }
        Fault::None
    }
}

fn is_signed_with(request: &ProxiedRequest, key: &str) -> bool {
    debug_assert!(ACCESS_KEYS.contains(&key));
    request.head.contains(&format!("credential={key}/"))
}

/// Returns the fault of a request while a kind of faults is active; `None` if it does not concern the request.
fn inject(fault: HttpFault, request: &ProxiedRequest) -> Option<Fault> {
    let is_queue = request.head.contains("\r\nx-amz-target: amazonsqs.");
    let is_store = !is_queue;
    let of_source = |part: &str| request.target.contains("/in/") && request.target.contains(part);
    let (applies, injected) = match fault {
        HttpFault::Busy => (is_store, Fault::Answer(503, "SlowDown")),
        HttpFault::StalledRead => (request.is_read(), Fault::Stall(1000)),
        HttpFault::CutRead => (request.is_read(), Fault::Cut(1000)),
        HttpFault::CorruptCopy => (request.is_read() && of_source(COPIED), Fault::Corrupt),
        HttpFault::Denied => (is_store && of_source(DENIED), Fault::Answer(403, "AccessDenied")),
        HttpFault::FailedPart => (request.is_part(), Fault::Answer(500, "InternalError")),
        HttpFault::LostComplete => (is_store && request.completes_upload(), Fault::LoseAnswer),
        HttpFault::ErrorInSuccess => (
            is_store && request.completes_upload(),
            Fault::DoneBut(200, "InternalError"),
        ),
        HttpFault::LostPut => (is_store && request.is_put(), Fault::LoseAnswer),
        HttpFault::ThrottledSend => (
            request.asks("SendMessageBatch") || request.asks("SendMessage"),
            Fault::Answer(503, "ServiceUnavailable"),
        ),
        HttpFault::LostSend => (
            request.asks("SendMessageBatch") || request.asks("SendMessage"),
            Fault::LoseAnswer,
        ),
        HttpFault::LostDelete => (
            request.asks("DeleteMessageBatch") || request.asks("DeleteMessage"),
            Fault::LoseAnswer,
        ),
        HttpFault::FailedExtension => (
            request.asks("ChangeMessageVisibility"),
            Fault::Answer(500, "InternalError"),
        ),
    };
    applies.then_some(injected)
}
