//! The Connect service `process.Process`.

use std::sync::Arc;
use std::time::Duration;

use buffa::MessageField;
use bytes::Bytes;
use connectrpc::{
    ConnectError, Encodable, RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream,
};
use futures::{Stream, StreamExt, stream};
use nix::sys::signal::Signal as UnixSignal;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::input::InputKind;
use super::registry::UnknownProcess;
use super::{
    ControlError, End, Event, Exit, Handle, Info, OutputKind, Plan, Selector, StartError, Subscription, start,
};
use crate::blocking::blocking;
use crate::proto::process as wire;
use crate::proto::process::__buffa::oneof;
use crate::rpc::{acting_account, keepalive_interval};
use crate::sandbox::Sandbox;

/// Size of a terminal when the client gives none.
const DEFAULT_TERMINAL: (u16, u16) = (80, 24);

/// Serves `process.Process`.
pub struct ProcessService {
    sandbox: Arc<Sandbox>,
}

impl ProcessService {
    /// A service for the processes of this sandbox.
    pub fn new(sandbox: Arc<Sandbox>) -> Self {
        Self { sandbox }
    }

    fn find(
        &self,
        selector: &MessageField<wire::ProcessSelector, buffa::Inline<wire::ProcessSelector>>,
    ) -> Result<Arc<Handle>, ConnectError> {
        let selector = read_selector(selector.as_option())?;
        self.sandbox
            .processes
            .find_running(&selector)
            .map_err(|error| unknown_process(&error))
    }
}

impl wire::Process for ProcessService {
    async fn start(
        &self,
        context: RequestContext,
        request: ServiceRequest<'_, wire::StartRequest>,
    ) -> ServiceResult<ServiceStream<impl Encodable<wire::StartResponse> + Send + use<>>> {
        let request = request.to_owned_message();
        let account = acting_account(&self.sandbox, &context)?;
        let terminal = request.pty.as_option().map(terminal_size);
        let stdin = request.stdin.unwrap_or(true);
        let info = read_info(request);
        let deadline = context.deadline().map(Instant::from_std);
        let sandbox = Arc::clone(&self.sandbox);
        let started = blocking(move || {
            let plan = Plan::new(info, account, &sandbox.settings(), terminal, stdin)?;
            start(&sandbox, plan, deadline)
        });
        let (handle, subscription) = started.await?.map_err(|error| start_error(&error))?;
        let events = render_events(&handle, subscription, keepalive_interval(&context));
        Response::stream_ok(events.map(|event| {
            event.map(|event| wire::StartResponse {
                event: MessageField::some(event),
                ..Default::default()
            })
        }))
    }

    async fn connect(
        &self,
        context: RequestContext,
        request: ServiceRequest<'_, wire::ConnectRequest>,
    ) -> ServiceResult<ServiceStream<impl Encodable<wire::ConnectResponse> + Send + use<>>> {
        let selector = read_selector(request.to_owned_message().process.as_option())?;
        let handle = self
            .sandbox
            .processes
            .find(&selector)
            .map_err(|error| unknown_process(&error))?;
        let events = render_events(&handle, handle.subscribe(), keepalive_interval(&context));
        Response::stream_ok(events.map(|event| {
            event.map(|event| wire::ConnectResponse {
                event: MessageField::some(event),
                ..Default::default()
            })
        }))
    }

