//! URLs of destinations, and lists of networks: what passes the guard stays passed, and leads nowhere that is not public.

use super::{Target, ending, texts};
use connector::{Guard, Networks, Refused};
use std::net::IpAddr;

pub(super) const TARGET: Target = Target {
    name: "url",
    run,
    samples,
};

fn run(input: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(input);
    let networks = text.parse::<Networks>();
    if let Ok(networks) = &networks {
        assert_eq!(networks.to_string().parse().as_ref(), Ok(networks));
    }
    let guard = Guard::default();
    let checked = guard.check_url(&text);
    if let Ok(target) = &checked {
        assert_eq!(
            guard.check_url(&target.to_string()).as_ref(),
            Ok(target),
            "the normal form is one"
        );
        check_host(&guard, target.uri());
    }
    let told = |refused| match refused {
        Refused::Url(reason) => reason,
        Refused::Address { kind, .. } | Refused::Host { kind, .. } => kind,
        Refused::Scheme => "scheme",
        Refused::Userinfo => "userinfo",
    };
    ending(&(networks.is_ok(), checked.map(drop).map_err(told)))
}

/// The host, read by another parser than the guard's.
fn check_host(guard: &Guard, uri: &http::Uri) {
    assert!(matches!(uri.scheme_str(), Some("http" | "https")));
    assert!(
        !uri.authority()
            .is_some_and(|authority| authority.as_str().contains('@'))
    );
    let host = uri.host().expect("a target has a host");
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    assert!(
        address.is_err() || address.is_ok_and(|address| guard.permits(address)),
        "{host}"
    );
    assert!(!matches!(host, "localhost" | "metadata.google.internal"));
}

fn samples() -> Vec<Vec<u8>> {
    texts(&[
        "https://example.com/hook?a=b%20c#d",
        "http://8.8.8.8:8080/",
        "https://[2606:4700::1111]:8443/x",
        "http://[::ffff:127.0.0.1]/",
        "http://0x7f.1/",
        "http://2130706433/",
        "http://\u{ff11}\u{ff12}\u{ff17}.0.0.1/",
        "http://b\u{fc}cher.example/",
        "HTTP://user:pw@LOCALHOST.:80/",
        "http://metadata.google.internal/",
        "10.0.0.0/8, ::1, fd00::/8",
    ])
}
