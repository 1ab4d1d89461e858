//! Connections: accepting them within the bound, the handshake, HTTP/1.1 or HTTP/2 as the client begins, and cutting those
//! that hold a place without using it.

use super::{ServerSettings, limits::*, phase::Phases, presence::Served, stream::Stream, tls::Tls};
use crate::http::{AnswerBody, Door};
use control::usage::Holder;
use futures_util::TryFutureExt as _;
use http_body::Body as _;
use http_body_util::{BodyExt as _, Either};
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use std::{future::poll_fn, net::SocketAddr, pin::pin, sync::Arc, task::Poll};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

/// What every connection needs; cheap to clone.
#[derive(Clone)]
pub(super) struct Connections {
    door: Door,
    tls: Option<Tls>,
    http: Arc<auto::Builder<TokioExecutor>>,
    phases: Phases,
}

impl Connections {
    pub(super) fn new(door: Door, tls: Option<Tls>, settings: &ServerSettings, phases: Phases) -> Self {
        Self {
            door,
            tls,
            http: Arc::new(protocol(settings)),
            phases,
        }
    }

    /// Accepts until the server closes, then waits for the connections.
    pub(super) async fn accept(self, listener: TcpListener, permits: Arc<Semaphore>) {
        let mut connections = JoinSet::new();
        let mut closing = pin!(self.phases.closing());
        // Kept whatever else happens meanwhile: a connection that ends must not cut its pause short.
        let mut accepting = Box::pin(next(&listener, &permits));
        loop {
            tokio::select! {
                biased;
                () = &mut closing => break,
                accepted = &mut accepting => {
                    accepting.set(next(&listener, &permits));
                    let (stream, peer, permit) = accepted;
                    connections.spawn(self.clone().serve(stream, peer, permit));
                }
                Some(_) = connections.join_next() => {}
            }
        }
        drop(accepting);
        drop(listener);
        while connections.join_next().await.is_some() {}
    }

    async fn serve(self, stream: TcpStream, peer: SocketAddr, _permit: OwnedSemaphorePermit) {
        // An answer is one write: waiting for more of it would only add delay.
        let _ = stream.set_nodelay(true);
        let Some(stream) = self.handshake(stream).await else {
            return;
        };
        let presence = stream.presence();
        let holder = Arc::new(Holder::default());
        let service = service_fn({
            let (presence, door, drain) = (presence.clone(), self.door.clone(), self.phases.drain.clone());
            move |request| {
                let served = presence.serve(&request);
                let answer = door.clone().answer(request, peer, drain.clone(), holder.clone());
                // A block that awaits it would hold it twice, where it came from and where it is polled, and be moved whole.
                answer.map_ok(|answer| answer.map(|body| hold(body, served)))
            }
        });
        let mut connection = pin!(self.http.serve_connection(TokioIo::new(stream), service));
        let mut closing = pin!(self.phases.closing());
        let mut patience = pin!(sleep(FIRST_REQUEST_WAIT_MAX));
        let (mut is_watched, mut is_closing) = (false, false);
        // Once each of the others has been looked at, it wakes this task by itself: it is looked at again when it may have
        // something to say, and not for every request.
        let ended = poll_fn(|context| {
            if let Poll::Ready(ended) = connection.as_mut().poll(context) {
                return Poll::Ready(Some(ended));
            }
            let may_close = !is_watched || self.phases.drain.is_draining();
            if !is_closing && may_close && closing.as_mut().poll(context).is_ready() {
                is_closing = true;
                connection.as_mut().graceful_shutdown();
                // What that changed is for the connection to act on.
                context.waker().wake_by_ref();
            }
            if !is_watched || patience.is_elapsed() {
                while patience.as_mut().poll(context).is_ready() {
                    let until = presence.held_until();
                    if until <= Instant::now() {
                        return Poll::Ready(None);
                    }
                    patience.as_mut().reset(until);
                }
            }
            is_watched = true;
            Poll::Pending
        });
        match ended.await {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::debug!(%peer, %error, "a connection ended"),
            None => tracing::debug!(%peer, "a connection that waited too long for a request was cut"),
        }
    }

    /// `None` if the client failed it or took too long, or the server closes.
    async fn handshake(&self, stream: TcpStream) -> Option<Stream> {
        let Some(tls) = &self.tls else {
            return Some(Stream::plain(stream));
        };
        let shaken = timeout(FIRST_REQUEST_WAIT_MAX, tls.accept(stream));
        let result = tokio::select! {
            shaken = shaken => shaken.ok()?,
            () = self.phases.closing() => return None,
        };
        match result {
            Ok(stream) => Some(Stream::tls(stream)),
            Err(error) => {
                tracing::debug!(%error, "a TLS handshake failed");
                None
            }
        }
    }
}

/// A request whose answer comes by and by is served until its end.
fn hold(body: AnswerBody, served: Served) -> AnswerBody {
    match body {
        Either::Right(stream) if stream.size_hint().exact().is_none() => {
            Either::Right(axum::body::Body::new(stream.map_frame(move |frame| {
                let _served = &served;
                frame
            })))
        }
        whole => whole,
    }
}

/// The next connection, once there is room for it.
async fn next(listener: &TcpListener, permits: &Arc<Semaphore>) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let permit = permits
        .clone()
        .acquire_owned()
        .await
        .expect("the semaphore is never closed");
    let mut is_told = false;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, permit),
            Err(error) => {
                // Said once: it is tried again until it works.
                if !is_told {
                    tracing::warn!(%error, "accepting a connection failed; it is tried again");
                }
                is_told = true;
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn protocol(settings: &ServerSettings) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    // Not hyper's own limit for heads: it sets and clears a timer for every request. And what is done for a client that sends no more
    // is answered all the same; where its absence matters, the stream sees it. Whether it is there hyper would ask by reading, into
    // fresh memory for every request.
    http.http1()
        .header_read_timeout(None)
        .half_close(true)
        .max_buf_size(settings.head_bytes_max);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(settings.head_bytes_max).unwrap_or(u32::MAX));
    http
}