    async fn list<'a>(
        &'a self,
        _context: RequestContext,
        _request: ServiceRequest<'_, wire::ListRequest>,
    ) -> ServiceResult<impl Encodable<wire::ListResponse> + Send + use<'a>> {
        let processes = self
            .sandbox
            .processes
            .running()
            .iter()
            .map(|handle| render_info(handle))
            .collect();
        Response::ok(wire::ListResponse {
            processes,
            ..Default::default()
        })
    }

    async fn update<'a>(
        &'a self,
        _context: RequestContext,
        request: ServiceRequest<'_, wire::UpdateRequest>,
    ) -> ServiceResult<impl Encodable<wire::UpdateResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let handle = self.find(&request.process)?;
        if let Some(pty) = request.pty.as_option() {
            let (columns, rows) = terminal_size(pty);
            handle
                .resize(columns, rows)
                .await
                .map_err(|error| control_error(&error))?;
        }
        Response::ok(wire::UpdateResponse::default())
    }

    async fn send_input<'a>(
        &'a self,
        _context: RequestContext,
        request: ServiceRequest<'_, wire::SendInputRequest>,
    ) -> ServiceResult<impl Encodable<wire::SendInputResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let handle = self.find(&request.process)?;
        write_input(&handle, request.input.into_option()).await?;
        Response::ok(wire::SendInputResponse::default())
    }

    async fn stream_input(
        &self,
        _context: RequestContext,
        mut requests: ServiceStream<connectrpc::StreamMessage<wire::StreamInputRequest>>,
    ) -> ServiceResult<impl Encodable<wire::StreamInputResponse> + Send + use<'_>> {
        let mut target: Option<Arc<Handle>> = None;
        while let Some(message) = requests.next().await {
            match (message?.to_owned_message().event, &target) {
                (Some(oneof::stream_input_request::Event::Start(start)), _) => {
                    target = Some(self.find(&start.process)?);
                }
                (Some(oneof::stream_input_request::Event::Data(data)), Some(handle)) => {
                    write_input(handle, data.input.into_option()).await?;
                }
                (Some(oneof::stream_input_request::Event::Data(_)), None) => {
                    return Err(ConnectError::invalid_argument(
                        "the first message must name the process",
                    ));
                }
                (Some(oneof::stream_input_request::Event::Keepalive(_)) | None, _) => {}
            }
        }
        Response::ok(wire::StreamInputResponse::default())
    }

    async fn send_signal<'a>(
        &'a self,
        _context: RequestContext,
        request: ServiceRequest<'_, wire::SendSignalRequest>,
    ) -> ServiceResult<impl Encodable<wire::SendSignalResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let handle = self.find(&request.process)?;
        let signal = match request.signal.as_known() {
            Some(wire::Signal::SIGNAL_SIGKILL) => UnixSignal::SIGKILL,
            Some(wire::Signal::SIGNAL_SIGTERM) => UnixSignal::SIGTERM,
            Some(wire::Signal::SIGNAL_UNSPECIFIED) | None => {
                return Err(ConnectError::unimplemented(
                    "only SIGTERM and SIGKILL can be sent",
                ));
            }
        };
        handle
            .signal(signal)
            .await
            .map_err(|error| control_error(&error))?;
        Response::ok(wire::SendSignalResponse::default())
    }

    async fn close_stdin<'a>(
        &'a self,
        _context: RequestContext,
        request: ServiceRequest<'_, wire::CloseStdinRequest>,
    ) -> ServiceResult<impl Encodable<wire::CloseStdinResponse> + Send + use<'a>> {
        let handle = self.find(&request.to_owned_message().process)?;
        handle
            .close_input()
            .await
            .map_err(|error| control_error(&error))?;
        Response::ok(wire::CloseStdinResponse::default())
    }
}

fn read_info(request: wire::StartRequest) -> Info {
    let process = request.process.into_option().unwrap_or_default();
    Info {
        cmd: process.cmd,
        args: process.args,
        envs: process.envs.into_iter().collect(),
        cwd: process.cwd,
        tag: request.tag,
    }
}

fn read_selector(selector: Option<&wire::ProcessSelector>) -> Result<Selector, ConnectError> {
    match selector.and_then(|selector| selector.selector.as_ref()) {
        Some(oneof::process_selector::Selector::Pid(pid)) => Ok(Selector::Pid(*pid)),
        Some(oneof::process_selector::Selector::Tag(tag)) => Ok(Selector::Tag(tag.clone())),
        None => Err(ConnectError::invalid_argument("no process was selected")),
    }
}

