//! Metrics of requests to S3 and SQS.

use std::time::{Duration, Instant};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeSerializationInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use metrics::{counter, histogram};

/// The service that a client calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// An object store.
    #[cfg_attr(not(feature = "s3"), allow(dead_code))]
    Store,
    /// A queue.
    #[cfg_attr(not(feature = "sqs"), allow(dead_code))]
    Queue,
}

impl Service {
    fn as_str(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Queue => "queue",
        }
    }
}

/// Records the duration of requests to a store, and the refusals of any service.
#[derive(Debug)]
pub(crate) struct Measure(pub(crate) Service);

/// Start of a request.
#[derive(Debug)]
struct Started(Instant);

impl Storable for Started {
    type Storer = StoreReplace<Self>;
}

impl Intercept for Measure {
    fn name(&self) -> &'static str {
        "Measure"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        cfg.interceptor_state().store_put(Started(Instant::now()));
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let status = context.response().map(|response| response.status().as_u16());
        let failed = matches!(context.output_or_error(), Some(Err(_)));
        // A presigned request is not sent.
        if status.is_none() && !failed {
            return Ok(());
        }
        if matches!(status, Some(401 | 403)) {
            counter!("videoframes_refusals_total", "dependency" => self.0.as_str()).increment(1);
        }
        if self.0 == Service::Store {
            let name = cfg.load::<Metadata>().map_or("", Metadata::name);
            let took = cfg
                .load::<Started>()
                .map_or(Duration::ZERO, |started| started.0.elapsed());
            let result = result(status, failed);
            histogram!("videoframes_store_request_seconds", "operation" => operation(name), "result" => result)
                .record(took);
        }
        Ok(())
    }
}

/// Returns the kind of an operation of S3. Few kinds keep the number of series small.
fn operation(name: &str) -> &'static str {
    match name {
        _ if name.starts_with("Get") || name.starts_with("Head") => "read",
        _ if name.starts_with("List") => "list",
        _ if name.starts_with("Delete") || name.starts_with("Abort") => "delete",
        _ => "write",
    }
}

/// Returns the result of a request as a label. Missing objects and unmet conditions are regular responses.
fn result(status: Option<u16>, failed: bool) -> &'static str {
    match status {
        Some(404 | 304 | 409 | 412 | 416) => "ok",
        _ if !failed => "ok",
        _ => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_few_labels() {
        for (name, kind) in [
            ("GetObject", "read"),
            ("HeadBucket", "read"),
            ("ListObjectsV2", "list"),
            ("UploadPart", "write"),
            ("CompleteMultipartUpload", "write"),
            ("AbortMultipartUpload", "delete"),
            ("DeleteObject", "delete"),
        ] {
            assert_eq!(operation(name), kind, "{name}");
        }
        for (status, failed, expected) in [
            (Some(200), false, "ok"),
            (Some(404), true, "ok"),
            (Some(412), true, "ok"),
            (Some(403), true, "error"),
            (Some(400), true, "error"),
            (Some(503), true, "error"),
            (None, true, "error"),
            // The body of the response was an error.
            (Some(200), true, "error"),
        ] {
            assert_eq!(result(status, failed), expected, "{status:?} {failed}");
        }
    }
}
