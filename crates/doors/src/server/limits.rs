//! Every limit of a connection and of a request's head, in one place. Limits of events are in `event::limits`.

use std::time::Duration;

/// Connections open at once: with [`HEAD_BYTES_MAX`] in the worst case of each, still memory that a small machine has.
pub const CONNECTIONS_MAX: usize = 8_192;
/// Bytes of a request's head: 64 KiB of attributes percent-encoded as usual, and room for what a client adds.
pub const HEAD_BYTES_MAX: usize = 128 << 10;
/// Headers of a request: far above what clients and proxies send. It is hyper's own bound for HTTP/1.1, which must not be set
/// there: any other number costs an allocation for each request. For HTTP/2 the door holds it.
pub const HEADERS_MAX: usize = 100;
/// Until a request's head is complete, and between two requests of a connection: longer than the idle time of usual
/// clients, below the 60 s in which a trickling client must be cut.
pub const HEAD_WAIT_MAX: Duration = Duration::from_secs(50);
/// Until the first request of a connection, TLS handshake included.
pub const FIRST_REQUEST_WAIT_MAX: Duration = Duration::from_secs(30);
/// Until a client takes more of an answer.
pub const WRITE_WAIT_MAX: Duration = Duration::from_secs(30);
/// Between two pings of an HTTP/2 connection, and until one is answered.
pub const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Requests at once on an HTTP/2 connection.
pub const STREAMS_MAX: u32 = 256;
/// Until accepting is tried again after the system refused (too many open files, out of memory).
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const _: () = assert!(HEAD_WAIT_MAX.as_secs() < 60 && FIRST_REQUEST_WAIT_MAX.as_secs() < 60);
