//! IP addresses in their text spellings, and ranges of them.
//!
//! An IPv4 address mapped into IPv6 (`::ffff:102:304`) is the IPv4 address, as in event-ruler.

use std::net::{IpAddr, Ipv6Addr};

/// Characters of the longest IPv4 address.
const V4_CHARACTERS_MAX: usize = 15;

/// Parts of an IPv4 address.
const V4_PARTS: usize = 4;

/// Groups of an IPv6 address, and digits that one has at most.
const V6_GROUPS: usize = 8;
const V6_DIGITS_MAX: usize = 4;

/// The address that a text spells, if it does.
pub(crate) fn parse(text: &[u8]) -> Option<IpAddr> {
    let looks_right = |allowed: fn(&u8) -> bool| !text.is_empty() && text.iter().all(allowed);
    if looks_right(|byte| byte.is_ascii_digit() || *byte == b'.') {
        return parse_v4(text);
    }
    let address = parse_v6(text)?;
    Some(address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4))
}

/// Eight groups of up to four hexadecimal digits, of which `::` once stands for at least one of zeros. Every text at a field that is
/// asked for a network is read so, and most are none: it ends at the first byte that is wrong.
fn parse_v6(text: &[u8]) -> Option<Ipv6Addr> {
    let mut groups = [0u16; V6_GROUPS];
    let (mut count, mut gap, mut at) = (0, None, 0);
    if text.starts_with(b"::") {
        (gap, at) = (Some(0), 2);
    }
    let (mut group, mut digits) = (0, 0);
    while let Some(byte) = text.get(at) {
        at += 1;
        let value = VALUES[usize::from(*byte)];
        if value != NO_DIGIT && digits < V6_DIGITS_MAX {
            group = group << 4 | u16::from(value);
            digits += 1;
            continue;
        }
        if *byte != b':' || digits == 0 {
            return None;
        }
        *groups.get_mut(count)? = group;
        count += 1;
        (group, digits) = (0, 0);
        match text.get(at) {
            Some(b':') if gap.is_none() => (gap, at) = (Some(count), at + 1),
            Some(b':') | None => return None,
            Some(_) => {}
        }
    }
    if digits > 0 {
        *groups.get_mut(count)? = group;
        count += 1;
    }
    match gap {
        None => (count == V6_GROUPS).then(|| groups.into()),
        Some(gap) if count < V6_GROUPS => {
            groups[gap..].rotate_right(V6_GROUPS - count);
            Some(groups.into())
        }
        Some(_) => None,
    }
}

/// What no hexadecimal digit has.
const NO_DIGIT: u8 = u8::MAX;

/// The value of each byte as a hexadecimal digit.
const VALUES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        values[b"0123456789abcdef"[value] as usize] = value as u8;
        values[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    values
};

/// Four decimal parts up to 255; zeros may lead.
fn parse_v4(text: &[u8]) -> Option<IpAddr> {
    if text.len() > V4_CHARACTERS_MAX {
        return None;
    }
    let mut parts = [0u8; V4_PARTS];
    let mut count = 0;
    for part in text.split(|byte| *byte == b'.') {
        *parts.get_mut(count)? = parse_part(part)?;
        count += 1;
    }
    (count == parts.len()).then(|| IpAddr::from(parts))
}

fn parse_part(part: &[u8]) -> Option<u8> {
    if part.is_empty() {
        return None;
    }
    part.iter()
        .try_fold(0u8, |value, digit| value.checked_mul(10)?.checked_add(digit - b'0'))
}

/// Whether a text is made like an address, even if it spells none: four numbers between dots, or hexadecimal digits with a colon
/// somewhere.
fn has_shape(text: &[u8]) -> bool {
    let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let is_v4 = text.split(|byte| *byte == b'.').map(is_number);
    let is_v6 = text.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b':') && text.contains(&b':');
    is_v6 || is_v4.eq([true; V4_PARTS])
}

/// A range of addresses, written `address/bits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    first: IpAddr,
    /// How many first bits all its addresses share.
    bits: u8,
}