fn terminal_size(pty: &wire::PTY) -> (u16, u16) {
    let size = |value: u32, default| match u16::try_from(value) {
        Ok(0) => default,
        Ok(value) => value,
        Err(_) => u16::MAX,
    };
    let (columns, rows) = DEFAULT_TERMINAL;
    pty.size.as_option().map_or(DEFAULT_TERMINAL, |given| {
        (size(given.cols, columns), size(given.rows, rows))
    })
}

async fn write_input(handle: &Handle, input: Option<wire::ProcessInput>) -> Result<(), ConnectError> {
    let (kind, data) = match input.and_then(|input| input.input) {
        Some(oneof::process_input::Input::Stdin(data)) => (InputKind::Stdin, data),
        Some(oneof::process_input::Input::Pty(data)) => (InputKind::Pty, data),
        None => return Err(ConnectError::invalid_argument("no input was given")),
    };
    handle
        .write(kind, Bytes::from(data))
        .await
        .map_err(|error| control_error(&error))
}

fn render_info(handle: &Handle) -> wire::ProcessInfo {
    let info = handle.info.clone();
    wire::ProcessInfo {
        config: MessageField::some(wire::ProcessConfig {
            cmd: info.cmd,
            args: info.args,
            envs: info.envs.into_iter().collect(),
            cwd: info.cwd,
            ..Default::default()
        }),
        pid: wire_pid(handle),
        tag: info.tag,
        ..Default::default()
    }
}

fn wire_pid(handle: &Handle) -> u32 {
    handle.pid.as_raw().unsigned_abs()
}

/// Where a stream of events stands.
enum Phase {
    Start(Subscription),
    Live(mpsc::Receiver<Event>),
    Ended(End),
    Done,
}

/// The wire events of a subscription: start, then data and keep-alives, then the end.
fn render_events(
    handle: &Handle,
    subscription: Subscription,
    keepalive: Duration,
) -> impl Stream<Item = Result<wire::ProcessEvent, ConnectError>> + Send + use<> {
    let pid = wire_pid(handle);
    stream::unfold(Phase::Start(subscription), move |phase| async move {
        match phase {
            Phase::Start(subscription) => {
                let next = match subscription {
                    Subscription::Live(events) => Phase::Live(events),
                    Subscription::Ended(end) => Phase::Ended(end),
                };
                let start = wire::process_event::StartEvent {
                    pid,
                    ..Default::default()
                };
                Some((Ok(wire_event(start)), next))
            }
            Phase::Live(mut events) => match timeout(keepalive, events.recv()).await {
                Err(_elapsed) => Some((
                    Ok(wire_event(wire::process_event::KeepAlive::default())),
                    Phase::Live(events),
                )),
                Ok(Some(Event::Data(kind, data))) => {
                    Some((Ok(render_data(kind, &data)), Phase::Live(events)))
                }
                Ok(Some(Event::End(end))) => Some((render_end(end), Phase::Done)),
                Ok(None) => {
                    let error = ConnectError::resource_exhausted("the client reads too slowly");
                    Some((Err(error), Phase::Done))
                }
            },
            Phase::Ended(end) => Some((render_end(end), Phase::Done)),
            Phase::Done => None,
        }
    })
}

fn wire_event(event: impl Into<oneof::process_event::Event>) -> wire::ProcessEvent {
    wire::ProcessEvent {
        event: Some(event.into()),
        ..Default::default()
    }
}

fn render_data(kind: OutputKind, data: &Bytes) -> wire::ProcessEvent {
    use oneof::process_event::data_event::Output;
    let data = data.to_vec();
    let output = match kind {
        OutputKind::Stdout => Output::Stdout(data),
        OutputKind::Stderr => Output::Stderr(data),
        OutputKind::Pty => Output::Pty(data),
    };
    wire_event(wire::process_event::DataEvent {
        output: Some(output),
        ..Default::default()
    })
}

