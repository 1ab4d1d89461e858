//! Golden values: of kafka-python's partitioner for keys, of SHA-256 for the rest.

use super::*;

#[test]
fn a_key_lands_where_kafka_puts_it() {
    let every_byte: Vec<u8> = (0..=255).collect();
    let expected: [(&[u8], u32, u32, u32); 9] = [
        (b"", 0x106e_08d9, 9, 681),
        (b"a", 0xa2d0_b27c, 4, 524),
        (b"ab", 0x12d8_262a, 2, 434),
        (b"abc", 0x1c94_221b, 3, 107),
        (b"abcd", 0xb11a_b5f4, 8, 100),
        (b"order-42", 0x1dde_fd00, 0, 24),
        (b"0123456789abcdef0", 0x6eac_3c7e, 6, 438),
        ("caf\u{e9}".as_bytes(), 0xaf0e_73b2, 6, 274),
        (&every_byte, 0x8bde_9476, 10, 374),
    ];
    for (key, hash, of_12, of_1000) in expected {
        assert_eq!(murmur2(key), hash, "{key:?}");
        assert_eq!(partition_for_key(key, 12), of_12, "{key:?}");
        assert_eq!(partition_for_key(key, 1000), of_1000, "{key:?}");
    }
}

#[test]
fn an_identity_has_one_partition_and_its_parts_do_not_run_together() {
    assert_eq!(partition_for_identity("/shop", "1", 1), 0);
    let spread: std::collections::BTreeSet<u32> = (0..200)
        .map(|id| partition_for_identity("/shop", &id.to_string(), 12))
        .collect();
    assert_eq!(spread.len(), 12);
    assert_ne!(unique_hash("ab", "c"), unique_hash("a", "bc"));
}

#[test]
fn persisted_hashes_never_change() {
    assert_eq!(lookup_hash("1"), 0x6b86_b273_ff34_fce1);
    assert_eq!(unique_hash("/shop", "1"), 0xe3cf_161f_7f24_f004_c37d_c28c_5d71_602a);
    const WEBHOOK_GOLDEN: &str = "msg_2af714f2c687eee34d32b1ee3eef3583";
    assert_eq!(
        webhook_id("default", "/shop", "1", "paid-orders-to-crm", 0),
        WEBHOOK_GOLDEN
    );
    assert_eq!(
        webhook_id("default", "/shop", "1", "paid-orders-to-crm", 2),
        format!("{WEBHOOK_GOLDEN}_e2")
    );
}

fn key(json: &str, path: &str) -> Option<String> {
    key_at_path(&Data::json(json.to_owned()), path)
}

#[test]
fn a_key_path_yields_a_scalar_or_nothing() {
    let order = r#" {"skip": {"customer": {"id": 1}, "x": "}\"{"}, "order": {"customer": {"id": "c-7", "n": 1.50}},
                     "flag": true, "none": null, "list": [1], "a\u0062c": "escaped", "big": 12345678901234567890e5 } "#;
    let expected = [
        ("order.customer.id", Some("c-7")),
        ("order.customer.n", Some("1.50")),
        ("big", Some("12345678901234567890e5")),
        ("flag", Some("true")),
        ("abc", Some("escaped")),
        ("none", None),
        ("list", None),
        ("list.0", None),
        ("order", None),
        ("order.customer", None),
        ("customer.id", None),
        ("order.customer.id.more", None),
        ("", None),
        (".", None),
        ("order.", None),
    ];
    for (path, wanted) in expected {
        assert_eq!(key(order, path).as_deref(), wanted, "{path}");
    }
    assert_eq!(key(r#"{"k": "caf\u00e9 \n"}"#, "k").as_deref(), Some("caf\u{e9} \n"));
    assert_eq!(key(r#"{"k": "", "k": "later"}"#, "k").as_deref(), Some(""));
    assert_eq!(key(r#"{"k": "\ud800"}"#, "k"), None);
    assert_eq!(key("5", "k"), None);
    assert_eq!(key_at_path(&Data::binary(r#"{"k": 1}"#), "k"), None);
}

proptest::proptest! {
    #[test]
    fn a_key_path_survives_any_text(json in "[\\[\\]{}:,\"\\\\ a0n\u{e9}]{0,40}", path in "[a.\u{e9}]{0,6}") {
        let _ = key(&json, &path);
    }
}
