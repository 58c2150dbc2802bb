//! The HTTP port.

mod access;
mod client;
mod connections;
mod jobs;
mod results;
mod uploads;
