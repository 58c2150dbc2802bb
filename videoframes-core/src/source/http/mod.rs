//! A video on an HTTP server, read in ranges (RFC 9110, section 14).

mod address;
mod client;
mod error;
mod response;
mod source;
mod url;

pub use self::address::Addresses;
pub use self::error::HttpError;
pub use self::source::HttpSource;
pub use self::url::{HttpUrl, InvalidUrl};
