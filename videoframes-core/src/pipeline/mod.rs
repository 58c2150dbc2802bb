//! Videos to results in one call: [`Pipeline`].
//!
//! ```text
//! extract:  Session ─probe─▶ Facts ─Pass::choose─▶ perform ─▶ archive ─▶ Summary
//!                             ▲                       │
//!                             └──── Facts::learn ◀────┘ surprise
//! frames:   Session ─probe─▶ Facts ─Pass::choose─▶ perform ─▶ FrameStream
//! sheets:   Session ─probe─▶ Facts ─Pass::choose─▶ perform ─▶ tiles ─▶ sheets ─▶ archive ─▶ Summary
//! preview:  Session ─probe─▶ Facts ─Pass::choose─▶ perform ─▶ animated picture ─▶ archive ─▶ Summary
//! compress: Session ─probe─▶ Subject ─▶ compressor ─▶ verified draft ─▶ target ─▶ Compressed
//! ```

mod bounded;
mod builder;
mod burn_in;
mod checks;
mod choice;
mod chosen;
mod compress;
mod context;
mod coverage;
mod error;
mod examine;
mod excerpt;
mod extract;
mod facts;
mod frames;
mod input;
mod manifest;
mod outline;
mod outputs;
mod pass;
mod passed;
mod perform;
mod preview;
mod probe;
mod renditions;
mod request;
mod scratch;
mod session;
mod sheets;
mod space;
mod summary;
mod target;
mod thumbnail;
mod writer;

pub use self::builder::Pipeline;
pub use self::error::Error;
pub use self::frames::{Frame, FrameIter, FrameStream, FramesRequest, FramesSummary};
pub use self::outline::Outline;
pub use self::outputs::{AdditionalOutputs, Composition, CompositionRequest};
pub use self::preview::PreviewRequest;
pub use self::probe::Probe;
pub use self::renditions::{Rendition, RenditionOutcome};
pub use self::request::{CompressJob, OnDamage, Request};
pub use self::scratch::Scratch;
pub use self::sheets::{ContactSheetRequest, STORYBOARD_WEBVTT, StoryboardRequest};
pub use self::summary::{Progress, Summary, Work};
pub use crate::preview::PreviewFormat;
