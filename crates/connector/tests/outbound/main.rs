//! The client at its boundary: real sockets on loopback, names owned by the tests, no network.

mod exchange;
mod forbidden;
mod server;
mod tls;

use connector::{Client, Full, Guard, Networks, Resolver, Roots, Settings, Timeouts};
use http::Request;
use std::{net::IpAddr, time::Duration};

/// Settings that allow these networks and know these names.
fn settings(networks: &str, resolver: Resolver) -> Settings {
    let allow_networks: Networks = networks.parse().expect("networks");
    let roots = Roots {
        public: false,
        extra_pem: include_bytes!("ca.pem").to_vec(),
    };
    Settings {
        guard: Guard { allow_networks },
        resolver,
        roots,
        ..Settings::default()
    }
}

fn client(networks: &str, resolver: Resolver) -> Client {
    Client::new(settings(networks, resolver)).expect("the settings are fine")
}

fn get(url: &str) -> Request<Full<bytes::Bytes>> {
    Request::get(url).body(Full::default()).expect("a request")
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Long enough for anything on loopback.
const PATIENT: Timeouts = Timeouts {
    first_byte: Duration::from_secs(10),
    total: Duration::from_secs(10),
};
/// Short enough to wait for.
const HASTY: Timeouts = Timeouts {
    first_byte: Duration::from_millis(60),
    total: Duration::from_millis(120),
};
