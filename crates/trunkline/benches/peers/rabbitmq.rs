//! RabbitMQ's client: persistent messages into one quorum queue over AMQP 0-9-1, acknowledged by publisher confirms.

use crate::MESSAGE_BYTES;
use std::{collections::BTreeSet, net::SocketAddr};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Connections that the messages in flight are spread over.
pub const CONNECTIONS_MAX: usize = 8;

const QUEUE: &str = "bench";
const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const FRAME_END: u8 = 0xCE;
const ACK: (u16, u16) = (60, 80);

pub struct Connection {
    stream: TcpStream,
    message: Vec<u8>,
    buffer: Vec<u8>,
    sent: u64,
    open: BTreeSet<u64>,
}

fn frame(kind: u8, channel: u16, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut frame = vec![kind];
    frame.extend_from_slice(&channel.to_be_bytes());
    frame.extend_from_slice(&(length as u32).to_be_bytes());
    parts.iter().for_each(|part| frame.extend_from_slice(part));
    frame.push(FRAME_END);
    frame
}

fn method(channel: u16, (class, method): (u16, u16), arguments: &[&[u8]]) -> Vec<u8> {
    let id = [class.to_be_bytes(), method.to_be_bytes()].concat();
    frame(METHOD, channel, &[&[&id[..]], arguments].concat())
}

fn short(text: &str) -> Vec<u8> {
    [&[text.len() as u8], text.as_bytes()].concat()
}

fn long(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u32).to_be_bytes(), text].concat()
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("it listens");
        stream.set_nodelay(true).expect("a socket option");
        let publish = method(1, (60, 40), &[&[0, 0], &short(""), &short(QUEUE), &[0]]);
        let size = (MESSAGE_BYTES as u64).to_be_bytes();
        // The one property is the delivery mode: persistent.
        let header = frame(HEADER, 1, &[&60_u16.to_be_bytes(), &[0, 0], &size, &[0x10, 0x00], &[2]]);
        let body = frame(BODY, 1, &[&[b'x'; MESSAGE_BYTES]]);
        let mut connection = Self {
            stream,
            message: [publish, header, body].concat(),
            buffer: Vec::with_capacity(16 << 10),
            sent: 0,
            open: BTreeSet::new(),
        };
        connection.shake_hands().await;
        connection
    }

    async fn shake_hands(&mut self) {
        self.stream.write_all(b"AMQP\0\0\x09\x01").await.expect("written");
        self.expect((10, 10)).await;
        let login = [&[0; 4][..], &short("PLAIN"), &long(b"\0guest\0guest"), &short("en_US")].concat();
        self.ask(method(0, (10, 11), &[&login]), (10, 30)).await;
        // As many channels as it offers, frames of 128 KiB, no heartbeat.
        let tuned = method(
            0,
            (10, 31),
            &[&2_047_u16.to_be_bytes(), &131_072_u32.to_be_bytes(), &[0, 0]],
        );
        let open = method(0, (10, 40), &[&short("/"), &short(""), &[0]]);
        self.ask([tuned, open].concat(), (10, 41)).await;
        self.ask(method(1, (20, 10), &[&short("")]), (20, 11)).await;
        let kind = long(&[&short("x-queue-type")[..], b"S", &long(b"quorum")].concat());
        // 2: durable.
        self.ask(method(1, (50, 10), &[&[0, 0], &short(QUEUE), &[2], &kind]), (50, 11))
            .await;
        self.ask(method(1, (85, 10), &[&[0]]), (85, 11)).await;
    }

    /// Empties the queue, so that one turn does not burden the next.
    pub async fn purge(&mut self) {
        self.ask(method(1, (50, 30), &[&[0, 0], &short(QUEUE), &[0]]), (50, 31))
            .await;
    }

    async fn ask(&mut self, request: Vec<u8>, answer: (u16, u16)) {
        self.stream.write_all(&request).await.expect("written");
        self.expect(answer).await;
    }

    async fn expect(&mut self, wanted: (u16, u16)) {
        let (found, _) = self.next().await;
        assert_eq!(found, wanted, "another answer than expected");
    }

    /// The next method: its number and its arguments.
    async fn next(&mut self) -> ((u16, u16), Vec<u8>) {
        loop {
            if let Some(found) = self.buffered() {
                return found;
            }
            assert!(
                self.stream.read_buf(&mut self.buffer).await.expect("read") > 0,
                "closed"
            );
        }
    }

    fn buffered(&mut self) -> Option<((u16, u16), Vec<u8>)> {
        let head = self.buffer.get(..7)?;
        let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
        let whole = self.buffer.get(7..7 + length + 1)?.to_vec();
        self.buffer.drain(..7 + length + 1);
        let id = (
            u16::from_be_bytes([whole[0], whole[1]]),
            u16::from_be_bytes([whole[2], whole[3]]),
        );
        Some((id, whole[4..length].to_vec()))
    }

    pub async fn send(&mut self) {
        self.sent += 1;
        self.open.insert(self.sent);
        self.stream.write_all(&self.message).await.expect("written");
    }

    /// The next confirm, which may be for several messages.
    pub async fn acknowledged(&mut self) -> u64 {
        let (id, arguments) = self.next().await;
        assert_eq!(id, ACK, "a message was not taken");
        let tag = u64::from_be_bytes(*arguments.first_chunk().expect("a tag"));
        let before = self.open.len();
        match arguments[8] {
            0 => drop(self.open.remove(&tag)),
            _ => self.open = self.open.split_off(&(tag + 1)),
        }
        (before - self.open.len()) as u64
    }
}
