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

/// Longer than anything on loopback takes, also on a machine with much else to do.
const PATIENT: Timeouts = Timeouts {
    first_byte: Duration::from_secs(60),
    total: Duration::from_secs(60),
};
/// For answers that never begin: short enough to wait for.
const HASTY: Timeouts = Timeouts {
    first_byte: Duration::from_millis(60),
    total: Duration::from_secs(60),
};
/// For answers that begin and never end: the head has all the time that there is.
const HASTY_TO_END: Timeouts = Timeouts {
    first_byte: Duration::from_secs(1),
    total: Duration::from_secs(1),
};
