//! Objects as files below a local folder.

mod blocking;
mod import;
mod list;
mod partial;
mod read;
mod storage;
mod tree;
mod version;

pub use self::storage::LocalStorage;
pub(super) use self::tree::open_regular;
