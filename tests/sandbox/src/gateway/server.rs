//! The HTTP side: takes connections, runs the course of one request, plays faults.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, Method, Response, Uri};
use axum::serve::{IncomingStream, Listener};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::Shared;
use super::action::Action;
use super::answer::Envelope;
use super::calls::{Call, Outcome};
use super::fault::{Disturbance, RawAnswer};
use super::refusal::Refusal;
use super::request::Request;

/// Serves until `stopped` resolves; gives the address.
pub(super) async fn start(
    shared: Arc<Shared>,
    stopped: oneshot::Receiver<()>,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app = Router::new()
        .fallback(handle)
        .with_state(shared)
        .into_make_service_with_connect_info::<Severance>();
    let server = axum::serve(SeverableListener(listener), app).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    tokio::spawn(async move {
        let _ = server.await;
    });
    Ok(address)
}

async fn handle(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(severance): ConnectInfo<Severance>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let request = Request::read(method, &uri, &headers, &body);
    // In a task of its own: a caller who leaves does not stop what was begun.
    let course = {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move { answer(&shared, &request).await })
    };
    match course.await {
        Ok(Some(response)) => return response,
        // For the caller that is a connection that was closed, as on script: it is noted apart.
        Err(error) if error.is_panic() => shared.calls.note_panic(),
        Ok(None) | Err(_) => {}
    }
    severance.sever();
    Response::default()
}

/// Runs the whole course of a request; no response means that the connection is to be closed.
async fn answer(shared: &Shared, request: &Request) -> Option<Response<Body>> {
    shared.calls.note_url(&request.url);
    if request.key_in_url {
        shared.calls.note_key_in_url();
    }
    let arrived = shared.now();
    let course = match admit(shared, request) {
        Ok(action) => {
            let disturbance = shared.faults.take(request);
            perform(shared, action, request, disturbance).await
        }
        Err(refusal) => Course::unperformed(Told::Refused(refusal)),
    };
    let outcome = course.told.outcome();
    shared
        .calls
        .push(Call::new(request, arrived, outcome, course.performed));
    tokio::time::sleep(course.pause).await;
    let envelope = Envelope::new(request, shared.request_ids.next(), shared.now());
    course.told.into_response(&envelope)
}

fn admit(shared: &Shared, request: &Request) -> Result<Action, Refusal> {
    request.require_well_formed()?;
    let action = Action::of(request)?;
    let caller = if action.is_signed() {
        shared.guard.admit(request, shared.now())?
    } else {
        String::new()
    };
    shared.flow.admit(request, &caller, Instant::now())?;
    Ok(action)
}

/// Performs an action with the disturbance that is due.
async fn perform(
    shared: &Shared,
    action: Action,
    request: &Request,
    disturbance: Option<Disturbance>,
) -> Course {
    let perform = || {
        let (world, guard) = (&shared.world, &shared.guard);
        action.perform(world, guard, shared.settings(), shared.now(), request)
    };
    match disturbance {
        None => match shared.begin(action, request) {
            Ok(pause) => Course {
                pause,
                ..Course::usual(perform())
            },
            Err(refusal) => Course::unperformed(Told::Refused(refusal)),
        },
        Some(Disturbance::Refuse(refusal)) => Course::unperformed(Told::Refused(refusal)),
        Some(Disturbance::DelayThenRefuse(delay, refusal)) => {
            tokio::time::sleep(delay).await;
            Course::unperformed(Told::Refused(refusal))
        }
        Some(Disturbance::PerformThenRefuse(refusal)) => Course {
            performed: perform().is_ok(),
            ..Course::unperformed(Told::Refused(refusal))
        },
        Some(Disturbance::Raw(answer)) => Course::unperformed(Told::Raw(answer)),
        Some(Disturbance::PerformThenRaw(answer)) => Course {
            performed: perform().is_ok(),
            ..Course::unperformed(Told::Raw(answer))
        },
        Some(Disturbance::Delay(delay)) => {
            tokio::time::sleep(delay).await;
            Course::usual(perform())
        }
        Some(Disturbance::PerformThenDelay(pause)) => Course {
            pause,
            ..Course::usual(perform())
        },
        Some(Disturbance::HangUp) => Course::unperformed(Told::Nothing),
        Some(Disturbance::PerformThenHangUp) => Course {
            performed: perform().is_ok(),
            ..Course::unperformed(Told::Nothing)
        },
    }
}

/// How a request went.
struct Course {
    told: Told,
    performed: bool,
    /// How long the answer is kept back.
    pause: Duration,
}

impl Course {
    fn usual(result: Result<Value, Refusal>) -> Self {
        Self {
            performed: result.is_ok(),
            told: result.map_or_else(Told::Refused, Told::Success),
            pause: Duration::ZERO,
        }
    }

    fn unperformed(told: Told) -> Self {
        Self {
            told,
            performed: false,
            pause: Duration::ZERO,
        }
    }
}

/// What the caller gets to know.
enum Told {
    Success(Value),
    Refused(Refusal),
    Raw(RawAnswer),
    Nothing,
}

impl Told {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Success(_) => Outcome::Success,
            Self::Refused(refusal) => Outcome::Refused {
                status: refusal.status,
                code: refusal.code.clone(),
            },
            Self::Raw(answer) => Outcome::Raw(answer.status),
            Self::Nothing => Outcome::HungUp,
        }
    }

    fn into_response(self, envelope: &Envelope) -> Option<Response<Body>> {
        match self {
            Self::Success(body) => Some(envelope.success(body)),
            Self::Refused(refusal) => Some(envelope.refusal(&refusal)),
            Self::Raw(answer) => Some(envelope.raw(answer)),
            Self::Nothing => None,
        }
    }
}

/// A listener whose connections can be cut by the handler of a request.
struct SeverableListener(TcpListener);

impl Listener for SeverableListener {
    type Io = Severable;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        let severance = Severance::default();
        (Severable { stream, severance }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

/// The switch that cuts one connection.
#[derive(Debug, Clone, Default)]
struct Severance(Arc<AtomicBool>);

impl Severance {
    fn sever(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn check(&self) -> io::Result<()> {
        if self.0.load(Ordering::Acquire) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl Connected<IncomingStream<'_, SeverableListener>> for Severance {
    fn connect_info(stream: IncomingStream<'_, SeverableListener>) -> Self {
        stream.io().severance.clone()
    }
}

/// A connection that writes nothing more once it is cut.
struct Severable {
    stream: TcpStream,
    severance: Severance,
}

impl AsyncRead for Severable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Severable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.severance.check()?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
