//! One life of a participant, and its calls with their faults.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::faults::{Actor, Cut, Fault, Millis, Op};
use crate::world::{Request, World};

/// One life of a participant, from its start to its crash.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    pub(crate) world: Arc<World>,
    pub(crate) actor: Actor,
    ended: Arc<AtomicBool>,
    pub(crate) crashed: Arc<Notify>,
    /// Asks the worker to stop.
    pub(crate) stop: CancellationToken,
    /// Time until the next life.
    down: Arc<Mutex<Millis>>,
}

impl Life {
    pub(crate) fn new(world: &Arc<World>, actor: Actor) -> Self {
        Self {
            world: Arc::clone(world),
            actor,
            ended: Arc::default(),
            crashed: Arc::default(),
            stop: CancellationToken::new(),
            down: Arc::new(Mutex::new(100)),
        }
    }

    pub(crate) fn down(&self) -> Duration {
        Duration::from_millis(*self.down.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends the life: no call has an effect or an answer from now on.
    pub(crate) fn crash(&self, down: Millis) {
        if !self.ended.swap(true, Ordering::SeqCst) {
            *self.down.lock().unwrap_or_else(PoisonError::into_inner) = down;
            self.crashed.notify_one();
        }
    }

    pub(crate) fn drain(&self, down: Millis) {
        *self.down.lock().unwrap_or_else(PoisonError::into_inner) = down;
        self.stop.cancel();
    }

    /// Waits while the participant is dead or stalled.
    async fn live(&self) {
        loop {
            if self.ended.load(Ordering::SeqCst) {
                pending::<()>().await;
            }
            let Actor::Worker(worker) = self.actor else {
                return;
            };
            let now = self.world.clock.elapsed();
            let end = self.world.state().stalled.get(&worker).copied().unwrap_or(0);
            if end <= now {
                return;
            }
            sleep(Duration::from_millis(end - now)).await;
        }
    }

    async fn wait(&self, time: Millis) {
        if time > 0 {
            sleep(Duration::from_millis(time)).await;
        }
        self.live().await;
    }

    /// Waits while a dependency hangs; returns `false` if it refuses the call.
    async fn connects(&self, op: Op) -> bool {
        while let Some((cut, until)) = self.world.outage(self.actor, op.dependency()) {
            if cut == Cut::Refuse {
                return false;
            }
            let now = self.world.clock.elapsed();
            self.wait(until.saturating_sub(now).max(1)).await;
        }
        true
    }

    /// Performs a call with its faults.
    pub(crate) async fn call<T: Send, E: Send>(
        &self,
        op: Op,
        subject: impl Into<String>,
        failure: impl Fn() -> E,
        effect: impl Fn() -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let world = &self.world;
        self.live().await;
        let (fault, latency) = world.decide(self.actor, op);
        self.wait(latency).await;
        if !self.connects(op).await {
            return Err(failure());
        }
        let subject = subject.into();
        let request = Request {
            actor: self.actor,
            op,
            subject: &subject,
        };
        let lost = |what: &str| {
            let at = world.clock.elapsed();
            let line = format!("{op:?} {subject} {what}");
            world.state().trace.line(at, &self.actor.to_string(), &line);
        };
        let result = match fault {
            None => world.perform(&request, fault, &effect),
            Some(Fault::LoseRequest) => {
                lost("[LoseRequest]");
                return Err(failure());
            }
            Some(Fault::LoseAnswer) => {
                let _ = world.perform(&request, fault, &effect);
                return Err(failure());
            }
            Some(Fault::LateEffect(delay)) => {
                lost("[LateEffect: sent]");
                let (world, actor, subject) = (Arc::clone(world), self.actor, subject.clone());
                tokio::spawn(async move {
                    sleep(Duration::from_millis(delay)).await;
                    let request = Request {
                        actor,
                        op,
                        subject: &subject,
                    };
                    let _ = world.perform(&request, fault, &effect);
                });
                return Err(failure());
            }
            Some(Fault::DelayRequest(delay)) => {
                lost("[DelayRequest: sent]");
                self.wait(delay).await;
                world.perform(&request, fault, &effect)
            }
            Some(Fault::DelayAnswer(delay)) => {
                let result = world.perform(&request, fault, &effect);
                self.wait(delay).await;
                result
            }
            Some(Fault::Repeat) => {
                let _ = world.perform(&request, fault, &effect);
                world.perform(&request, fault, &effect)
            }
            Some(Fault::CrashBefore(down)) => {
                lost("[CrashBefore]");
                self.crash(down);
                pending().await
            }
            Some(Fault::CrashAfter(down)) => {
                let _ = world.perform(&request, fault, &effect);
                self.crash(down);
                pending().await
            }
            Some(Fault::Panic) => {
                lost("[Panic]");
                // Calls no panic hook, which would print the panic.
                std::panic::resume_unwind(Box::new("simulated panic"));
            }
        };
        self.live().await;
        result
    }

    /// Waits for a message or for `until`.
    pub(crate) async fn arrival(&self, until: Instant) {
        let check = (Instant::now() + Duration::from_secs(1)).min(until);
        let arrived = self.world.arrived.notified();
        let _ = tokio::time::timeout_at(check, arrived).await;
        self.live().await;
    }
}
