//! Trunkline's client: CloudEvents over one HTTP/1.1 connection, one by one in binary mode, or many in a batch.

use crate::MESSAGE_BYTES;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Stands where a request's number goes.
const NUMBER: &str = "#0000000000";

pub struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    /// Where the numbers stand.
    numbers: Vec<usize>,
    buffer: Vec<u8>,
}

impl Connection {
    pub async fn open(address: SocketAddr, batch: usize) -> Self {
        let stream = TcpStream::connect(address).await.expect("it listens");
        stream.set_nodelay(true).expect("a socket option");
        let text = match batch {
            1 => single(),
            batch => many(batch),
        };
        Self {
            stream,
            numbers: text.match_indices(NUMBER).map(|(at, _)| at + 1).collect(),
            request: text.into_bytes(),
            buffer: Vec::with_capacity(64 << 10),
        }
    }

    pub async fn send(&mut self, number: u64) {
        let digits = format!("{number:010}");
        for at in &self.numbers {
            self.request[*at..*at + digits.len()].copy_from_slice(digits.as_bytes());
        }
        self.stream.write_all(&self.request).await.expect("written");
    }

    /// Reads one answer with a content length, and insists on its success.
    pub async fn acknowledged(&mut self) -> u64 {
        self.buffer.clear();
        loop {
            assert!(
                self.stream.read_buf(&mut self.buffer).await.expect("read") > 0,
                "closed"
            );
            let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
                continue;
            };
            let head = String::from_utf8_lossy(&self.buffer[..end]).to_ascii_lowercase();
            assert!(
                head.starts_with("http/1.1 200"),
                "{}",
                String::from_utf8_lossy(&self.buffer)
            );
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.map_or(0, |text| text.trim().parse().expect("a length"));
            if self.buffer.len() >= end + 4 + length {
                return 1;
            }
        }
    }
}

fn data() -> String {
    format!("{{\"filler\":\"{}\"}}", "x".repeat(MESSAGE_BYTES - 13))
}

fn single() -> String {
    let data = data();
    format!(
        "POST /v1/buses/default/events HTTP/1.1\r\nhost: localhost\r\nce-specversion: 1.0\r\nce-id: {NUMBER}\r\nce-source: /bench\r\n\
         ce-type: bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{data}",
        data.len()
    )
}

fn many(batch: usize) -> String {
    let event = |index| {
        format!(
            "{{\"specversion\":\"1.0\",\"id\":\"{index}-{NUMBER}\",\"source\":\"/bench\",\"type\":\"bench\",\"data\":{}}}",
            data()
        )
    };
    let body = format!("[{}]", (0..batch).map(event).collect::<Vec<_>>().join(","));
    format!(
        "POST /v1/buses/default/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/cloudevents-batch+json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}
