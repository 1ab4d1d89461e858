//! Where a request may go. Pure: it checks URLs and addresses; names are resolved elsewhere, and every address they resolve
//! to comes back here.

use crate::address;
use http::Uri;
use ipnet::IpNet;
use std::{fmt, net::IpAddr, str::FromStr, sync::Arc};
use url::{Host, Url};

/// Bytes of a URL. Longer ones than any server takes serve no honest purpose.
const URL_BYTES_MAX: usize = 8 << 10;

/// Networks that the operator allows though they are not public.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Arc<[IpNet]>);

impl Networks {
    /// `127.0.0.0/8` and `::1`: what a keyless server on loopback allows by itself.
    pub fn loopback() -> Networks {
        "127.0.0.0/8,::1".parse().expect("the text is two networks")
    }

    /// Whether one of them holds the address. IPv4 networks hold no IPv6 address, mapped ones neither.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// These and those.
    #[must_use]
    pub fn and(&self, others: &Networks) -> Networks {
        self.0.iter().chain(others.0.iter()).copied().collect()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<IpNet> for Networks {
    fn from_iter<T: IntoIterator<Item = IpNet>>(networks: T) -> Networks {
        Networks(networks.into_iter().collect())
    }
}

impl FromStr for Networks {
    type Err = NetworkError;

    /// Networks or single addresses, separated by commas; nothing is none.
    fn from_str(text: &str) -> Result<Networks, NetworkError> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts
            .map(parse_network)
            .collect::<Result<Vec<_>, _>>()
            .map(|networks| Networks(networks.into()))
    }
}

fn parse_network(text: &str) -> Result<IpNet, NetworkError> {
    let single = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse::<IpNet>()
        .or_else(|_| single())
        .map_err(|_| NetworkError(text.to_owned()))
}

impl fmt::Display for Networks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, network) in self.0.iter().enumerate() {
            write!(formatter, "{}{network}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// A text that is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a network such as 10.0.0.0/8 or fd00::/8")]
pub struct NetworkError(String);

/// Decides where a request may go.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// Networks that are allowed though they are not public.
    pub allow_networks: Networks,
}

/// Why a request may not go somewhere. Its text names no credentials and nothing that an address answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not a URL with a host.
    #[error("the URL is not valid: {0}")]
    Url(&'static str),
    /// Neither `http` nor `https`.
    #[error("the scheme of the URL must be http or https")]
    Scheme,
    /// A user name or password in the URL.
    #[error("the URL must not carry a user name or a password")]
    Userinfo,
    /// A name that stands for an address that is not allowed.
    #[error("the host {host} is a {kind} name; allow_networks can allow its network")]
    Host {
        /// The host.
        host: String,
        /// What it is, e.g. `loopback`.
        kind: &'static str,
    },
    /// An address that is not public and not allowed.
    #[error("the address {address} is not public ({kind}); allow_networks can allow its network")]
    Address {
        /// The address.
        address: IpAddr,
        /// What it is, e.g. `private`.
        kind: &'static str,
    },
}

/// A URL that may be asked for, in normal form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    uri: Uri,
}

impl Target {
    /// The URI to put into a request. Without fragment, without credentials.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uri.fmt(formatter)
    }
}

impl Guard {
    /// Whether a connection to this address is allowed.
    pub fn permits(&self, address: IpAddr) -> bool {
        self.check_address(address).is_ok()
    }

    /// The same with the reason.
    pub fn check_address(&self, address: IpAddr) -> Result<(), Refused> {
        match address::special(address) {
            Some(kind) if !self.allow_networks.contains(address) => Err(Refused::Address { address, kind }),
            _ => Ok(()),
        }
    }

