//! The Lambda Runtime API on a port of 127.0.0.1: HTTP requests of one process → [`Call`]s, which whoever runs the
//! process answers. It knows no state but what is on the wire.
//!
//! Source: Lambda Developer Guide, "Using the Lambda runtime API for custom runtimes".

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};

/// Largest answer of a function. Source: Lambda quotas.
pub(super) const MAX_RESPONSE_BYTES: usize = 6 * 1024 * 1024;

const PREFIX: &str = "/2018-06-01/runtime/";

/// What the process asks.
#[derive(Debug)]
pub(super) enum Call {
    /// It is ready for an event, and waits until it gets one.
    Next(oneshot::Sender<Event>),
    /// It answers an event, and waits for what we say to that.
    Answer {
        /// The event's request id.
        request_id: String,
        /// The answer.
        answer: Answer,
        /// Where the verdict goes.
        verdict: oneshot::Sender<Verdict>,
    },
    /// It cannot start.
    InitError {
        /// Why.
        error: ReportedError,
        /// Where the verdict goes.
        verdict: oneshot::Sender<Verdict>,
    },
}

/// How a function answers an event.
#[derive(Debug)]
pub(super) enum Answer {
    /// Its handler's result.
    Response(Bytes),
    /// A result that is larger than Lambda takes.
    TooLarge,
    /// Its handler's error.
    Error(ReportedError),
}

/// An error as a function reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReportedError {
    pub(super) error_type: String,
    pub(super) message: String,
}

/// One event, with what goes into the headers.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) request_id: String,
    pub(super) deadline_ms: u128,
    pub(super) function_arn: String,
    pub(super) trace_id: String,
    pub(super) body: Bytes,
}

/// What a process hears about its post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Taken.
    Accepted,
    /// No event with this request id is open.
    InvalidRequestId,
    /// Not at this point.
    InvalidState,
    /// Larger than Lambda takes.
    TooLarge,
}

/// A server for one process; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct RuntimeApi {
    address: SocketAddr,
    server: AbortHandle,
}

impl RuntimeApi {
    /// Listens on a free port.
    pub(super) async fn start() -> io::Result<(Self, mpsc::Receiver<Call>)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (sender, receiver) = mpsc::channel(8);
        let server = tokio::spawn(accept(listener, sender)).abort_handle();
        Ok((Self { address, server }, receiver))
    }

    /// Host and port.
    pub(super) fn address(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn accept(listener: TcpListener, calls: mpsc::Sender<Call>) {
    // The connections end with this task.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        // Out of file descriptors, or a client that is gone already: the next one may fare better.
        let Ok((stream, _peer)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let calls = calls.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let calls = calls.clone();
                async move { Ok::<_, Infallible>(serve(request, calls).await) }
            });
            // A connection that breaks is seen by what the process does next.
            drop(
                http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await,
            );
        });
    }
}

async fn serve(request: Request<Incoming>, calls: mpsc::Sender<Call>) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    let Some(path) = path.strip_prefix(PREFIX) else {
        return refusal(StatusCode::NOT_FOUND, "NotFound", "no such path");
    };
    let parts: Vec<&str> = path.split('/').collect();
    match (request.method(), parts.as_slice()) {
        (&Method::GET, ["invocation", "next"]) => next(calls).await,
        (&Method::POST, ["invocation", id, kind @ ("response" | "error")]) => {
            let (headers, body) = read(request).await;
            let answer = match (body, *kind) {
                (None, _) => Answer::TooLarge,
                (Some(body), "response") => Answer::Response(body),
                (Some(body), _) => Answer::Error(reported_error(&headers, &body)),
            };
            let request_id = (*id).to_owned();
            ask(calls, |verdict| Call::Answer {
                request_id,
                answer,
                verdict,
            })
            .await
        }
        (&Method::POST, ["init", "error"]) => {
            let (headers, body) = read(request).await;
            let error = reported_error(&headers, &body.unwrap_or_default());
            ask(calls, |verdict| Call::InitError { error, verdict }).await
        }
        _ => refusal(StatusCode::NOT_FOUND, "NotFound", "no such path"),
    }
}

async fn next(calls: mpsc::Sender<Call>) -> Response<Full<Bytes>> {
    let (sender, receiver) = oneshot::channel();
    if calls.send(Call::Next(sender)).await.is_err() {
        return gone();
    }
    let Ok(event) = receiver.await else {
        return gone();
    };
    let mut response = Response::new(Full::new(event.body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in [
        ("lambda-runtime-aws-request-id", event.request_id),
        ("lambda-runtime-deadline-ms", event.deadline_ms.to_string()),
        ("lambda-runtime-invoked-function-arn", event.function_arn),
        ("lambda-runtime-trace-id", event.trace_id),
    ] {
        let value = HeaderValue::try_from(value).expect("ids, numbers and ARNs are visible ASCII");
        headers.insert(name, value);
    }
    response
}

async fn ask(
    calls: mpsc::Sender<Call>,
    call: impl FnOnce(oneshot::Sender<Verdict>) -> Call,
) -> Response<Full<Bytes>> {
    let (sender, receiver) = oneshot::channel();
    if calls.send(call(sender)).await.is_err() {
        return gone();
    }
    match receiver.await {
        Ok(Verdict::Accepted) => {
            let mut response = Response::new(Full::new(Bytes::from_static(b"{\"status\":\"OK\"}\n")));
            *response.status_mut() = StatusCode::ACCEPTED;
            response
        }
        Ok(Verdict::InvalidRequestId) => refusal(
            StatusCode::BAD_REQUEST,
            "InvalidRequestID",
            "no event with this request id is open",
        ),
        Ok(Verdict::InvalidState) => refusal(
            StatusCode::FORBIDDEN,
            "InvalidStateTransition",
            "not allowed at this point",
        ),
        Ok(Verdict::TooLarge) => refusal(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLarge",
            "the answer is larger than Lambda takes",
        ),
        Err(_dropped) => gone(),
    }
}

/// A process that hears this should exit; it is about to be killed anyway.
fn gone() -> Response<Full<Bytes>> {
    refusal(
        StatusCode::INTERNAL_SERVER_ERROR,
        "InternalServerError",
        "the runtime API is closing",
    )
}

fn refusal(status: StatusCode, error_type: &str, message: &str) -> Response<Full<Bytes>> {
    let body = serde_json::json!({"errorType": error_type, "errorMessage": message});
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response
}

/// Headers and body; `None` for a body that is larger than Lambda takes.
async fn read(request: Request<Incoming>) -> (HeaderMap, Option<Bytes>) {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, MAX_RESPONSE_BYTES).collect().await;
    (parts.headers, body.ok().map(|body| body.to_bytes()))
}

/// The body's `errorType` and `errorMessage`; what is not there is taken from the header, or from the raw body.
fn reported_error(headers: &HeaderMap, body: &[u8]) -> ReportedError {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Body {
        error_type: Option<String>,
        error_message: Option<String>,
    }
    let read: Body = serde_json::from_slice(body).unwrap_or_default();
    let from_header = || {
        let value = headers.get("lambda-runtime-function-error-type")?;
        Some(value.to_str().ok()?.to_owned())
    };
    let raw = || String::from_utf8_lossy(body).chars().take(1000).collect();
    ReportedError {
        error_type: read
            .error_type
            .or_else(from_header)
            .unwrap_or_else(|| "Runtime.Unknown".to_owned()),
        message: read.error_message.unwrap_or_else(raw),
    }
}
