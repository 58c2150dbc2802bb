//! Guarantees of real workers that are killed, frozen, stopped or sent invalid requests.
#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

mod backlog;
mod backup;
mod cancel;
mod children;
mod cli;
mod cloud;
mod collector;
mod credentials;
mod crowd;
mod error_tracking;
mod events;
mod faults;
mod fleet;
mod guarantees;
mod http;
mod input_queues;
mod jobs;
mod kills;
mod log;
mod messages;
mod notifications;
mod operate;
mod operations;
mod outages;
mod outputs;
mod permissions;
mod place;
mod process;
mod renditions;
mod requests;
#[path = "../../../videoframes-core/tests/resources/mod.rs"]
mod resources;
mod restore;
mod restore_objects;
mod server;
mod signals;
mod snapshots;
mod stores;
mod sweep;
mod traces;
mod usage;
mod video;
mod workers;
