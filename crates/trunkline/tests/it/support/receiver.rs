//! A receiver of deliveries that records what it took, and fails as it is told to. It speaks HTTP/1.1 by hand, because a
//! library would not let it reset connections, answer half a head, or never end a body.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Bytes of the code of Event Grid's validation, as Trunkline makes it.
pub const VALIDATION_CODE_BYTES: usize = 43;

/// What to do with one delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Take it, with this status (a 2xx counts as taken).
    Status(u16),
    /// A status with `Retry-After`, in seconds.
    RetryAfter(u16, u64),
    /// 200 that gives the code of Event Grid's validation back.
    ValidationCode([u8; VALIDATION_CODE_BYTES]),
    /// Take it, then close without an answer.
    TakeAndReset,
    /// Close without an answer.
    Reset,
    /// Never answer.
    Silence,
    /// 200 with a body that never ends.
    EndlessBody,
    /// 200 after this many milliseconds.
    Slow(u64),
}

/// One delivery, as it arrived.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Header names in lower case.
    pub headers: HashMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
    /// Whether the reply told the sender that it was taken.
    pub taken: bool,
    /// When it arrived.
    pub at: std::time::Instant,
}

impl Reply {
    /// Whether it tells the sender that its delivery was taken, or the delivery was taken for all that the receiver knows.
    pub fn takes(self) -> bool {
        matches!(
            self,
            Reply::Status(200..300)
                | Reply::ValidationCode(_)
                | Reply::TakeAndReset
                | Reply::EndlessBody
                | Reply::Slow(_)
        )
    }
}

impl Delivery {
    /// A header, or an empty text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

type Decide = Box<dyn FnMut(&Delivery) -> Reply + Send>;

struct State {
    decide: Mutex<Decide>,
    /// Whether deliveries are kept.
    records: bool,
    deliveries: Mutex<Vec<Delivery>>,
}

/// A receiver on a free loopback port; ends with the test's runtime.
#[derive(Clone)]
pub struct Receiver {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<State>,
}

impl Receiver {
    /// Starts one that decides about each delivery with `decide`.
    pub async fn start(decide: impl FnMut(&Delivery) -> Reply + Send + 'static) -> Receiver {
        Receiver::start_as(true, Box::new(decide)).await
    }

    /// One that keeps nothing of what arrives: `decide` sees it all.
    pub async fn start_forgetful(decide: impl FnMut(&Delivery) -> Reply + Send + 'static) -> Receiver {
        Receiver::start_as(false, Box::new(decide)).await
    }

    async fn start_as(records: bool, decide: Decide) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State {
            decide: Mutex::new(decide),
            records,
            deliveries: Mutex::default(),
        });
        let receiver = Receiver {
            address,
            state: state.clone(),
        };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, state.clone()));
            }
        });
        receiver
    }

    /// The same on a thread of its own, so that what it costs itself costs the test nothing.
    pub async fn start_apart(decide: impl FnMut(&Delivery) -> Reply + Send + 'static) -> Receiver {
        let (started, receiver) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let receiver = Receiver::start(decide).await;
                assert!(started.send(receiver).is_ok(), "the test waits for it");
                std::future::pending::<()>().await;
            });
        });
        receiver.await.expect("it starts")
    }

    /// One that takes everything.
    pub async fn healthy() -> Receiver {
        Receiver::start(|_| Reply::Status(204)).await
    }

    /// Decides differently from now on.
    pub fn decide(&self, decide: impl FnMut(&Delivery) -> Reply + Send + 'static) {
        *self.state.decide.lock().expect("no holder panics") = Box::new(decide);
    }

    /// Its URL with this path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Everything that arrived so far.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.state.deliveries.lock().expect("no holder panics").clone()
    }

    /// How many were taken so far.
    pub fn taken(&self) -> usize {
        self.state
            .deliveries
            .lock()
            .expect("no holder panics")
            .iter()
            .filter(|delivery| delivery.taken)
            .count()
    }

    /// Waits until this many arrived, taken or not.
    pub async fn saw(&self, count: usize) {
        super::eventually(&format!("{count} deliveries"), Duration::from_secs(60), async || {
            (self.state.deliveries.lock().expect("no holder panics").len() >= count).then_some(())
        })
        .await;
    }

    /// Waits until this many were taken.
    pub async fn took(&self, count: usize) -> Vec<Delivery> {
        super::eventually(
            &format!("{count} deliveries taken"),
            Duration::from_secs(60),
            async || (self.taken() >= count).then(|| self.deliveries()),
        )
        .await
    }
}

async fn converse(mut stream: TcpStream, state: Arc<State>) {
    let mut buffer = Vec::new();
    while let Some(mut delivery) = read_request(&mut stream, &mut buffer).await {
        let reply = (state.decide.lock().expect("no holder panics"))(&delivery);
        delivery.taken = reply.takes();
        if state.records {
            state.deliveries.lock().expect("no holder panics").push(delivery);
        }
        if answer(&mut stream, reply).await.is_none() {
            return;
        }
    }
}

/// Answers; `None` when the connection is done with.
async fn answer(stream: &mut TcpStream, reply: Reply) -> Option<()> {
    let head = |status: u16, more: &str| format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n{more}\r\n");
    let text = match reply {
        Reply::Status(status) => head(status, ""),
        Reply::RetryAfter(status, seconds) => head(status, &format!("retry-after: {seconds}\r\n")),
        Reply::ValidationCode(code) => {
            let body = format!(r#"{{"validationResponse":"{}"}}"#, String::from_utf8_lossy(&code));
            format!("HTTP/1.1 200 x\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        }
        Reply::Slow(milliseconds) => {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            head(200, "")
        }
        Reply::Reset | Reply::TakeAndReset => {
            let _ = stream.set_zero_linger();
            return None;
        }
        Reply::Silence => {
            // Until the sender gives up and closes.
            let _ = stream.read(&mut [0]).await;
            return None;
        }
        Reply::EndlessBody => {
            stream
                .write_all(b"HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n")
                .await
                .ok()?;
            let chunk = [b"10000\r\n", &[b'x'; 0x10000][..], b"\r\n"].concat();
            while stream.write_all(&chunk).await.is_ok() {}
            return None;
        }
    };
    stream.write_all(text.as_bytes()).await.ok()
}

/// Reads one request with a content length; `None` when the sender closed.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Delivery> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let mut lines = head.split("\r\n");
    lines.next()?;
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_string()))
        .collect();
    let length: usize = headers
        .get("content-length")
        .map_or(0, |length| length.parse().expect("a length"));
    buffer.drain(..end + 4);
    while buffer.len() < length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = buffer.drain(..length).collect();
    Some(Delivery {
        headers,
        body,
        taken: false,
        at: std::time::Instant::now(),
    })
}
