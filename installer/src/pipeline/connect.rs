//! The Connect protocol, as much of it as running one command takes
//! (<https://connectrpc.com/docs/protocol>, streaming with the JSON codec).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::json;

/// Content type of requests and answers.
pub const CONTENT_TYPE: &str = "application/connect+json";
/// Flag of the last envelope, which carries errors and trailers.
const END_STREAM: u8 = 2;
const HEADER: usize = 5;

/// Why an answer cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An envelope is shorter than it says.
    #[error("the answer of the sandbox is cut off")]
    Truncated,
    /// A message is not the JSON it should be.
    #[error("failed to read a message of the sandbox")]
    Message(#[from] serde_json::Error),
    /// The daemon in the sandbox reports an error.
    #[error("the sandbox refused the command: {0}")]
    Refused(String),
    /// The stream ended before the command did.
    #[error("the sandbox ended the stream before the command was done")]
    NoEnd,
}

/// What a command did.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Finished {
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Exit code.
    pub exit_code: i32,
}

/// The body of a `process.Process/Start` request.
pub fn start_request(command: &str, args: &[&str]) -> Vec<u8> {
    envelope(&json!({"process": {"cmd": command, "args": args}, "stdin": false}).to_string())
}

fn envelope(message: &str) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut bytes = vec![0];
    bytes.extend(length.to_be_bytes());
    bytes.extend(message.as_bytes());
    bytes
}

#[derive(Deserialize)]
struct Message {
    event: Option<Event>,
    error: Option<Refusal>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Event {
    data: Option<Data>,
    end: Option<End>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data {
    stdout: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct End {
    exit_code: i32,
}

#[derive(Deserialize)]
struct Refusal {
    code: String,
    #[serde(default)]
    message: String,
}

/// Reads the whole answer to a start request.
pub fn read_answer(mut body: &[u8]) -> Result<Finished, Error> {
    let mut finished = None;
    let mut stdout = Vec::new();
    while !body.is_empty() {
        let (header, rest) = body.split_at_checked(HEADER).ok_or(Error::Truncated)?;
        let [flags, length @ ..] = header else {
            return Err(Error::Truncated);
        };
        let length = <[u8; 4]>::try_from(length).map_err(|_| Error::Truncated)?;
        let length = usize::try_from(u32::from_be_bytes(length)).map_err(|_| Error::Truncated)?;
        let (message, rest) = rest.split_at_checked(length).ok_or(Error::Truncated)?;
        body = rest;
        let message: Message = serde_json::from_slice(message)?;
        if let Some(Refusal { code, message }) = message.error {
            return Err(Error::Refused(format!("{code}: {message}")));
        }
        let event = message.event.unwrap_or_default();
        if let Some(text) = event.data.and_then(|data| data.stdout) {
            stdout.extend(STANDARD.decode(text).unwrap_or_default());
        }
        if let Some(end) = event.end {
            finished = Some(end.exit_code);
        }
        if flags & END_STREAM != 0 {
            break;
        }
    }
    finished
        .map(|exit_code| Finished { stdout, exit_code })
        .ok_or(Error::NoEnd)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(messages: &[(u8, &str)]) -> Vec<u8> {
        let framed = messages.iter().map(|(flags, text)| {
            let mut bytes = envelope(text);
            bytes[0] = *flags;
            bytes
        });
        framed.flatten().collect()
    }

    #[test]
    fn output_and_exit_code_are_collected() {
        let body = stream(&[
            (0, r#"{"event":{"start":{"pid":7}}}"#),
            (0, r#"{"event":{"data":{"stdout":"aGk="}}}"#),
            (0, r#"{"event":{"keepalive":{}}}"#),
            (
                0,
                r#"{"event":{"end":{"exitCode":3,"exited":true,"status":"exit status 3"}}}"#,
            ),
            (2, "{}"),
        ]);
        assert_eq!(
            read_answer(&body).unwrap(),
            Finished {
                stdout: b"hi".to_vec(),
                exit_code: 3
            }
        );
    }

    #[test]
    fn an_absent_exit_code_is_zero() {
        let body = stream(&[(0, r#"{"event":{"end":{"exited":true}}}"#), (2, "{}")]);
        assert_eq!(read_answer(&body).unwrap().exit_code, 0);
    }

    #[test]
    fn refusals_and_broken_streams_are_errors() {
        let refused = stream(&[(2, r#"{"error":{"code":"unauthenticated","message":"no token"}}"#)]);
        assert!(
            matches!(read_answer(&refused), Err(Error::Refused(text)) if text == "unauthenticated: no token")
        );
        assert!(matches!(read_answer(&stream(&[(2, "{}")])), Err(Error::NoEnd)));
        let whole = stream(&[(0, r#"{"event":{}}"#)]);
        assert!(matches!(
            read_answer(&whole[..whole.len() - 1]),
            Err(Error::Truncated)
        ));
        assert!(matches!(read_answer(&[0, 0]), Err(Error::Truncated)));
    }

    #[test]
    fn a_request_is_one_envelope() {
        let bytes = start_request("/bin/sh", &["-c", "true"]);
        assert_eq!(bytes[0], 0);
        assert_eq!(
            usize::try_from(u32::from_be_bytes(bytes[1..5].try_into().unwrap())).unwrap(),
            bytes.len() - 5
        );
    }
}
