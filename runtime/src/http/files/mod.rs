//! `/files`: downloads and uploads, and concatenation of uploaded parts.

mod compose;
mod download;
mod encoding;
mod multipart;
mod query;
mod range;
mod receive;
mod upload;
mod writer;

pub(super) use compose::serve as compose;
pub(super) use download::serve as download;
pub(super) use upload::serve as upload;
