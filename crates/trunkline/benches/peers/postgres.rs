//! PostgreSQL's client: a prepared `INSERT` of one row, each its own transaction, over the extended protocol.

use crate::MESSAGE_BYTES;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

fn message(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length = 4 + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut message = vec![tag];
    message.extend_from_slice(&(length as u32).to_be_bytes());
    parts.iter().for_each(|part| message.extend_from_slice(part));
    message
}

impl Connection {
    /// Ready to insert.
    pub async fn open(address: SocketAddr) -> Self {
        let mut connection = Self::open_bare(address).await;
        let insert = b"INSERT INTO bench (data) VALUES ($1)\0";
        let parse = message(b'P', &[b"insert\0", insert, &[0, 0]]);
        let prepare = [parse, message(b'S', &[])].concat();
        connection.stream.write_all(&prepare).await.expect("written");
        connection.acknowledged().await;
        connection
    }

    /// Ready for anything.
    pub async fn open_bare(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.set_nodelay(true).expect("a socket option");
        // The first message has no tag: protocol 3.0, then names and values.
        let start = message(
            b'-',
            &[&196_608_u32.to_be_bytes(), b"user\0postgres\0database\0postgres\0\0"],
        );
        stream.write_all(&start[1..]).await.expect("written");
        let size = (MESSAGE_BYTES as u32).to_be_bytes();
        // The unnamed portal of the statement, one binary parameter.
        let bind = message(
            b'B',
            &[
                b"\0insert\0",
                &[0, 1, 0, 1],
                &[0, 1],
                &size,
                &[b'x'; MESSAGE_BYTES],
                &[0, 0],
            ],
        );
        let execute = message(b'E', &[b"\0", &0_u32.to_be_bytes()]);
        let mut connection = Self {
            stream,
            request: [bind, execute, message(b'S', &[])].concat(),
            buffer: Vec::with_capacity(4 << 10),
        };
        connection.acknowledged().await;
        connection
    }

    /// Runs a statement without parameters.
    pub async fn run(&mut self, statement: &str) {
        let query = message(b'Q', &[statement.as_bytes(), b"\0"]);
        self.stream.write_all(&query).await.expect("written");
        self.acknowledged().await;
    }

    pub async fn send(&mut self) {
        self.stream.write_all(&self.request).await.expect("written");
    }

    /// Reads up to `ReadyForQuery`, and insists that no error came before.
    pub async fn acknowledged(&mut self) -> u64 {
        self.buffer.clear();
        let mut at = 0;
        loop {
            assert!(
                self.stream.read_buf(&mut self.buffer).await.expect("read") > 0,
                "closed"
            );
            while let Some(head) = self.buffer.get(at..at + 5) {
                let (tag, length) = (head[0], [head[1], head[2], head[3], head[4]]);
                let end = at + 1 + u32::from_be_bytes(length) as usize;
                if self.buffer.len() < end {
                    break;
                }
                assert_ne!(tag, b'E', "{}", String::from_utf8_lossy(&self.buffer));
                at = end;
                if tag == b'Z' {
                    return 1;
                }
            }
        }
    }
}
