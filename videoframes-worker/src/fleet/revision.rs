//! The revision of this worker.

use std::time::Duration;

use serde::Deserialize;
use videoframes_console::{Failure, exit};
use videoframes_core::error::chain;
use videoframes_core::fleet::Revision;

/// Address of the metadata of an ECS task.
const METADATA: &str = "ECS_CONTAINER_METADATA_URI_V4";
/// Maximum time of a request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where the name of the revision comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RevisionSource {
    /// The name itself.
    Name(Revision),
    /// The task definition of the ECS task, as `family:revision`.
    Ecs,
}

/// Parses `VF_REVISION`.
pub(crate) fn revision(text: &str) -> Result<RevisionSource, String> {
    match text {
        "ecs" => Ok(RevisionSource::Ecs),
        _ => text
            .parse()
            .map(RevisionSource::Name)
            .map_err(|_| "ecs, or a name of 1 to 128 letters, digits and '._:/@+-'".to_owned()),
    }
}

/// The part of the task metadata that names the task definition.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Task {
    family: String,
    revision: String,
}

impl RevisionSource {
    /// Returns the name.
    pub(crate) async fn resolve(&self) -> Result<Revision, Failure> {
        match self {
            Self::Name(revision) => Ok(revision.clone()),
            Self::Ecs => {
                let address = std::env::var(METADATA).map_err(|_| {
                    Failure::new(
                        exit::USAGE,
                        format!("VF_REVISION is 'ecs', but {METADATA} is not set"),
                    )
                    .hint("only Amazon ECS sets the variable; elsewhere, set VF_REVISION to a name")
                })?;
                let failed = |reason: String| {
                    let text = format!("failed to read the task metadata of ECS: {reason}");
                    Failure::new(exit::UNAVAILABLE, text)
                };
                let task = task(&address).await.map_err(|error| failed(chain(&error)))?;
                let name = format!("{}:{}", task.family, task.revision);
                name.parse()
                    .map_err(|error| failed(format!("the task definition '{name}': {error}")))
            }
        }
    }
}

async fn task(address: &str) -> Result<Task, Box<reqwest::Error>> {
    let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build()?;
    let answer = client.get(format!("{address}/task")).send().await?;
    Ok(answer.error_for_status()?.json().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_a_name_or_that_of_the_ecs_task() {
        assert_eq!(revision("ecs"), Ok(RevisionSource::Ecs));
        assert!(matches!(revision("v1.2"), Ok(RevisionSource::Name(name)) if name.as_str() == "v1.2"));
        assert!(revision("a b").is_err_and(|expected| expected.starts_with("ecs, or a name")));
    }
}
