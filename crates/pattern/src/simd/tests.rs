//! Each form against the byte-by-byte one, on texts of the characters that matter.

use super::*;

/// Texts of the characters that matter, of every length up to a few blocks, always the same.
fn texts() -> impl Iterator<Item = Vec<u8>> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    // Miri takes its time.
    let count = if cfg!(miri) { 60 } else { 4_000usize };
    (0..count).map(move |index| {
        let rare = b"{}[]\"\\, \n0z.";
        let alphabet: &[u8] = if index % 3 == 0 { b"{}\"\\" } else { rare };
        let letters = if index % 5 == 0 { 1 } else { 8 };
        let byte = |random: u64| match random % letters {
            0 => alphabet[usize::try_from(random >> 8).unwrap_or(0) % alphabet.len()],
            _ => b'x',
        };
        (0..index % 200).map(|_| byte(next())).collect()
    })
}

#[test]
fn a_bracket_is_closed_where_the_portable_form_says() {
    for mut text in texts() {
        for open in [b'{', b'['] {
            text.insert(0, open);
            assert_eq!(
                bracket_end(&text, 0),
                bracket_end_portable(&text, 0),
                "{}",
                String::from_utf8_lossy(&text)
            );
        }
    }
    assert_eq!(bracket_end(br#"{"a}\"}": {}} "#, 0), Some(13));
    assert_eq!(bracket_end(b"[[]", 0), None);
}

#[test]
fn a_pair_is_found_where_the_portable_form_says() {
    let all: [Pair; 6] = [*b"xx", *b"\"x", *b".x", *b"z.", *b"0\0", *b"}x"];
    let step = if cfg!(miri) { 37 } else { 3 };
    for text in texts() {
        for count in 0..all.len() {
            for at in (0..=text.len() + 1).step_by(step) {
                let (found, expected) = (
                    pair_or_backslash(&text, at, &all[count..]),
                    pair_or_backslash_portable(&text, at, &all[count..]),
                );
                assert_eq!(found, expected, "{at} {}", String::from_utf8_lossy(&text));
            }
        }
    }
    assert_eq!(pair_or_backslash(b"ab\\", 0, &[*b"b\0"]), Some(2));
}

#[test]
fn what_is_fetched_is_as_it_was() {
    let values = ([1u8; 200], [2u64; 3], 3u8);
    fetch(&values);
    fetch(&values.0);
    fetch(&values.1);
    fetch(&values.2);
    fetch(&());
    assert_eq!(values, ([1u8; 200], [2u64; 3], 3u8));
}

#[test]
fn a_block_has_a_bit_for_each_byte_that_ends_a_run() {
    for text in texts() {
        for block in text.as_chunks::<BLOCK>().0 {
            let expected = (0..BLOCK).map(|index| u64::from(is_string_stop(block[index])) << index);
            assert_eq!(string_stops(block), expected.sum::<u64>());
        }
    }
}

#[test]
fn the_first_of_a_kind_is_found_wherever_it_lies() {
    for text in texts() {
        for at in 0..=text.len() {
            let expected = |is: fn(u8) -> bool| {
                text[at..]
                    .iter()
                    .position(|byte| is(*byte))
                    .map_or(text.len(), |found| at + found)
            };
            assert_eq!(string_stop(&text, at), expected(is_string_stop));
            assert_eq!(scalar_end(&text, at), expected(is_scalar_end));
            assert_eq!(digits_end(&text, at), expected(|byte| !byte.is_ascii_digit()));
        }
    }
}
