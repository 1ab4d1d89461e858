//! The server's configuration: a file, a line `---`, then lines of `NAME=value` of the environment.
//!
//! The binary has no library, so its module is compiled here as well.

use super::{Target, ending, halves, outline, texts};
use std::io::Write;

#[expect(
    dead_code,
    unused_imports,
    reason = "what the server asks of a configuration is not asked here"
)]
#[path = "../../../crates/trunkline/src/config/mod.rs"]
mod read;

pub(super) const TARGET: Target = Target {
    name: "config",
    run,
    samples,
};

fn run(input: &[u8]) -> u64 {
    let (file, environment) = halves(input, "\n---\n");
    let environment = String::from_utf8_lossy(environment);
    let mut written = tempfile::NamedTempFile::new().expect("the temporary directory takes a file");
    written.write_all(file).expect("the temporary directory takes a file");
    let overrides = read::Overrides {
        config: Some(written.path().to_owned()),
        ..read::Overrides::default()
    };
    let pairs = environment.lines().filter_map(|line| line.split_once('='));
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let loaded = read::load_from(&overrides, pairs);
    if let Ok(config) = &loaded {
        assert!(!config.listen.is_empty());
        assert_eq!(config.tls.certificate.is_empty(), config.tls.key.is_empty());
    }
    // The last line is the reason, behind the place and the text there.
    let reason = |text: String| {
        text.lines()
            .last()
            .map(|line| outline(line.rsplit(": ").next().unwrap_or(line)))
    };
    ending(&loaded.map(drop).map_err(reason))
}

fn samples() -> Vec<Vec<u8>> {
    let mut samples = texts(&[
        "",
        "listen = [\"127.0.0.1:0\", \"[::1]:8080\"]\nallow_networks = [\"10.0.0.0/8\"]\ndrain = \"5s\"\n[tls]\ncertificate = \
         \"a.pem\"\nkey = \"b.pem\"\n",
        "log.level = \"debug\"\nlog.format = \"json\"\n[journal]\npublish_mark = \"7.5%\"\nwrite_ahead = \"1GiB\"\ndeduplication = \
         \"10m\"\n---\nTRUNKLINE_LISTEN=127.0.0.1:1, [::1]:2\nTRUNKLINE_ALLOW_NETWORKS=automatic\nTRUNKLINE_HTTP_CONNECTIONS=7\n",
        "x = 1\n---\nTRUNKLINE_LOG_LEVLE=info\nTRUNKLINE_PORT_8080_TCP=x\nTRUNKLINE_ALLOW_PLAINTEXT=true\n",
        "\"log\" = 5 # no section\n[[keys]]\n'admin' = '''a'''\n[http]\nconnections = 0x1F\n",
    ]);
    samples.push(read::DEFAULTS.as_bytes().to_vec());
    samples
}