    /// Checks all that can be known before resolution: for when a URL is saved, and before a request is made of it.
    pub fn check_url(&self, url: &str) -> Result<Target, Refused> {
        if url.len() > URL_BYTES_MAX {
            return Err(Refused::Url("it is too long"));
        }
        // Parsers disagree on these, so that what is checked would not be what is asked for.
        if url.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err(Refused::Url("it contains a space, a control character or a backslash"));
        }
        let mut parsed = Url::parse(url).map_err(|_| Refused::Url("it does not parse"))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(Refused::Scheme);
        }
        let authority = url
            .split_once("//")
            .map_or("", |(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or(rest));
        if !parsed.username().is_empty() || parsed.password().is_some() || authority.contains('@') {
            return Err(Refused::Userinfo);
        }
        self.check_host(&parsed.host().ok_or(Refused::Url("it has no host"))?)?;
        parsed.set_fragment(None);
        let uri = Uri::try_from(parsed.as_str()).map_err(|_| Refused::Url("it does not parse"))?;
        Ok(Target { uri })
    }

    /// Checks a host as far as that goes without resolution.
    pub fn check_host(&self, host: &Host<impl AsRef<str>>) -> Result<(), Refused> {
        match host {
            Host::Ipv4(address) => self.check_address(IpAddr::V4(*address)),
            Host::Ipv6(address) => self.check_address(IpAddr::V6(*address)),
            Host::Domain(name) => self.check_name(name.as_ref()),
        }
    }

    /// Refuses names that are known to stand for an address that is not allowed, however they resolve just now.
    fn check_name(&self, name: &str) -> Result<(), Refused> {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        if name.is_empty() || name.split('.').any(str::is_empty) {
            return Err(Refused::Url("its host has an empty label"));
        }
        let (kind, stands_for) = match name.as_str() {
            name if name == "localhost" || name.ends_with(".localhost") => ("loopback", &LOOPBACK[..]),
            "localhost.localdomain" | "localhost6" | "localhost6.localdomain6" | "ip6-localhost" | "ip6-loopback" => {
                ("loopback", &LOOPBACK[..])
            }
            name if METADATA_NAMES.contains(&name) => ("cloud metadata", &METADATA[..]),
            _ => return Ok(()),
        };
        if stands_for.iter().any(|address| self.allow_networks.contains(*address)) {
            return Ok(());
        }
        Err(Refused::Host { host: name, kind })
    }
}

const LOOPBACK: [IpAddr; 2] = [
    IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
    IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
];
const METADATA: [IpAddr; 1] = [IpAddr::V4(std::net::Ipv4Addr::new(169, 254, 169, 254))];

/// Names under which clouds answer with a machine's credentials.
const METADATA_NAMES: [&str; 8] = [
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "metadata.azure.com",
    "metadata.azure.internal",
    "metadata.internal",
    "instance-data",
    "instance-data.ec2.internal",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_becomes_a_target_in_normal_form() {
        let guard = Guard::default();
        let target = guard
            .check_url("HTTPS://Example.COM:443/a/../b?c=d%20e#f")
            .expect("it is public");
        assert_eq!(target.to_string(), "https://example.com/b?c=d%20e");
        for url in [
            "http://8.8.8.8/",
            "https://[2606:4700::1111]:8443/x",
            "https://xn--bcher-kva.example/",
            "http://b\u{fc}cher.example",
        ] {
            guard
                .check_url(url)
                .unwrap_or_else(|refused| panic!("{url}: {refused}"));
        }
    }

    #[test]
    fn an_allowed_network_is_allowed_and_nothing_beside_it() {
        let guard = Guard {
            allow_networks: "127.0.0.0/8, ::1".parse().expect("two networks"),
        };
        assert_eq!(guard.allow_networks, Networks::loopback());
        for url in [
            "http://127.0.0.1:9000/",
            "http://localhost/",
            "http://[::1]/",
            "http://2130706433/",
        ] {
            guard
                .check_url(url)
                .unwrap_or_else(|refused| panic!("{url}: {refused}"));
        }
        for url in [
            "http://10.0.0.1/",
            "http://[::ffff:127.0.0.1]/",
            "http://metadata/",
            "http://[::2]/",
            "http://0.0.0.0/",
        ] {
            assert!(guard.check_url(url).is_err(), "{url}");
        }
        assert!("10.0.0.0/33".parse::<Networks>().is_err() && "".parse::<Networks>().expect("none").is_empty());
    }

    #[test]
    fn userinfo_and_other_schemes_are_refused_by_name() {
        let guard = Guard::default();
        assert_eq!(guard.check_url("http://user:pw@example.com/"), Err(Refused::Userinfo));
        assert_eq!(guard.check_url("http://@example.com/"), Err(Refused::Userinfo));
        assert_eq!(guard.check_url("ftp://example.com/"), Err(Refused::Scheme));
        assert!(guard.check_url("https://example.com/@x?y=a@b").is_ok());
        assert!(matches!(
            guard.check_url(&format!("http://example.com/{}", "x".repeat(9_000))),
            Err(Refused::Url(_))
        ));
    }
}
