//! The plan of a run: requests of the client, incidents and faults. Pure.

use std::collections::BTreeMap;
use std::fmt;

use crate::faults::{Call, Fault, Incident, Millis, Profile};
use crate::random::Random;

/// How a client submits a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// By the repository and its outbox.
    Repository,
    /// By a message to the input queue.
    Message,
}

/// A request of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Submits a job.
    Submit {
        /// Number of the job.
        job: usize,
        /// Route of the submission.
        route: Route,
        /// Whether the request differs from others with the same idempotency key.
        conflicting: bool,
    },
    /// Cancels a job.
    Cancel {
        /// Number of the job.
        job: usize,
    },
    /// Retries a job.
    Retry {
        /// Number of the job.
        job: usize,
    },
    /// Begins a legal hold.
    Hold {
        /// Number of the job.
        job: usize,
    },
}

/// A part of a plan that can be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// A request of the client at a time.
    Request(Millis, Request),
    /// An incident at a time.
    Incident(Millis, Incident),
    /// A fault of a call.
    Fault(Call, Fault),
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(at, request) => write!(f, "at {at} ms: client: {request:?}"),
            Self::Incident(at, incident) => write!(f, "at {at} ms: {incident:?}"),
            Self::Fault(call, fault) => write!(f, "{call}: {fault:?}"),
        }
    }
}

/// The request for a job.
#[derive(Debug, Clone)]
pub(crate) struct JobPlan {
    pub(crate) source: &'static str,
    pub(crate) has_key: bool,
    pub(crate) output: Option<&'static str>,
    pub(crate) pictures: u64,
    pub(crate) deadline_s: u64,
}

/// Distinguishes the numbers for limits from others of the same seed.
const LIMITS: u64 = 0x6c69_6d69_7473;

/// Sources that incidents replace.
pub(crate) const SOURCES: [&str; 2] = ["videos/a.mp4", "videos/b.mp4"];
/// A source that the decoder rejects.
pub(crate) const BROKEN: &str = "videos/broken.mp4";

/// The parts of a plan that are fixed by the seed.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) workers: u8,
    pub(crate) slots: usize,
    /// Number of crashes at which a job fails.
    pub(crate) crashes: u32,
    /// Maximum number of concurrent jobs of the tenant.
    pub(crate) max_jobs: Option<u32>,
    pub(crate) jobs: Vec<JobPlan>,
    pub(crate) profile: Profile,
    requests: Vec<(Millis, Request)>,
    incidents: Vec<(Millis, Incident)>,
}

impl Scenario {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let profile = Profile::random(&mut random);
        let workers = u8::try_from(random.between(1, 3)).unwrap_or(1);
        let slots = usize::try_from(random.between(1, 2)).unwrap_or(1);
        let jobs: Vec<JobPlan> = (0..random.between(1, 4))
            .map(|number| job(&mut random, number))
            .collect();
        let mut scenario = Self {
            seed,
            workers,
            slots,
            crashes: random.pick(&[1, 2, 3]),
            // Separate, so that older plans stay the same.
            max_jobs: Random::new(seed ^ LIMITS).pick(&[None, Some(1), Some(2)]),
            jobs,
            profile,
            requests: Vec::new(),
            incidents: Vec::new(),
        };
        scenario.add_requests(&mut random);
        for _ in 0..profile.incidents {
            let at = random.between(0, profile.quiet_from);
            let incident = Incident::random(&mut random, workers);
            scenario.incidents.push((at, incident));
        }
        scenario
    }

    fn add_requests(&mut self, random: &mut Random) {
        let window = self.profile.quiet_from;
        for job in 0..self.jobs.len() {
            let early = random.between(0, window / 3);
            let first = Request::Submit {
                job,
                route: random.pick(&[Route::Repository, Route::Message]),
                conflicting: false,
            };
            self.requests.push((early, first));
            if random.chance(250) {
                let again = Request::Submit {
                    job,
                    route: random.pick(&[Route::Repository, Route::Message]),
                    conflicting: random.chance(400) && self.jobs[job].has_key,
                };
                self.requests.push((early + random.between(0, 30_000), again));
            }
            for (probability, request) in [
                (250, Request::Cancel { job }),
                (250, Request::Retry { job }),
                (100, Request::Hold { job }),
            ] {
                if random.chance(probability) {
                    // While the job is processed, in half of the cases.
                    let end = random.pick(&[early + 60_000, window]);
                    self.requests
                        .push((random.between(early, end.max(early)), request));
                }
            }
        }
    }

    /// Returns the requests and incidents.
    fn items(&self) -> Vec<Item> {
        let requests = self
            .requests
            .iter()
            .map(|(at, request)| Item::Request(*at, *request));
        let incidents = self
            .incidents
            .iter()
            .map(|(at, incident)| Item::Incident(*at, *incident));
        requests.chain(incidents).collect()
    }
}

fn job(random: &mut Random, number: u64) -> JobPlan {
    JobPlan {
        source: match random.between(0, 9) {
            0 => BROKEN,
            1 => "videos/missing.mp4",
            2..=5 => SOURCES[1],
            _ => SOURCES[0],
        },
        has_key: random.chance(600),
        output: match random.between(0, 4) {
            0 => Some("outputs/one.zip"),
            _ => None,
        },
        pictures: random.between(1, 2),
        // Distinguishes jobs without a key.
        deadline_s: match random.chance(100) {
            true => 60 + number,
            false => 7200 + number,
        },
    }
}

/// Which faults happen in a run.
#[derive(Debug, Clone)]
pub(crate) enum Faults {
    /// Those of the seed, until the time from which no fault happens.
    OfSeed,
    /// Exactly these.
    Exactly(BTreeMap<Call, Fault>),
}

/// The plan of a run.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) scenario: Scenario,
    pub(crate) requests: Vec<(Millis, Request)>,
    pub(crate) incidents: Vec<(Millis, Incident)>,
    pub(crate) faults: Faults,
}

impl Plan {
    /// Returns the whole plan of a seed.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let scenario = Scenario::new(seed);
        Self {
            requests: scenario.requests.clone(),
            incidents: scenario.incidents.clone(),
            faults: Faults::OfSeed,
            scenario,
        }
    }

    /// Returns all items of the plan: requests, incidents, and the faults that a run of the whole plan reported.
    #[must_use]
    pub fn items(&self, faults: &[(Call, Fault)]) -> Vec<Item> {
        let mut items = self.scenario.items();
        items.extend(faults.iter().map(|(call, fault)| Item::Fault(*call, *fault)));
        items
    }

    /// Returns the plan with only these items.
    #[must_use]
    pub fn with_only(&self, items: &[Item]) -> Self {
        let mut plan = Self {
            scenario: self.scenario.clone(),
            requests: Vec::new(),
            incidents: Vec::new(),
            faults: Faults::OfSeed,
        };
        let mut faults = BTreeMap::new();
        for item in items {
            match *item {
                Item::Request(at, request) => plan.requests.push((at, request)),
                Item::Incident(at, incident) => plan.incidents.push((at, incident)),
                Item::Fault(call, fault) => {
                    faults.insert(call, fault);
                }
            }
        }
        plan.faults = Faults::Exactly(faults);
        plan
    }

    /// Returns the seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.scenario.seed
    }

    pub(crate) fn loses_messages(&self) -> bool {
        let mut incidents = self.incidents.iter();
        incidents.any(|(_, incident)| *incident == Incident::LoseMessages)
    }
}
