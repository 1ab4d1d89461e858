//! Which addresses are not public: the special-purpose registries of IANA, and addresses that carry another one inside. It
//! is a table; who may go there all the same is the guard's to say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is not a public host; `None` if it is one.
pub(crate) fn special(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => special_v6(address),
    }
}

fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    const TABLE: [([u8; 4], u32, &str); 17] = [
        ([0, 0, 0, 0], 8, "unspecified"),
        ([10, 0, 0, 0], 8, "private"),
        ([100, 64, 0, 0], 10, "carrier-grade NAT"),
        ([127, 0, 0, 0], 8, "loopback"),
        // Azure's host agent: a public number that answers from inside.
        ([168, 63, 129, 16], 32, "cloud metadata"),
        ([169, 254, 0, 0], 16, "link-local"),
        ([172, 16, 0, 0], 12, "private"),
        ([192, 0, 0, 0], 24, "reserved"),
        ([192, 0, 2, 0], 24, "documentation"),
        ([192, 88, 99, 0], 24, "6to4 relay"),
        ([192, 168, 0, 0], 16, "private"),
        ([198, 18, 0, 0], 15, "benchmark"),
        ([198, 51, 100, 0], 24, "documentation"),
        ([203, 0, 113, 0], 24, "documentation"),
        ([224, 0, 0, 0], 4, "multicast"),
        ([255, 255, 255, 255], 32, "broadcast"),
        ([240, 0, 0, 0], 4, "reserved"),
    ];
    let within = |base: [u8; 4], length: u32| (address.to_bits() ^ u32::from_be_bytes(base)) >> (32 - length) == 0;
    TABLE
        .iter()
        .find(|(base, length, _)| within(*base, *length))
        .map(|(_, _, name)| *name)
}

fn special_v6(address: Ipv6Addr) -> Option<&'static str> {
    const TABLE: [([u16; 8], u32, &str); 17] = [
        ([0, 0, 0, 0, 0, 0, 0, 1], 128, "loopback"),
        ([0, 0, 0, 0, 0, 0, 0, 0], 128, "unspecified"),
        ([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, "IPv4-mapped"),
        ([0, 0, 0, 0, 0xffff, 0, 0, 0], 96, "IPv4-translated"),
        ([0, 0, 0, 0, 0, 0, 0, 0], 96, "IPv4-compatible"),
        ([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96, "NAT64"),
        ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, "NAT64"),
        ([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, "Teredo"),
        ([0x2001, 2, 0, 0, 0, 0, 0, 0], 48, "benchmark"),
        ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, "reserved"),
        ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, "documentation"),
        ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, "6to4"),
        ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, "documentation"),
        ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, "unique local"),
        ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, "link-local"),
        ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, "site-local"),
        ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, "multicast"),
    ];
    let within =
        |base: [u16; 8], length: u32| (address.to_bits() ^ Ipv6Addr::from(base).to_bits()) >> (128 - length) == 0;
    let named = TABLE
        .iter()
        .find(|(base, length, _)| within(*base, *length))
        .map(|(_, _, name)| *name);
    // Public hosts live in 2000::/3 and nowhere else.
    named.or_else(|| (!within([0x2000, 0, 0, 0, 0, 0, 0, 0], 3)).then_some("reserved"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_told_by_name_and_public_ones_are_not() {
        let expected = [
            ("0.1.2.3", "unspecified"),
            ("10.255.255.255", "private"),
            ("100.64.0.1", "carrier-grade NAT"),
            ("100.127.255.255", "carrier-grade NAT"),
            ("127.255.0.1", "loopback"),
            ("168.63.129.16", "cloud metadata"),
            ("169.254.169.254", "link-local"),
            ("172.31.0.1", "private"),
            ("192.0.0.8", "reserved"),
            ("198.19.255.255", "benchmark"),
            ("239.1.1.1", "multicast"),
            ("250.0.0.1", "reserved"),
            ("255.255.255.255", "broadcast"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::7f00:1", "IPv4-compatible"),
            ("::ffff:8.8.8.8", "IPv4-mapped"),
            ("::ffff:0:127.0.0.1", "IPv4-translated"),
            ("64:ff9b::7f00:1", "NAT64"),
            ("64:ff9b:1:2::1", "NAT64"),
            ("2001::1", "Teredo"),
            ("2001:2::1", "benchmark"),
            ("2001:20::1", "reserved"),
            ("2001:db8::1", "documentation"),
            ("2002:7f00:1::", "6to4"),
            ("3fff:fff::1", "documentation"),
            ("fd00:ec2::254", "unique local"),
            ("fe80::1", "link-local"),
            ("fec0::1", "site-local"),
            ("ff02::1", "multicast"),
            ("100::1", "reserved"),
            ("4000::1", "reserved"),
            ("5f00::1", "reserved"),
        ];
        for (text, name) in expected {
            assert_eq!(special(text.parse().expect("an address")), Some(name), "{text}");
        }
        for text in [
            "8.8.8.8",
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "11.0.0.1",
        ] {
            assert_eq!(special(text.parse().expect("an address")), None, "{text}");
        }
        for text in ["2606:4700::1111", "2a00:1450::1", "2001:200::1", "2003::1", "3ffe::1"] {
            assert_eq!(special(text.parse().expect("an address")), None, "{text}");
        }
    }
}
