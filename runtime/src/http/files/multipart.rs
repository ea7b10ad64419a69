//! Uploads as `multipart/form-data`: the file name of a part is the destination.

use std::collections::HashSet;
use std::io::{self, Write};

use axum::body::Body;
use bytes::Bytes;
use flate2::write::GzDecoder;
use futures::{Stream, StreamExt, stream};
use multer::Multipart;

use super::receive::{Upload, Written};
use crate::http::{ApiError, idle};

/// Writes every part to its destination; a destination in the query wins for a single part.
pub(super) async fn receive(upload: &Upload, boundary: String, body: Body) -> Result<Vec<Written>, ApiError> {
    let content = idle::limit(body.into_data_stream());
    let mut parts = if upload.gzip {
        Multipart::new(
            decompress(content.map(|chunk| chunk.map_err(io::Error::other))),
            boundary,
        )
    } else {
        Multipart::new(content, boundary)
    };
    let result = receive_parts(upload, &mut parts).await;
    if result.is_err() {
        // A client that is still sending would see a broken connection instead of the answer.
        while let Ok(Some(_)) = parts.next_field().await {}
    }
    result
}

async fn receive_parts(upload: &Upload, parts: &mut Multipart<'static>) -> Result<Vec<Written>, ApiError> {
    let mut written: Vec<Written> = Vec::new();
    let mut seen = HashSet::new();
    while let Some(part) = parts.next_field().await.map_err(|error| read_error(&error))? {
        if part.name() != Some("file") {
            continue;
        }
        let name = match (&upload.path, part.file_name()) {
            (Some(path), _) => path.clone(),
            (None, Some(name)) if !name.is_empty() => name.to_owned(),
            (None, _) => return Err(ApiError::bad_request("a part has no file name")),
        };
        let path = upload.resolve(&name);
        if !seen.insert(path.clone()) {
            let message = format!("path '{}' is given more than once", path.display());
            return Err(ApiError::bad_request(message));
        }
        written.push(upload.receive_file(path, part, false).await?);
    }
    if written.is_empty() {
        return Err(ApiError::bad_request("the upload contains no file"));
    }
    Ok(written)
}

fn read_error(error: &multer::Error) -> ApiError {
    ApiError::bad_request(format!("failed to read the upload: {error}"))
}

/// Decompresses a body chunk by chunk.
fn decompress(
    content: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let state = (Box::pin(content), Some(GzDecoder::new(Vec::new())));
    stream::unfold(state, |(mut content, decoder)| async move {
        let mut decoder = decoder?;
        let step = match content.next().await {
            Some(Ok(chunk)) => {
                let result = decoder.write_all(&chunk).and_then(|()| decoder.flush());
                result.map(|()| Bytes::from(std::mem::take(decoder.get_mut())))
            }
            Some(Err(error)) => Err(error),
            None => return Some((decoder.finish().map(Bytes::from), (content, None))),
        };
        let next = step.is_ok().then_some(decoder);
        Some((step, (content, next)))
    })
}
