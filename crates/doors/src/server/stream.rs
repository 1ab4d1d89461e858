//! A client's stream, plain or TLS, that fails when the client takes nothing for too long, and when it is gone while an answer is
//! of no use without it. Reading has no limit of time here: heads and bodies have their own.

use super::{limits::WRITE_WAIT_MAX, presence::Presence};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};
use tokio_rustls::server::TlsStream;

/// One type for both, so that the protocol code is compiled once.
enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Calls a method on whichever stream it is.
macro_rules! on {
    ($transport:expr, $stream:ident => $call:expr) => {
        match $transport {
            Transport::Plain(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            Transport::Tls(stream) => {
                let $stream = Pin::new(stream.as_mut());
                $call
            }
        }
    };
}

/// Bytes that are read to see whether a client is still there: it sends the next request before it has this answer.
const AHEAD_BYTES: usize = 64;

/// A stream with a deadline on stalled writes.
pub(super) struct Stream {
    transport: Transport,
    /// Set while a write waits for the client.
    stalled: Option<Pin<Box<Sleep>>>,
    presence: Arc<Presence>,
    /// What was read to see whether the client is still there.
    ahead: Vec<u8>,
}

impl Stream {
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self::new(Transport::Plain(stream))
    }

    pub(super) fn tls(stream: TlsStream<TcpStream>) -> Self {
        Self::new(Transport::Tls(Box::new(stream)))
    }

    fn new(transport: Transport) -> Self {
        Self {
            transport,
            stalled: None,
            presence: Arc::new(Presence::new()),
            ahead: Vec::new(),
        }
    }

    /// What the connection is at.
    pub(super) fn presence(&self) -> Arc<Presence> {
        self.presence.clone()
    }

    /// Fails if the client is gone and the answer is for it alone. Whatever else it sends is read later.
    fn look_for_client(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if !self.presence.is_awaited() || !self.ahead.is_empty() {
            return Ok(());
        }
        let mut bytes = [0; AHEAD_BYTES];
        let mut buffer = ReadBuf::new(&mut bytes);
        match on!(&mut self.transport, stream => stream.poll_read(context, &mut buffer)) {
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => Err(io::ErrorKind::ConnectionReset.into()),
            Poll::Ready(Ok(())) => {
                self.ahead.extend_from_slice(buffer.filled());
                // Who reads next was told that there is nothing yet.
                context.waker().wake_by_ref();
                Ok(())
            }
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Ok(()),
        }
    }

    /// Runs one step of writing under the deadline.
    fn write_step<T>(
        &mut self,
        context: &mut Context<'_>,
        step: impl FnOnce(&mut Transport, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(result) = step(&mut self.transport, context) {
            self.stalled = None;
            return Poll::Ready(result);
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(WRITE_WAIT_MAX)));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let length = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.ahead[..length]);
            self.ahead.drain(..length);
            return Poll::Ready(Ok(()));
        }
        on!(&mut self.transport, stream => stream.poll_read(context, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(self.write_step(
            context,
            |transport, context| on!(transport, stream => stream.poll_write(context, bytes)),
        ));
        self.presence.wrote();
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(self.write_step(
            context,
            |transport, context| on!(transport, stream => stream.poll_write_vectored(context, slices)),
        ));
        self.presence.wrote();
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.look_for_client(context)?;
        self.write_step(
            context,
            |transport, context| on!(transport, stream => stream.poll_flush(context)),
        )
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write_step(
            context,
            |transport, context| on!(transport, stream => stream.poll_shutdown(context)),
        )
    }
}
