//! `GET /files`.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom, Write as _};
use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, IF_MODIFIED_SINCE, IF_RANGE, LAST_MODIFIED, RANGE, VARY,
};
use axum::http::{HeaderMap, Response, StatusCode};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::encoding::{Encoding, choose_encoding};
use super::query::{FileQuery, resolve_path};
use super::range::{Selection, choose_range};
use crate::access::Operation;
use crate::blocking::blocking;
use crate::filesystem::FsError;
use crate::http::ApiError;
use crate::http::extract::Parameters;
use crate::sandbox::Sandbox;

/// Bytes read at once.
const CHUNK: usize = 128 * 1024;
/// Chunks read ahead of the network.
const READ_AHEAD: usize = 2;
const HTTP_DATE: &str = "%a, %d %b %Y %H:%M:%S GMT";

pub(crate) async fn serve(
    State(sandbox): State<Arc<Sandbox>>,
    Parameters(query): Parameters<FileQuery>,
    headers: HeaderMap,
) -> Result<Response<Body>, ApiError> {
    let account = query.authorize(&sandbox, &headers, Operation::Read)?;
    let raw = query.path.as_deref().filter(|path| !path.is_empty());
    let raw = raw.ok_or_else(|| ApiError::bad_request("query parameter 'path' is missing"))?;
    let path = resolve_path(raw, &account, &sandbox);
    let accepted = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let encoding = choose_encoding(accepted);
    blocking(move || open(&path, &headers, encoding)).await?
}

/// Opens the file and reads what the head of the answer depends on.
fn open(path: &Path, headers: &HeaderMap, encoding: Option<Encoding>) -> Result<Response<Body>, ApiError> {
    let metadata = std::fs::metadata(path).map_err(|error| FsError::from_io("stat", path, error))?;
    if metadata.is_dir() {
        return Err(FsError::IsDirectory(path.to_owned()).into());
    }
    if !metadata.is_file() {
        return Err(FsError::NotFile(path.to_owned()).into());
    }
    let encoding = encoding.ok_or_else(|| {
        let message = "no encoding of the file is acceptable: gzip and identity are available";
        ApiError::new(StatusCode::NOT_ACCEPTABLE, message)
    })?;
    let file = File::open(path).map_err(|error| FsError::from_io("open", path, error))?;
    respond(file, path, &metadata, headers, encoding)
        .map_err(|error| FsError::from_io("read", path, error).into())
}

fn respond(
    mut file: File,
    path: &Path,
    metadata: &Metadata,
    headers: &HeaderMap,
    encoding: Encoding,
) -> io::Result<Response<Body>> {
    let modified = metadata
        .modified()
        .ok()
        .and_then(|time| Timestamp::try_from(time).ok());
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let mut response = Response::builder()
        .header(CONTENT_TYPE, content_type(path))
        .header(CONTENT_DISPOSITION, render_disposition(path))
        .header(VARY, "Accept-Encoding");
    if let Some(modified) = modified {
        response = response.header(LAST_MODIFIED, modified.strftime(HTTP_DATE).to_string());
        if header(IF_MODIFIED_SINCE)
            .and_then(parse_date)
            .is_some_and(|since| modified.as_second() <= since)
        {
            return finish(response.status(StatusCode::NOT_MODIFIED), Body::empty());
        }
    }
    // Files of /proc claim to be empty.
    if metadata.len() == 0 {
        let mut content = Vec::new();
        let length = (&mut file).take(CHUNK as u64).read_to_end(&mut content)?;
        if length < CHUNK {
            return finish(response.header(CONTENT_LENGTH, length), Body::from(content));
        }
        let start = Bytes::from(content);
        return finish(response, stream(Some(start), file, u64::MAX));
    }
    // A range of another version than the client has would be useless to it.
    let is_current = header(IF_RANGE).is_none_or(|date| {
        parse_date(date).is_some_and(|date| modified.is_some_and(|time| time.as_second() == date))
    });
    response = response.header(ACCEPT_RANGES, "bytes");
    match choose_range(header(RANGE).filter(|_| is_current), metadata.len()) {
        // A part is one of the bytes as they are, so only whole files are compressed.
        Selection::Whole if encoding == Encoding::Gzip => {
            finish(response.header(CONTENT_ENCODING, "gzip"), stream_compressed(file))
        }
        Selection::Whole => {
            let length = metadata.len();
            finish(
                response.header(CONTENT_LENGTH, length),
                stream(None, file, length),
            )
        }
        Selection::Part { start, length } => {
            file.seek(SeekFrom::Start(start))?;
            let range = format!("bytes {start}-{}/{}", start + length - 1, metadata.len());
            let response = response
                .status(StatusCode::PARTIAL_CONTENT)
                .header(CONTENT_RANGE, range)
                .header(CONTENT_LENGTH, length);
            finish(response, stream(None, file, length))
        }
        Selection::Unsatisfiable => {
            let response = response
                .status(StatusCode::RANGE_NOT_SATISFIABLE)
                .header(CONTENT_RANGE, format!("bytes */{}", metadata.len()));
            finish(response, Body::empty())
        }
    }
}

