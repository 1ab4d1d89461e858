//! Redis' client: `XADD` to one stream, one by one, or many in one write (a pipeline), as its own benchmark does.

use crate::MESSAGE_BYTES;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    batch: usize,
    buffer: Vec<u8>,
}

impl Connection {
    pub async fn open(address: SocketAddr, batch: usize) -> Self {
        let stream = TcpStream::connect(address).await.expect("it listens");
        stream.set_nodelay(true).expect("a socket option");
        let data = "x".repeat(MESSAGE_BYTES);
        let one = format!("*5\r\n$4\r\nXADD\r\n$5\r\nbench\r\n$1\r\n*\r\n$4\r\ndata\r\n${MESSAGE_BYTES}\r\n{data}\r\n");
        Self {
            stream,
            request: one.repeat(batch).into_bytes(),
            batch,
            buffer: Vec::with_capacity(16 << 10),
        }
    }

    pub async fn send(&mut self) {
        self.stream.write_all(&self.request).await.expect("written");
    }

    /// An answer is the entry's id as a bulk string: two lines.
    pub async fn acknowledged(&mut self) -> u64 {
        self.buffer.clear();
        loop {
            assert!(
                self.stream.read_buf(&mut self.buffer).await.expect("read") > 0,
                "closed"
            );
            assert_eq!(self.buffer[0], b'$', "{}", String::from_utf8_lossy(&self.buffer));
            let lines = self.buffer.iter().filter(|byte| **byte == b'\n').count();
            if lines >= 2 * self.batch {
                return 1;
            }
        }
    }
}
