//! `trunkline apply` of several resources: all of them or none, and what is said when it breaks off in the middle.

use crate::support::server::{BINARY, Server};
use serde_json::json;
use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// A bus with what it needs, in an order in which nothing could be put one after the other.
const SHOP: &str = r#"
kind: subscription
bus: shop
name: orders-to-crm
topics: [orders]
connection: crm
filter: {eventbridge: {detail: {status: [paid]}}}
---
kind: connection
bus: shop
name: crm
provider: webhook
config: {url: "http://127.0.0.1:9/"}
---
kind: event-type
bus: shop
name: com.example.order.placed
routes: [{topic: orders}]
---
kind: topic
bus: shop
name: orders
partitions: 3
---
kind: bus
name: shop
"#;

fn words(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn one_resource_that_is_refused_keeps_all_of_its_files_from_being_applied() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(&directory.path().join("data"));
    let before = server.run(&["export"]);
    let shop = directory.path().join("shop.yaml");
    let shop = shop.to_str().expect("a path");
    for (wrong, named) in [
        (
            SHOP.replace("status: [paid]", "status: paid"),
            "subscription orders-to-crm: ",
        ),
        (
            SHOP.replace("connection: crm", "connection: cmr"),
            "subscription orders-to-crm: ",
        ),
        (
            SHOP.replace("{topic: orders}", "{topic: order}"),
            "event-type com.example.order.placed: ",
        ),
        (SHOP.replace("name: shop", "name: other"), "topic orders: "),
    ] {
        fs::write(shop, wrong).expect("written");
        for arguments in [&["apply", "-f", shop][..], &["apply", "--dry-run", "-f", shop]] {
            let (code, said, told) = words(&server.command(arguments));
            assert!(matches!(code, Some(4 | 5)), "{code:?}: {told}");
            assert_eq!(said, "", "nothing is said to be done");
            assert!(told.contains(named) && told.contains("nothing was changed"), "{told}");
        }
    }
    assert_eq!(server.run(&["export"]), before, "nothing was changed");

    fs::write(shop, SHOP).expect("written");
    let tried = server.run(&["apply", "--dry-run", "-f", shop]);
    assert_eq!(server.run(&["export"]), before, "a dry run changes nothing");
    let applied = server.run(&["apply", "-f", shop]);
    assert_eq!((applied.lines().count(), &applied), (5, &tried));
    assert!(applied.lines().all(|line| line.starts_with("create")), "{applied}");
    let again = server.run(&["apply", "-f", shop]);
    assert!(again.lines().all(|line| line.starts_with("none")), "{again}");
    assert_eq!(server.stop(), Some(0));
}

#[tokio::test]
async fn an_apply_that_breaks_off_in_the_middle_says_what_was_applied_and_goes_on_when_it_is_run_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(&directory.path().join("data"));
    let shop = directory.path().join("shop.yaml");
    fs::write(&shop, SHOP).expect("written");
    let line = cut_at_put(server.url(), 3);
    let output = Command::new(BINARY)
        .args(["apply", "--server", &line, "-f"])
        .arg(&shop)
        .output()
        .expect("the binary runs");
    let (code, said, told) = words(&output);
    assert_eq!(code, Some(3), "{told}");
    assert_eq!(said, "create  bus shop\ncreate  topic orders\n");
    assert!(
        told.contains("event-type com.example.order.placed: cannot reach"),
        "{told}"
    );
    assert!(told.contains("2 of 5 resources, all before it, are applied"), "{told}");
    assert!(told.contains("apply the same files again"), "{told}");
    assert_eq!(server.get("/v1/buses/shop/topics/orders").await["partitions"], json!(3));
    let rest = server.run(&["apply", "-f", shop.to_str().expect("a path")]);
    let effects: Vec<&str> = rest.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(effects, ["none", "none", "create", "create", "create"], "{rest}");
    assert_eq!(server.stop(), Some(0));
}

/// The address of a line to the server that is cut when a `PUT` of this number would go over it, and stays so.
fn cut_at_put(url: &str, number: usize) -> String {
    let server = url.strip_prefix("http://").expect("an address").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let left = Arc::new(AtomicUsize::new(number));
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            if left.load(Ordering::SeqCst) > 0 {
                let server = TcpStream::connect(&server).expect("the server listens");
                carry(client, server, Arc::clone(&left));
            }
        }
    });
    format!("http://{address}")
}

/// Carries bytes both ways, on threads that end with the connection.
fn carry(mut client: TcpStream, mut server: TcpStream, left: Arc<AtomicUsize>) {
    let (mut to_client, mut from_server) = (
        client.try_clone().expect("a handle"),
        server.try_clone().expect("a handle"),
    );
    thread::spawn(move || drop(std::io::copy(&mut from_server, &mut to_client)));
    thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        while let Ok(read @ 1..) = client.read(&mut buffer) {
            // A request's head comes in one piece, and only heads begin so.
            if buffer.starts_with(b"PUT ") && left.fetch_sub(1, Ordering::SeqCst) == 1 {
                break;
            }
            if server.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        drop(client.shutdown(Shutdown::Both));
        drop(server.shutdown(Shutdown::Both));
    });
}