fn finish(response: axum::http::response::Builder, body: Body) -> io::Result<Response<Body>> {
    response.body(body).map_err(io::Error::other)
}

/// Streams up to `length` bytes of a file, after what was read already.
fn stream(start: Option<Bytes>, file: File, length: u64) -> Body {
    let mut start = start;
    let mut left = length;
    stream_steps(file, move |file| {
        if let Some(start) = start.take() {
            return Ok(Some(start));
        }
        let mut chunk = vec![0; usize::try_from(left).unwrap_or(CHUNK).min(CHUNK)];
        let length = file.read(&mut chunk)?;
        left -= length as u64;
        chunk.truncate(length);
        Ok((length > 0).then(|| chunk.into()))
    })
}

/// Streams a file compressed, at the level that keeps up with a network.
fn stream_compressed(file: File) -> Body {
    let mut encoder = Some(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut chunk = vec![0; CHUNK];
    stream_steps(file, move |file| {
        while let Some(mut running) = encoder.take() {
            let length = file.read(&mut chunk)?;
            if length == 0 {
                return running.finish().map(|rest| Some(rest.into()));
            }
            running.write_all(&chunk[..length])?;
            let ready = std::mem::take(running.get_mut());
            encoder = Some(running);
            if !ready.is_empty() {
                return Ok(Some(ready.into()));
            }
        }
        Ok(None)
    })
}

/// Streams what `step` reads of a file until it finds nothing more. A thread is
/// held for each step, and none while the client has chunks to take yet.
fn stream_steps(
    mut file: File,
    mut step: impl FnMut(&mut File) -> io::Result<Option<Bytes>> + Send + 'static,
) -> Body {
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(READ_AHEAD);
    tokio::spawn(async move {
        // A client that went away ends the transfer.
        while let Ok(place) = sender.reserve().await {
            let work = move || {
                let result = step(&mut file);
                (result, step, file)
            };
            let Ok((result, next, same)) = blocking(work).await else {
                return;
            };
            (step, file) = (next, same);
            match result.transpose() {
                Some(result) => {
                    let failed = result.is_err();
                    place.send(result);
                    if failed {
                        return;
                    }
                }
                None => return,
            }
        }
    });
    Body::from_stream(ReceiverStream::new(receiver))
}

fn parse_date(text: &str) -> Option<i64> {
    let time = jiff::civil::DateTime::strptime(HTTP_DATE, text).ok()?;
    Some(
        time.to_zoned(jiff::tz::TimeZone::UTC)
            .ok()?
            .timestamp()
            .as_second(),
    )
}

/// What a parameter of RFC 8187 carries encoded: everything but its `attr-char`.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// `inline` with the name of the file (RFC 6266; extended form of RFC 8187 for other than ASCII).
fn render_disposition(path: &Path) -> String {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let plain = |character: char| character.is_ascii_graphic() || character == ' ';
    if name
        .chars()
        .all(|character| plain(character) && !matches!(character, '"' | '\\'))
    {
        return format!("inline; filename=\"{name}\"");
    }
    let encoded = utf8_percent_encode(&name, ENCODED);
    format!("inline; filename*=utf-8''{encoded}")
}

fn content_type(path: &Path) -> &'static str {
    let extension = path
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "txt" | "log" | "md" | "py" | "rs" | "go" | "sh" | "toml" | "ini" | "yaml" | "yml" => {
            "text/plain; charset=utf-8"
        }
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "xml" => "text/xml; charset=utf-8",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "svg" => "image/svg+xml",
        "webp" => "image/webp",
        "wasm" => "application/wasm",
        "mp4" => "video/mp4",
        "zip" => "application/zip",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disposition_names_the_file_in_any_script() {
        assert_eq!(
            render_disposition(Path::new("/a/b c.txt")),
            "inline; filename=\"b c.txt\""
        );
        assert_eq!(
            render_disposition(Path::new("/a/\u{e9}\".txt")),
            "inline; filename*=utf-8''%C3%A9%22.txt"
        );
    }

    #[test]
    fn dates_of_http_are_understood() {
        assert_eq!(parse_date("Thu, 01 Jan 1970 00:01:00 GMT"), Some(60));
        assert_eq!(parse_date("yesterday"), None);
        let epoch = Timestamp::UNIX_EPOCH.strftime(HTTP_DATE).to_string();
        assert_eq!(epoch, "Thu, 01 Jan 1970 00:00:00 GMT");
    }
}
