//! Servers that say what a test tells them to, and remember what they saw.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A running server.
#[derive(Clone)]
pub struct Server {
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    connections: usize,
    heads: Vec<String>,
}

/// What is done to a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// These bytes.
    Bytes(String),
    /// These bytes, then this one again and again.
    Endless(String, u8),
    /// These bytes, then nothing, the connection open.
    Stall(String),
    /// The connection is closed.
    Close,
}

impl Reply {
    pub fn ok(body: &str) -> Reply {
        Reply::Bytes(format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ))
    }
}

impl Server {
    /// Listens on loopback.
    pub async fn start(reply: Reply) -> Server {
        Server::start_on(TcpListener::bind("127.0.0.1:0").await.expect("a port"), move |_| {
            reply.clone()
        })
    }

    /// Answers each request by its head.
    pub fn start_on(listener: TcpListener, reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Server {
        let server = Server {
            address: listener.local_addr().expect("it is bound"),
            seen: Arc::default(),
        };
        let (own, reply) = (server.clone(), Arc::new(reply));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                own.seen.lock().expect("no test panics here").connections += 1;
                tokio::spawn(own.clone().converse(stream, reply.clone()));
            }
        });
        server
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub fn connections(&self) -> usize {
        self.seen.lock().expect("no test panics here").connections
    }

    pub fn heads(&self) -> Vec<String> {
        self.seen.lock().expect("no test panics here").heads.clone()
    }

    async fn converse(self, mut stream: TcpStream, reply: Arc<impl Fn(&str) -> Reply + Send + Sync>) {
        while let Some(head) = read_head(&mut stream).await {
            self.seen.lock().expect("no test panics here").heads.push(head.clone());
            if answer(&mut stream, &reply(&head)).await.is_none() {
                return;
            }
        }
    }
}

/// Reads up to the empty line; requests here have no bodies.
pub async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

/// `None`: the connection is over.
async fn answer(stream: &mut (impl AsyncWrite + Unpin), reply: &Reply) -> Option<()> {
    match reply {
        Reply::Bytes(bytes) => stream.write_all(bytes.as_bytes()).await.ok(),
        Reply::Endless(bytes, byte) => {
            stream.write_all(bytes.as_bytes()).await.ok()?;
            let block = [*byte; 4096];
            loop {
                stream.write_all(&block).await.ok()?;
            }
        }
        Reply::Stall(bytes) => {
            stream.write_all(bytes.as_bytes()).await.ok()?;
            std::future::pending().await
        }
        Reply::Close => None,
    }
}
