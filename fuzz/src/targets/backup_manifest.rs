//! Manifests of backups, as they are and with their checksum mended: what is read can be added up, is written again as it was,
//! and names no file outside of a data directory.

use super::{Target, ending, outline, texts};
use backup::{Error, Manifest};
use ring::digest::{SHA256, digest};
use std::path::{Component, Path};

pub(super) const TARGET: Target = Target {
    name: "backup_manifest",
    run,
    samples,
};

fn run(input: &[u8]) -> u64 {
    let as_it_is = decode(input);
    let mended = decode(&mended(input));
    ending(&(as_it_is, mended))
}

fn decode(bytes: &[u8]) -> Result<usize, String> {
    let manifest = Manifest::decode(bytes, Path::new("m")).map_err(|error| match error {
        Error::Damaged { .. } | Error::UnknownFormat { .. } => outline(&error.to_string()),
        other => panic!("bytes alone cannot fail like this: {other}"),
    })?;
    let again = Manifest::decode(&manifest.encode(), Path::new("m"));
    assert_eq!(again.expect("it was written just now"), manifest);
    assert!(manifest.files.iter().all(|entry| entry.bytes <= manifest.bytes()));
    let own = manifest.files.iter().flat_map(|entry| &entry.parts);
    let own = own.filter(|part| part.backup == manifest.name);
    assert!(own.into_iter().all(|part| part.stored <= manifest.stored_bytes()));
    for entry in &manifest.files {
        let mut components = Path::new(&entry.path).components();
        assert!(
            components.all(|component| matches!(component, Component::Normal(_))),
            "{}",
            entry.path
        );
        assert_eq!(manifest.entry(&entry.path), Some(entry));
    }
    Ok(manifest.files.len().min(4))
}

/// The input as the manifest inside, with the checksum that it has.
fn mended(input: &[u8]) -> Vec<u8> {
    let sum: String = digest(&SHA256, input)
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let head = format!(r#"{{"sha256":"{sum}","manifest":"#);
    [head.as_bytes(), input, b"}\n"].concat()
}

const HEAD: &str = concat!(
    r#"{"format":1,"name":"20261121T083320.123Z-3f9a2c1b","created":1795250000123,"program":"0.1.0","#,
    r#""timeline":"3f9a2c1b000000000000000000000000","parent":null,"encryption":null,"master_key":"0a0b0c0d","#,
    r#""store":{"format":1,"revision":7},"journal":{"format":1,"sequence":9,"append_time":1795250000000,"partitions":["#,
    r#"{"bus":1,"topic":2,"index":0,"start":0,"next":5}]},"notes":[],"files":["#,
);

fn samples() -> Vec<Vec<u8>> {
    let part = r#"{"backup":"20261121T083320.123Z-3f9a2c1b","bytes":BYTES,"stored":BYTES,"sha256":"ab"}"#;
    let file = |path: &str, bytes: u64| {
        let part = part.replace("BYTES", &bytes.to_string());
        format!(r#"{{"path":"{path}","bytes":{bytes},"final":true,"parts":[{part}]}}"#)
    };
    let inside = |files: &[String]| format!("{HEAD}{}]}}", files.join(","));
    let good = inside(&[file("journal/checkpoint", 3), file("store.db", 4_096)]);
    let huge = inside(&[file("journal/a", u64::MAX), file("journal/b", u64::MAX)]);
    let sealed = mended(good.as_bytes());
    let mut samples = texts(&[
        &good,
        &huge,
        &inside(&[file("journal/../x", 1)]),
        &good.replace("\"format\":1", "\"format\":2"),
    ]);
    samples.push(sealed);
    samples
}