impl Network {
    /// Reads `address/bits`; the refusal is AWS's text. The address may have bits set below the range.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        let mut parts: Vec<&[u8]> = text.split(|byte| *byte == b'/').collect();
        while parts.len() > 1 && parts.last().is_some_and(|part| part.is_empty()) {
            parts.pop();
        }
        let [address, bits] = parts[..] else {
            return Err("Malformed CIDR, one '/' required".into());
        };
        let bits = std::str::from_utf8(bits).ok().and_then(|bits| bits.parse::<i32>().ok());
        let bits = bits.ok_or("Malformed CIDR, mask bits must be an integer")?;
        let bits = u32::try_from(bits).map_err(|_| "Malformed CIDR, mask bits must not be negative")?;
        let address = self::parse(address).ok_or_else(|| {
            let fault = if has_shape(address) { "Invalid" } else { "Nonstandard" };
            format!("{fault} IP address: {}", String::from_utf8_lossy(address))
        })?;
        Self::new(address, bits)
    }

    fn new(address: IpAddr, bits: u32) -> Result<Self, String> {
        match address {
            IpAddr::V4(_) if bits >= u32::BITS => Err("IPv4 mask bits must be < 32".into()),
            IpAddr::V6(_) if bits >= u128::BITS => Err("IPv6 mask bits must be < 128".into()),
            IpAddr::V4(address) => Ok(Self::of(
                IpAddr::V4((address.to_bits() & !(u32::MAX >> bits)).into()),
                bits,
            )),
            IpAddr::V6(address) => Ok(Self::of(
                IpAddr::V6((address.to_bits() & !(u128::MAX >> bits)).into()),
                bits,
            )),
        }
    }

    fn of(first: IpAddr, bits: u32) -> Self {
        let bits = u8::try_from(bits).expect("an address has no more bits");
        Self { first, bits }
    }

    /// The first address of the range.
    pub(crate) fn first(&self) -> IpAddr {
        self.first
    }

    /// How many first bits all addresses of the range share.
    pub(crate) fn bits(&self) -> u32 {
        self.bits.into()
    }

    /// Whether the address lies in the range. Addresses of the other family never do.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                (first.to_bits() ^ address.to_bits()) & !(u32::MAX >> self.bits) == 0
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                (first.to_bits() ^ address.to_bits()) & !(u128::MAX >> self.bits) == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn an_address_is_what_the_standard_library_takes_for_one(
            text in "([0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}|([0-9a-f]{0,3}::?){0,9}[0-9a-fA-Fg]{0,5}|(0:|1:){0,8}:(0:|1:){0,8}0?",
        ) {
            prop_assert_eq!(parse_v6(text.as_bytes()), text.parse().ok());
        }
    }

    #[test]
    fn spellings_of_an_address_are_equal() {
        assert_eq!(parse(b"::1"), parse(b"0:0:0:0:0:0:0:1"));
        assert_eq!(parse(b"2001:DB8::a"), parse(b"2001:db8:0::A"));
        assert_eq!(parse(b"::ffff:0102:0304"), parse(b"1.2.3.4"));
        assert_eq!(parse(b"010.0.0.1"), parse(b"10.0.0.1"));
        for text in [
            "",
            ":",
            "1.2.3",
            "1.2.3.4.5",
            "1.2.3.256",
            "1..2.3",
            "a.b.c.d",
            "12345::",
            "g::1",
            "1.2.3.4/8",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_range_covers_its_addresses_and_no_others() {
        let network = Network::parse(b"220.160.154.255/24").unwrap();
        assert!(network.contains(parse(b"220.160.154.0").unwrap()));
        assert!(!network.contains(parse(b"220.160.155.0").unwrap()));
        assert!(!network.contains(parse(b"::1").unwrap()));
        assert!(
            Network::parse(b"0.0.0.0/0")
                .unwrap()
                .contains(parse(b"255.1.2.3").unwrap())
        );
        assert!(
            Network::parse(b"2001:db8::/32")
                .unwrap()
                .contains(parse(b"2001:db8:ffff::1").unwrap())
        );
    }

    #[test]
    fn malformed_ranges_are_refused_in_the_words_of_aws() {
        let check =
            |text: &str, expected: &str| assert_eq!(Network::parse(text.as_bytes()).unwrap_err(), expected, "{text}");
        check("bad-filter", "Malformed CIDR, one '/' required");
        check("10.0.0.0/", "Malformed CIDR, one '/' required");
        check("1.1.1.1/2/3", "Malformed CIDR, one '/' required");
        check("bad-/64filter", "Malformed CIDR, mask bits must be an integer");
        check("1.1.1.1/-1", "Malformed CIDR, mask bits must not be negative");
        check("xx.11.xx/8", "Nonstandard IP address: xx.11.xx");
        for shapeless in [
            "host",
            "",
            "1.2.3",
            "1.2.3.4.5",
            "1..2.3",
            "1.2.3.x",
            "::ffff:1.2.3.4",
            "abc",
        ] {
            check(
                &format!("{shapeless}/8"),
                &format!("Nonstandard IP address: {shapeless}"),
            );
        }
        for impossible in [
            "1.2.3.256",
            "1.2.3.0000000000004",
            "1:2:3",
            ":",
            ":::",
            "12345::",
            "a:b",
        ] {
            check(&format!("{impossible}/8"), &format!("Invalid IP address: {impossible}"));
        }
        check("1.1.1.1/32", "IPv4 mask bits must be < 32");
        check("::1/128", "IPv6 mask bits must be < 128");
    }
}
