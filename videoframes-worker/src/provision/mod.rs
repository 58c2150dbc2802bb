//! `vf-worker provision`: creates or checks the buckets and queues of a deployment.

mod args;
mod bucket;
mod events;
mod lifecycle;
mod plan;
mod policy;
mod queues;
mod report;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod retention;

use std::process::ExitCode;

use videoframes_console::{Failure, exit};
use videoframes_core::aws::SdkConfig;
use videoframes_core::storage::S3Encryption;

pub(crate) use self::args::ProvisionArgs;
use self::plan::{Desired, Events, Names, Terms, version_days};
use self::report::Report;
use crate::aws;
use crate::config::{self, BucketPlace, InputPlaces, QueueAddress, QueuePlace, Reader, bucket_name};
use crate::stdout::print;

/// Creates missing resources and fixes settings that differ, or only reports the differences. Other settings
/// stay unchanged.
pub(crate) async fn run(args: &ProvisionArgs) -> Result<ExitCode, Failure> {
    let mut read = Reader::from_environment();
    let names = names(args, &mut read);
    let mut terms = terms(args, &mut read);
    let path_style = read
        .optional("VF_S3_PATH_STYLE", crate::config::on_off)
        .unwrap_or_else(videoframes_core::aws::s3_endpoint_is_set);
    let usage =
        |errors| Failure::all(exit::USAGE, errors).hint("'vf-worker provision --help' lists the options");
    let errors = read.into_errors();
    if !errors.is_empty() {
        return Err(usage(errors));
    }
    // Errors in the arguments must be reported before any request.
    desired(&names, &terms).map_err(usage)?;
    let aws = aws::environment().await?;
    terms.tls = !endpoint(&aws).is_some_and(|endpoint| endpoint.starts_with("http://"));
    let desired = desired(&names, &terms).map_err(usage)?;
    let mut report = Report::new(args.check);
    let done = async {
        for desired in &desired {
            ensure(&aws, path_style, desired, &mut report).await?;
        }
        Ok::<_, Failure>(())
    };
    let done = done.await;
    let check = report.is_check();
    let (text, differences) = report.finish(done.is_ok());
    // The report includes the changes before an error.
    print(&text)?;
    done?;
    Ok(match check && differences > 0 {
        true => ExitCode::from(exit::DIFFERS),
        false => ExitCode::SUCCESS,
    })
}

/// Computes the desired resources: first all but the further input queues, then each of these.
fn desired(names: &Names, terms: &Terms) -> Result<Vec<Desired>, Vec<String>> {
    let mut all = vec![Desired::new(names, terms)?];
    for (names, terms) in names.of_further_inputs(terms) {
        all.push(Desired::new(&names, &terms)?);
    }
    Ok(all)
}

async fn ensure(
    aws: &SdkConfig,
    path_style: bool,
    desired: &Desired,
    report: &mut Report,
) -> Result<(), Failure> {
    let mut input = None;
    if !desired.queues.is_empty() {
        input = queues::ensure(&aws_sdk_sqs::Client::new(aws), desired, report).await?;
    }
    let s3 = aws_sdk_s3::config::Builder::from(aws).force_path_style(path_style);
    let s3 = aws_sdk_s3::Client::from_conf(s3.build());
    for bucket in &desired.buckets {
        bucket::ensure(&s3, bucket, input.as_deref(), report).await?;
    }
    Ok(())
}

/// Returns the endpoint of the store, unless the store is AWS S3.
fn endpoint(aws: &SdkConfig) -> Option<String> {
    let own = std::env::var("AWS_ENDPOINT_URL_S3")
        .ok()
        .filter(|url| !url.is_empty());
    own.or_else(|| aws.endpoint_url().map(str::to_owned))
}

/// Reads the names from the options, else from the variables of the worker. Values outside S3 and SQS need no
/// provisioning and are ignored.
fn names(args: &ProvisionArgs, read: &mut Reader) -> Names {
    let storage = match &args.storage_bucket {
        Some(text) => read.flag("--storage-bucket", text, BucketPlace::parse),
        None => read
            .optional("VF_STORAGE", |text| match text.strip_prefix("s3://") {
                Some(place) => BucketPlace::parse(place).map(Some),
                None => Ok(None),
            })
            .flatten(),
    };
    let sources = match args.source_bucket.is_empty() {
        false => {
            let buckets = args.source_bucket.iter();
            buckets
                .filter_map(|text| read.flag("--source-bucket", text, bucket_name))
                .collect()
        }
        true => {
            let sources = read.optional("VF_SOURCES", config::bucket_names);
            sources.unwrap_or_default().into_iter().collect()
        }
    };
    let inputs = match &args.input_queue {
        Some(text) => read.flag("--input-queue", text, InputPlaces::parse),
        None => read.optional("VF_INPUT_QUEUE", InputPlaces::parse),
    };
    let is_flag = args.input_queue.is_some();
    let inputs = inputs.iter().flat_map(InputPlaces::iter);
    let mut inputs = inputs.filter_map(|input| match &input.queue {
        QueuePlace::Sqs(address) => Some(address.clone()),
        // A name without `sqs:`.
        QueuePlace::Database(name) => is_flag.then(|| format!("sqs:{name}").parse().ok()).flatten(),
    });
    let input = inputs.next();
    let mut queue = |flag: &str, given: &Option<String>, name: &str| match given {
        Some(text) => read.flag(flag, text, |text| match QueueAddress::is_sqs(text) {
            true => text.parse(),
            false => format!("sqs:{text}").parse(),
        }),
        None => read
            .optional(name, |text| match QueueAddress::is_sqs(text) {
                true => text.parse().map(Some),
                false => Ok(None),
            })
            .flatten(),
    };
    Names {
        input,
        further_inputs: inputs.collect(),
        notifier: queue("--notifier-queue", &args.notifier_queue, "VF_NOTIFIER_QUEUE"),
        dead_letter_queue: queue(
            "--dead-letter-queue",
            &args.dead_letter_queue,
            "VF_DEAD_LETTER_QUEUE",
        ),
        storage,
        sources,
    }
}

fn terms(args: &ProvisionArgs, read: &mut Reader) -> Terms {
    use crate::config::{count, time};
    let encryption = match &args.encryption {
        Some(text) => read.flag("--encryption", text, config::encryption),
        None => read.optional("VF_S3_ENCRYPTION", config::encryption),
    };
    let encryption = match (encryption, &args.encryption) {
        // Objects written without an encryption header are still encrypted.
        (None | Some(S3Encryption::Bucket), None) => S3Encryption::S3,
        (encryption, _) => encryption.unwrap_or(S3Encryption::S3),
    };
    let events = args.events.iter();
    Terms {
        encryption,
        tls: true,
        upload_days: args.upload_days,
        version_days: args
            .version_days
            .unwrap_or_else(|| version_days(read.get("VF_VERSION_RETENTION", time))),
        message_days: args.message_days,
        visibility: read.get("VF_LEASE", time) + read.get("VF_VISIBILITY_MARGIN", time),
        max_receives: args
            .max_receives
            .unwrap_or_else(|| read.get("VF_MAX_RECEIVES", count)),
        events: events
            .filter_map(|text| read.flag("--events", text, Events::parse))
            .collect(),
    }
}
