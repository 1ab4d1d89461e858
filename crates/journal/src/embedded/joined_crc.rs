//! The CRC-32C of two stretches of bytes behind each other, from the CRC-32C of each: so that bytes are summed where they are in
//! the processor's cache, and what precedes them may be known later.
//!
//! A CRC is a remainder modulo a polynomial over GF(2), with the highest power in the lowest bit here. Behind `n` more bytes it
//! is multiplied by x to the power of `8 n`, which is put together from powers of x whose exponents are powers of two.

/// The polynomial without its highest power.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// x to the power of 0.
const ONE: u32 = 1 << 31;

/// x to the power of 2 to the power of each place.
const POWERS: [u32; 64] = {
    let mut powers = [ONE >> 1; 64];
    let mut place = 1;
    while place < powers.len() {
        powers[place] = multiplied(powers[place - 1], powers[place - 1]);
        place += 1;
    }
    powers
};

/// The CRC-32C of two stretches, of which `second` is that of the second one, whose size is `second_len` bytes.
pub fn joined(first: u32, second: u32, second_len: usize) -> u32 {
    let mut shifted = first;
    let mut left = second_len;
    // The first three powers are those of single bits.
    let mut powers = POWERS[3..].iter();
    while left > 0 {
        let power = powers.next().expect("a length has at most 61 bits");
        if left & 1 == 1 {
            shifted = multiplied(*power, shifted);
        }
        left >>= 1;
    }
    shifted ^ second
}

/// The product of two remainders.
const fn multiplied(one: u32, mut other: u32) -> u32 {
    let mut product = 0;
    let mut place = u32::BITS;
    while place > 0 {
        place -= 1;
        // No branches: the bits are as good as random.
        product ^= other & (one >> place & 1).wrapping_neg();
        other = (other >> 1) ^ (POLYNOMIAL & (other & 1).wrapping_neg());
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_sums_are_the_sum_of_what_is_joined() {
        let bytes: Vec<u8> = (0..70_000_u32)
            .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        for (first, second) in [(0, 0), (0, 1), (1, 0), (1, 1), (68, 4_028), (60, 65_536), (3, 69_997)] {
            let (one, rest) = bytes.split_at(first);
            let two = &rest[..second];
            let whole = crc32c::crc32c(&bytes[..first + second]);
            assert_eq!(
                joined(crc32c::crc32c(one), crc32c::crc32c(two), second),
                whole,
                "{first}, {second}"
            );
        }
    }
}
