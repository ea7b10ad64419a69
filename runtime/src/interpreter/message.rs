//! Messages of the Jupyter protocol 5.3 and their wire form.

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::Sha256;

use super::lossy;

const DELIMITER: &[u8] = b"<IDS|MSG>";

/// Signs and numbers the messages of one client.
#[derive(Clone)]
pub(super) struct Session {
    id: String,
    key: String,
}

/// A message that a kernel sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Message {
    /// For example `execute_reply`.
    pub kind: String,
    /// Id of the request that caused it.
    pub parent: String,
    /// Depends on the kind.
    pub content: Value,
}

impl Session {
    /// A session with the key of a kernel's connection file.
    pub(super) fn new(key: String) -> Self {
        Self {
            id: random_hex(),
            key,
        }
    }

    /// Renders a request and returns its id and frames.
    pub(super) fn render(&self, kind: &str, content: &Value) -> (String, Vec<Bytes>) {
        let id = random_hex();
        let header = json!({
            "msg_id": id,
            "session": self.id,
            "username": "sandbox",
            "date": Timestamp::now().to_string(),
            "msg_type": kind,
            "version": "5.3",
        });
        let parts = [
            header.to_string(),
            "{}".to_owned(),
            "{}".to_owned(),
            content.to_string(),
        ]
        .map(Bytes::from);
        let mut frames = vec![Bytes::from_static(DELIMITER), Bytes::from(self.sign(&parts))];
        frames.extend(parts);
        (id, frames)
    }

    /// Reads a message; `None` when it is malformed or not signed with our key.
    pub(super) fn parse(&self, frames: &[Bytes]) -> Option<Message> {
        let start = frames.iter().position(|frame| frame == DELIMITER)?;
        let (signature, parts) = frames.get(start + 1..start + 6)?.split_first()?;
        if self.sign(parts).as_bytes() != &signature[..] {
            return None;
        }
        let header: Value = serde_json::from_slice(&parts[0]).ok()?;
        let parent: Value = serde_json::from_slice(&parts[1]).ok()?;
        Some(Message {
            kind: header.get("msg_type")?.as_str()?.to_owned(),
            parent: parent
                .get("msg_id")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            content: lossy::parse(&parts[3])?,
        })
    }

    fn sign(&self, parts: &[Bytes]) -> String {
        // HMAC accepts keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.key.as_bytes()) else {
            return String::new();
        };
        for part in parts {
            mac.update(part);
        }
        hex::encode(mac.finalize().into_bytes())
    }
}

/// 128 random bits in hexadecimal digits.
pub(super) fn random_hex() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// A request to execute code.
pub(super) fn execute_request(code: &str, silent: bool) -> Value {
    json!({
        "code": code,
        "silent": silent,
        "store_history": !silent,
        "user_expressions": {},
        "allow_stdin": false,
        // Otherwise a failed cell would swallow the request that follows it.
        "stop_on_error": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rendered_messages_are_understood_and_others_refused() {
        let session = Session::new("key".to_owned());
        let (id, mut frames) = session.render("execute_request", &execute_request("1", true));
        assert_eq!(id.len(), 32);
        frames.insert(0, Bytes::from_static(b"identity"));
        let message = session.parse(&frames).unwrap();
        assert_eq!(message.kind, "execute_request");
        assert_eq!(message.content["code"], "1");
        assert_eq!(Session::new("other".to_owned()).parse(&frames), None);
        assert_eq!(session.parse(&frames[..4]), None);
    }
}
