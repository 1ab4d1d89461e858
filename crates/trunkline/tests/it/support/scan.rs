//! Looks for secrets: as they are, and in the forms in which programs write bytes down by accident.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
};

/// Bytes at the beginning of a form by which it is looked up.
const HEAD_BYTES: usize = 8;
/// Parts of a file that are zeroes are passed over by this many bytes.
const PAGE_BYTES: usize = 4096;

/// Secrets by their names.
#[derive(Debug, Default)]
pub struct Scanner {
    /// Which forms begin with these bytes: their names and texts.
    heads: HashMap<[u8; HEAD_BYTES], Vec<(String, Vec<u8>)>>,
    /// Whether a head may begin with these two bytes.
    begins: Vec<bool>,
}

impl Scanner {
    /// Looks for this, too: at least 12 bytes.
    pub fn add(&mut self, name: &str, secret: &[u8]) {
        assert!(secret.len() >= 12, "{name} is too short to be told from chance");
        for form in forms(secret) {
            let (head, _) = form.split_first_chunk::<HEAD_BYTES>().expect("no form is shorter");
            self.begins.resize(1 << 16, false);
            self.begins[usize::from(head[0]) << 8 | usize::from(head[1])] = true;
            self.heads.entry(*head).or_default().push((name.to_owned(), form));
        }
    }

    /// The names of the secrets that are in these bytes.
    pub fn found_in(&self, bytes: &[u8]) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut at = 0;
        while at + HEAD_BYTES <= bytes.len() {
            let page = &bytes[at..(at + PAGE_BYTES).min(bytes.len())];
            if at % PAGE_BYTES == 0 && page.len() == PAGE_BYTES && page == [0; PAGE_BYTES] {
                at += PAGE_BYTES;
                continue;
            }
            if self.begins[usize::from(bytes[at]) << 8 | usize::from(bytes[at + 1])] {
                let head: [u8; HEAD_BYTES] = bytes[at..at + HEAD_BYTES].try_into().expect("as long as a head");
                let forms = self.heads.get(&head).into_iter().flatten();
                let is_here = |form: &&(String, Vec<u8>)| bytes[at..].starts_with(&form.1);
                found.extend(forms.filter(is_here).map(|(name, _)| name.clone()));
            }
            at += 1;
        }
        found
    }

    /// The secrets in the files below a directory, each with its file; files of these names are passed over.
    pub fn found_below(&self, directory: &Path, but: &[&str]) -> Vec<(PathBuf, String)> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                found.extend(self.found_below(&path, but));
            } else if !but.iter().any(|name| path.ends_with(name)) {
                let bytes = std::fs::read(&path).expect("it is read");
                found.extend(self.found_in(&bytes).into_iter().map(|name| (path.clone(), name)));
            }
        }
        found
    }
}

/// As it is; in base64, whatever stands before it; in hex; percent-encoded; escaped in JSON.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let each = |form: &dyn Fn(&u8) -> String| secret.iter().map(form).collect::<String>().into_bytes();
    let mut forms = vec![
        secret.to_vec(),
        each(&|byte| format!("{byte:02x}")),
        each(&|byte| format!("{byte:02X}")),
        each(&|byte| format!("%{byte:02X}")),
        each(&|byte| format!("%{byte:02x}")),
        each(&|byte| format!("\\u{byte:04x}")),
        each(&|byte| format!("\\u{byte:04X}")),
        format!("{secret:?}").into_bytes(),
    ];
    for before in 0..3 {
        // Letters that depend on what stands around are left out.
        let padded = [&vec![0; before], secret].concat();
        let (from, to) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            forms.push(engine.encode(&padded).into_bytes()[from..to].to_vec());
        }
    }
    let quoted = String::from_utf8(secret.to_vec())
        .ok()
        .map(|text| serde_json::Value::from(text).to_string());
    forms.extend(quoted.map(|quoted| quoted.trim_matches('"').as_bytes().to_vec()));
    forms.sort();
    forms.dedup();
    forms
}

#[test]
fn a_secret_is_found_in_every_form_and_a_part_of_it_is_not() {
    const SECRET: &[u8; 18] = b"a \"quoted\" secret\n";
    let mut scanner = Scanner::default();
    scanner.add("it", SECRET);
    let after = |text: &str| [text.as_bytes(), SECRET].concat();
    for form in [
        String::from_utf8(after("x")).expect("text") + "x",
        r#"{"x": "a \"quoted\" secret\n"}"#.to_owned(),
        SECRET.map(|byte| format!("{byte:02x}")).concat(),
        SECRET.map(|byte| format!("%{byte:02X}")).concat(),
        SECRET.map(|byte| format!("\\u{byte:04x}")).concat(),
        STANDARD_NO_PAD.encode(SECRET),
        STANDARD_NO_PAD.encode(after("user:")) + "==",
        URL_SAFE_NO_PAD.encode([&after("use:")[..], b":and more"].concat()),
        format!("{SECRET:?}"),
    ] {
        let padded = [vec![0; 3 * PAGE_BYTES], form.clone().into_bytes()].concat();
        assert_eq!(scanner.found_in(&padded).len(), 1, "{form}");
    }
    assert!(scanner.found_in(&SECRET[..17]).is_empty());
    assert!(scanner.found_in(b"").is_empty());
}
