//! What EventBridge's protocol costs: `PutEvents` of ten entries, each request signed and verified, beside batches of ten CloudEvents with
//! a bearer key, on one server that takes turns.
//!
//! A signed request is sent again and again: its body is the same, and the server gives every event an id of its own. So the load
//! signs nothing while it is measured, and the server verifies everything.

use super::*;
use ring::{digest, hmac};
use std::time::{SystemTime, UNIX_EPOCH};

/// Entries of a request: as many as AWS takes.
const ENTRIES: u64 = 10;
/// Requests of a round.
const ROUND: u64 = 20_000;
const REGION: &str = "us-east-1";

/// Measures and prints.
pub async fn compare() {
    let directory = tempfile::tempdir().expect("a directory");
    let token = key(
        &directory,
        "admin",
        &["--scope", "administer", "--scope", "publish"],
        "token",
    );
    let secret = key(
        &directory,
        "load",
        &["--signing", "aws", "--scope", "publish"],
        "secret",
    );
    let bus = Bus::on(directory);
    let (mut entries, mut events) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS as u64 {
        entries.push(load(bus.address, ROUND, &put_events("load", &secret)).await * ENTRIES as f64);
        events.push(load(bus.address, ROUND, &batch(round, &token)).await * ENTRIES as f64);
    }
    let (entries, events) = (median(entries), median(events));
    println!("publish, {ENTRIES} events of 1 KiB in a request, {CONNECTIONS} connections");
    println!("  CloudEvents batches      {events:>9.0} events/s");
    println!(
        "  PutEvents, signed        {entries:>9.0} events/s   {:.2} of CloudEvents batches (0.5 wanted)",
        entries / events
    );
}

/// Makes a key in a data directory; gives what is shown once.
fn key(directory: &tempfile::TempDir, id: &str, more: &[&str], member: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_trunkline"))
        .args(["--output", "json", "key", "create", "--id", id, "--data-dir"])
        .arg(directory.path())
        .args(more)
        .output()
        .expect("the binary runs");
    let made: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    made[member].as_str().expect("it is shown once").to_owned()
}

fn batch(round: u64, token: &str) -> Template {
    let data = data();
    let event = |index| {
        format!(
            "{{\"specversion\":\"1.0\",\"id\":\"e{round}-{index}-#{}\",\"source\":\"com.example.bench\",\"type\":\"Bench\",\
             \"datacontenttype\":\"application/json\",\"data\":{data}}}",
            Template::NUMBER
        )
    };
    let events: Vec<String> = (0..ENTRIES).map(event).collect();
    let body = format!("[{}]", events.join(","));
    Template::new(format!(
        "POST /v1/buses/default/events HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
         content-type: application/cloudevents-batch+json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

/// A request as AWS's SDKs write it, signed now.
fn put_events(id: &str, secret: &str) -> Template {
    let detail = serde_json::Value::from(data());
    let entry = format!("{{\"Source\":\"com.example.bench\",\"DetailType\":\"Bench\",\"Detail\":{detail}}}");
    let entries = vec![entry; usize::try_from(ENTRIES).expect("ten")];
    let body = format!("{{\"Entries\":[{}]}}", entries.join(","));
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("it is past 1970")
        .as_secs();
    let time = event::eventbridge::time_of_epoch(&seconds.to_string()).expect("it is a time");
    let time = time.replace(['-', ':'], "");
    let names = "content-type;host;x-amz-date;x-amz-target";
    let canonical = format!(
        "POST\n/\n\ncontent-type:application/x-amz-json-1.1\nhost:localhost\nx-amz-date:{time}\n\
         x-amz-target:AWSEvents.PutEvents\n\n{names}\n{}",
        hex(&sha256(&body))
    );
    let date = &time[..8];
    let scope = format!("{date}/{REGION}/events/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&sha256(&canonical)));
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [date, REGION, "events", "aws4_request"] {
        key = mac(&key, part);
    }
    let signature = hex(&mac(&key, &text));
    Template::new(format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-amz-json-1.1\r\nx-amz-date: {time}\r\n\
         x-amz-target: AWSEvents.PutEvents\r\nauthorization: AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, \
         Signature={signature}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

fn sha256(text: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, text.as_bytes()).as_ref().to_vec()
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
