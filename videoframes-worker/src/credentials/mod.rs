//! Passwords of the database that change while a worker runs.

mod file;
mod iam;

pub(crate) use self::file::{PasswordFile, read_password};
pub(crate) use self::iam::IamTokens;
