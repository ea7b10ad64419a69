//! How far a request to a kernel is.

use serde_json::Value;

use super::line::Line;
use super::message::Message;

/// A request is done when its reply has come and the kernel is idle again, in whatever order. What an idle
/// kernel has not replied to it never will: some fail at the very reply.
#[derive(Debug, Default)]
pub(super) struct Progress {
    reply: Option<Value>,
    idle: bool,
}

impl Progress {
    /// Notes what a message about the request says.
    pub(super) fn advance(&mut self, message: &Message) {
        match message.kind.as_str() {
            "execute_reply" => self.reply = Some(message.content.clone()),
            "status" => self.idle |= message.content["execution_state"] == "idle",
            _ => {}
        }
    }

    /// Whether nothing more is to come.
    pub(super) fn is_complete(&self) -> bool {
        self.idle && self.reply.is_some()
    }

    /// Whether the kernel is at rest; only the reply may still be on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.idle
    }

    /// The failure of a cell of which no message told: `UsageError` and groups of exceptions are
    /// printed, and only the reply has them as errors.
    pub(super) fn failure(&self) -> Option<Line> {
        let Some(reply) = &self.reply else {
            let message = "the kernel ended the cell without saying how";
            return Some(Line::failure("UnexpectedEndOfExecution", message));
        };
        match reply["status"].as_str() {
            Some("error") => Some(render_error(reply)),
            Some("aborted" | "abort") => Some(Line::failure(
                "ExecutionAborted",
                "the kernel did not run the cell",
            )),
            _ => None,
        }
    }
}

/// The line for an exception that a kernel describes.
pub(super) fn render_error(content: &Value) -> Line {
    let text = |name: &str| content[name].as_str().unwrap_or_default().to_owned();
    let frames = content["traceback"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    Line::Error {
        name: text("ename"),
        value: text("evalue"),
        traceback: frames.collect::<Vec<_>>().join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn after(messages: &[(&str, Value)]) -> Progress {
        let mut progress = Progress::default();
        for (kind, content) in messages {
            progress.advance(&Message {
                kind: (*kind).to_owned(),
                parent: "p".to_owned(),
                content: content.clone(),
            });
        }
        progress
    }

    #[test]
    fn reply_and_idle_complete_a_request_in_any_order() {
        let [busy, idle] = ["busy", "idle"].map(|state| ("status", json!({"execution_state": state})));
        let reply = ("execute_reply", json!({"status": "ok"}));
        assert!(!after(&[busy.clone(), reply.clone()]).is_complete());
        assert!(!after(&[busy, idle.clone()]).is_complete());
        assert!(after(&[reply.clone(), idle.clone()]).is_complete());
        assert!(after(&[idle, reply]).is_complete());
    }

    #[test]
    fn a_failure_that_only_the_reply_tells_is_told() {
        let failed = json!({"status": "error", "ename": "UsageError", "evalue": "no", "traceback": []});
        let expected = Line::failure("UsageError", "no");
        assert_eq!(after(&[("execute_reply", failed)]).failure(), Some(expected));
        let fine = json!({"status": "ok"});
        assert_eq!(after(&[("execute_reply", fine)]).failure(), None);
        for (reply, name) in [
            (
                Some(("execute_reply", json!({"status": "aborted"}))),
                "ExecutionAborted",
            ),
            (None, "UnexpectedEndOfExecution"),
        ] {
            let failure = after(reply.as_slice()).failure();
            assert!(matches!(failure, Some(Line::Error { name: given, .. }) if given == name));
        }
    }
}
