//! `/files`: downloads and uploads, and concatenation of uploaded parts.

mod compose;
mod download;
mod multipart;
mod query;
mod range;
mod upload;
mod writer;

pub use compose::serve as compose;
pub use download::serve as download;
pub use upload::serve as upload;