fn render_end(end: End) -> Result<wire::ProcessEvent, ConnectError> {
    match end {
        End::DeadlineExceeded => Err(ConnectError::deadline_exceeded(
            "the process exceeded its timeout",
        )),
        End::Exited(exit) => Ok(wire_event(render_exit(exit))),
    }
}

/// Texts as Go's `os.ProcessState` prints them: clients match on them.
fn render_exit(exit: Exit) -> wire::process_event::EndEvent {
    let (exit_code, exited, status) = match exit {
        Exit::Code(code) => (code, true, format!("exit status {code}")),
        Exit::Signal(signal) => (-1, false, format!("signal: {}", signal_text(signal))),
    };
    let error = (exit_code != 0).then(|| status.clone());
    wire::process_event::EndEvent {
        exit_code,
        exited,
        status,
        error,
        ..Default::default()
    }
}

fn signal_text(signal: UnixSignal) -> String {
    match signal {
        UnixSignal::SIGHUP => "hangup".to_owned(),
        UnixSignal::SIGINT => "interrupt".to_owned(),
        UnixSignal::SIGQUIT => "quit".to_owned(),
        UnixSignal::SIGILL => "illegal instruction".to_owned(),
        UnixSignal::SIGTRAP => "trace/breakpoint trap".to_owned(),
        UnixSignal::SIGABRT => "aborted".to_owned(),
        UnixSignal::SIGBUS => "bus error".to_owned(),
        UnixSignal::SIGFPE => "floating point exception".to_owned(),
        UnixSignal::SIGKILL => "killed".to_owned(),
        UnixSignal::SIGUSR1 => "user defined signal 1".to_owned(),
        UnixSignal::SIGSEGV => "segmentation fault".to_owned(),
        UnixSignal::SIGUSR2 => "user defined signal 2".to_owned(),
        UnixSignal::SIGPIPE => "broken pipe".to_owned(),
        UnixSignal::SIGALRM => "alarm clock".to_owned(),
        UnixSignal::SIGTERM => "terminated".to_owned(),
        other => format!("signal {}", other as i32),
    }
}

fn start_error(error: &StartError) -> ConnectError {
    match error {
        StartError::NoCommand | StartError::MissingCwd(_) | StartError::Spawn { .. } => {
            ConnectError::invalid_argument(error.to_string())
        }
        StartError::Connect(_) => ConnectError::internal(error.to_string()),
    }
}

fn unknown_process(error: &UnknownProcess) -> ConnectError {
    ConnectError::not_found(error.to_string())
}

fn control_error(error: &ControlError) -> ConnectError {
    match error {
        ControlError::Ended => ConnectError::not_found(error.to_string()),
        ControlError::TerminalInput | ControlError::NoTerminal => {
            ConnectError::failed_precondition(error.to_string())
        }
        ControlError::InputClosed
        | ControlError::Write(_)
        | ControlError::Signal(_)
        | ControlError::Resize(_) => ConnectError::internal(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_read_as_go_prints_them() {
        let success = render_exit(Exit::Code(0));
        assert_eq!(
            (success.exit_code, success.exited, success.status.as_str()),
            (0, true, "exit status 0")
        );
        assert_eq!(success.error, None);
        let failure = render_exit(Exit::Code(3));
        assert_eq!(failure.error.as_deref(), Some("exit status 3"));
        let killed = render_exit(Exit::Signal(UnixSignal::SIGKILL));
        assert_eq!((killed.exit_code, killed.exited), (-1, false));
        assert_eq!(killed.error.as_deref(), Some("signal: killed"));
    }

    #[test]
    fn terminal_without_a_size_is_80_by_24() {
        assert_eq!(terminal_size(&wire::PTY::default()), (80, 24));
        let size = wire::pty::Size {
            cols: 100,
            rows: 0,
            ..Default::default()
        };
        let pty = wire::PTY {
            size: MessageField::some(size),
            ..Default::default()
        };
        assert_eq!(terminal_size(&pty), (100, 24));
    }
}
