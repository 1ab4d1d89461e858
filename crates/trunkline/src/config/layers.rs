//! Laying a file, the environment and flags over the defaults. Unknown keys are errors that name the nearest right one.

use super::{Config, DEFAULTS, LogFormat};
use std::{collections::BTreeMap, ffi::OsString, net::SocketAddr, path::PathBuf};
use toml::{Table, Value};

/// What flags set; absent ones leave the layers below as they are.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Overrides {
    /// Configuration file (TOML); `trunkline serve --print-config` shows every key with its default.
    #[arg(long, value_name = "FILE", env = "TRUNKLINE_CONFIG")]
    pub config: Option<PathBuf>,
    /// Address to listen on; repeatable. Default 127.0.0.1:8080.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Vec<SocketAddr>,
    /// Address that answers EventBridge's protocol alone; repeatable.
    #[arg(long, value_name = "ADDRESS")]
    pub eventbridge_listen: Vec<SocketAddr>,
    /// Where the data lives. Default ./trunkline-data.
    #[arg(long, value_name = "PATH")]
    pub data_dir: Option<PathBuf>,
    /// PEM file of the certificate chain.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// PEM file of its private key.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Private network that destinations may be in, as a CIDR block; repeatable; `none` for an empty list.
    #[arg(long, value_name = "CIDR")]
    pub allow_network: Vec<String>,
    /// Send keys over plain HTTP off loopback.
    #[arg(long)]
    pub allow_plaintext: bool,
    /// error, warn, info, debug, trace, or a filter.
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// How diagnostic lines look.
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
}

/// Loads the configuration: defaults, the file of `overrides`, this process's environment, flags.
pub fn load(overrides: &Overrides) -> Result<Config, String> {
    load_from(overrides, environment(std::env::vars_os())?)
}

/// The same with another environment.
pub fn load_from(
    overrides: &Overrides,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, String> {
    read(layers(overrides, environment)?)
}

/// What of an environment may be meant for Trunkline. Other variables may hold any bytes, and are nobody's business here.
pub(super) fn environment(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, String)>, String> {
    let is_ours = |(name, _): &(OsString, OsString)| name.as_encoded_bytes().starts_with(PREFIX.as_bytes());
    let texts = variables.filter(is_ours).map(|(name, value)| {
        let wrong = |text: OsString| format!("environment: {}: it is not UTF-8", text.display());
        let name = name.into_string().map_err(wrong)?;
        let value = value.into_string().map_err(|_| wrong(OsString::from(&name)))?;
        Ok((name, value))
    });
    texts.collect()
}

/// The layers, one over the other: every key of the defaults has a value.
pub(super) fn layers(
    overrides: &Overrides,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Table, String> {
    let mut table: Table = DEFAULTS
        .parse()
        .expect("the compiled-in defaults parse: a test holds it");
    if let Some(path) = &overrides.config {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
        let file: Table = text.parse().map_err(|error| format!("{shown}: {error}"))?;
        let place = |key: &str| located(&shown, &text, key);
        lay_table(&mut table, file, "", &place)?;
        typed(&table).map_err(|mistyped| mistyped.at(&place(&mistyped.key)))?;
    }
    lay_environment(&mut table, environment)?;
    lay_flags(&mut table, overrides);
    Ok(table)
}

/// What the layers say, if they can be used.
pub(super) fn read(table: Table) -> Result<Config, String> {
    let config = typed(&table).map_err(|mistyped| mistyped.at("configuration"))?;
    check(&config)?;
    Ok(config)
}

/// A value that is none of its key's.
struct Mistyped {
    key: String,
    reason: String,
}

impl Mistyped {
    fn at(&self, place: &str) -> String {
        format!("{place}: {}: {}", self.key, self.reason)
    }
}

fn typed(table: &Table) -> Result<Config, Mistyped> {
    table.clone().try_into().map_err(|error: toml::de::Error| {
        // The key is said in the text alone.
        let text = error.to_string();
        let key = text.split_once("in `").and_then(|(_, key)| key.split_once('`'));
        Mistyped {
            key: key.map_or_else(String::new, |(key, _)| key.to_string()),
            reason: in_words(error.message()),
        }
    })
}

/// What serde says of types, in the words of TOML.
fn in_words(message: &str) -> String {
    let message = message.strip_prefix("invalid type: ").unwrap_or(message);
    let message = message.replace(", expected a sequence", " where a list is expected");
    message.replace(", expected ", " where this is expected: ")
}

/// Lays `over` on `base`, key by key; `place` says where a key was found.
fn lay_table(base: &mut Table, over: Table, path: &str, place: &dyn Fn(&str) -> String) -> Result<(), String> {
    for (key, value) in over {
        let full = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        match (base.get_mut(&key), value) {
            (None, _) => return Err(unknown(&place(&full), &full)),
            (Some(Value::Table(inner)), Value::Table(over)) => lay_table(inner, over, &full, place)?,
            (Some(Value::Table(_)), _) => return Err(format!("{}: {full} is a section", place(&full))),
            (Some(slot), value) => *slot = value,
        }
    }
    Ok(())
}

/// What names of our variables begin with.
const PREFIX: &str = "TRUNKLINE_";

/// Variables of this prefix that are not the server's configuration.
const OTHER_VARIABLES: &[&str] = &[
    "CONFIG",
    "SERVER",
    "KEY",
    "CACHE",
    "QUICK",
    "PYTHON",
    "SEEDS",
    "CRASHES",
    "ADMIN_KEY",
    "ADMIN_KEY_FILE",
];

fn lay_environment(table: &mut Table, environment: impl IntoIterator<Item = (String, String)>) -> Result<(), String> {
    let names: BTreeMap<String, String> = leaves()
        .into_iter()
        .map(|path| (path.replace('.', "_").to_uppercase(), path))
        .collect();
    for (variable, value) in environment {
        let Some(name) = variable.strip_prefix(PREFIX) else {
            continue;
        };
        let path = match name {
            "ADMIN_KEY" => "keys.admin",
            "ADMIN_KEY_FILE" => "keys.admin_file",
            name => match names.get(name) {
                Some(path) => path.as_str(),
                // A cluster may set variables of this prefix by itself (TRUNKLINE_PORT_8080_TCP): only near misses are
                // mistakes.
                None => match nearest(name, names.keys().map(String::as_str)) {
                    Some(right) if !OTHER_VARIABLES.contains(&name) => {
                        return Err(format!(
                            "environment: unknown variable {variable}; did you mean TRUNKLINE_{right}?"
                        ));
                    }
                    _ => continue,
                },
            },
        };
        set(table, path, &value).map_err(|reason| format!("environment: {variable}: {reason}"))?;
        typed(table).map_err(|mistyped| format!("environment: {variable}: {}", mistyped.reason))?;
    }
    Ok(())
}

fn lay_flags(table: &mut Table, overrides: &Overrides) {
    let strings = |list: &[String]| Value::Array(list.iter().cloned().map(Value::String).collect());
    if !overrides.listen.is_empty() {
        let addresses: Vec<String> = overrides.listen.iter().map(ToString::to_string).collect();
        table.insert("listen".into(), strings(&addresses));
    }
    if !overrides.eventbridge_listen.is_empty() {
        let addresses: Vec<String> = overrides.eventbridge_listen.iter().map(ToString::to_string).collect();
        *slot(table, "eventbridge.listen").expect("it is a key of the defaults") = strings(&addresses);
    }
    if !overrides.allow_network.is_empty() {
        let networks: Vec<String> = overrides
            .allow_network
            .iter()
            .filter(|word| *word != "none")
            .cloned()
            .collect();
        table.insert("allow_networks".into(), strings(&networks));
    }
    if overrides.allow_plaintext {
        table.insert("allow_plaintext".into(), Value::Boolean(true));
    }
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let format = overrides.log_format.map(|format| match format {
        LogFormat::Text => "text".to_string(),
        LogFormat::Json => "json".to_string(),
    });
    let values = [
        ("data_dir", path(&overrides.data_dir)),
        ("tls.certificate", path(&overrides.tls_cert)),
        ("tls.key", path(&overrides.tls_key)),
        ("log.level", overrides.log_level.clone()),
        ("log.format", format),
    ];
    for (key, value) in values {
        if let Some(value) = value {
            *slot(table, key).expect("every flag sets a key of the defaults") = Value::String(value);
        }
    }
}

/// Sets a key from text, in the type its default has.
fn set(table: &mut Table, path: &str, text: &str) -> Result<(), String> {
    let slot = slot(table, path).expect("the path is one of the defaults'");
    let items = || {
        Value::Array(
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(Value::from)
                .collect(),
        )
    };
    *slot = match slot {
        Value::Array(_) => items(),
        Value::Boolean(_) => Value::Boolean(text.parse().map_err(|_| format!("{text:?} is not true or false"))?),
        Value::Integer(_) => Value::Integer(text.parse().map_err(|_| format!("{text:?} is not a whole number"))?),
        _ if path == "allow_networks" && text != "automatic" => items(),
        _ => Value::String(text.to_string()),
    };
    Ok(())
}

fn slot<'a>(table: &'a mut Table, path: &str) -> Option<&'a mut Value> {
    match path.split_once('.') {
        None => table.get_mut(path),
        Some((section, key)) => table.get_mut(section)?.as_table_mut()?.get_mut(key),
    }
}

/// The paths of all keys of the defaults.
fn leaves() -> Vec<String> {
    let table: Table = DEFAULTS
        .parse()
        .expect("the compiled-in defaults parse: a test holds it");
    leaves_of(&table)
}

/// The paths of all keys.
pub(super) fn leaves_of(table: &Table) -> Vec<String> {
    let mut paths = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(section) => paths.extend(section.keys().map(|inner| format!("{key}.{inner}"))),
            _ => paths.push(key.clone()),
        }
    }
    paths
}

fn unknown(place: &str, key: &str) -> String {
    let leaves = leaves();
    let hint = match nearest(key, leaves.iter().map(String::as_str)) {
        Some(right) => format!("did you mean {right}?"),
        None => format!("there are {}", leaves.join(", ")),
    };
    format!("{place}: unknown key {key}; {hint}")
}

/// The closest name, if one is close.
fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let scored = names.map(|candidate| (strsim::jaro_winkler(name, candidate), candidate));
    let best = scored.max_by(|left, right| left.0.total_cmp(&right.0))?;
    (best.0 > 0.85).then_some(best.1)
}

/// `FILE:LINE` of the first line that sets or opens this key, a section's with the section's name before it.
fn located(file: &str, text: &str, key: &str) -> String {
    let mut section = String::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        let header = line.strip_prefix('[').and_then(|line| line.split_once(']'));
        let name = match header {
            Some((name, _)) => {
                section = unquoted(name);
                section.clone()
            }
            None => {
                let name = line.split_once('=').map_or("", |(name, _)| name);
                let dot = if section.is_empty() { "" } else { "." };
                format!("{section}{dot}{}", unquoted(name))
            }
        };
        let is_it = name == key || name.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
        if is_it {
            return format!("{file}:{number}");
        }
    }
    file.to_string()
}

/// A key or a header without spaces and quotation marks.
fn unquoted(name: &str) -> String {
    name.chars()
        .filter(|letter| !letter.is_whitespace() && *letter != '"')
        .collect()
}

/// Rules that a type cannot say.
fn check(config: &Config) -> Result<(), String> {
    if config.listen.is_empty() {
        return Err("listen: at least one address is needed".into());
    }
    if config.tls.certificate.is_empty() != config.tls.key.is_empty() {
        return Err("tls: certificate and key belong together; set both or none".into());
    }
    if let super::AllowNetworks::Word(word) = &config.allow_networks
        && word != "automatic"
    {
        return Err(format!(
            "allow_networks: {word:?} is neither \"automatic\" nor a list of CIDR blocks"
        ));
    }
    if !(256 << 20..=16 << 30).contains(&config.journal.write_ahead.0) {
        return Err("journal.write_ahead: 256MiB to 16GiB".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(file: Option<&str>, environment: &[(&str, &str)], flags: Overrides) -> Result<Config, String> {
        let directory = tempfile::tempdir().expect("a directory");
        let config = file.map(|text| {
            let path = directory.path().join("trunkline.toml");
            std::fs::write(&path, text).expect("written");
            path
        });
        let pairs = environment
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()));
        let loaded = load_from(&Overrides { config, ..flags }, pairs);
        loaded.map_err(|reason| reason.replace(&format!("{}/", directory.path().display()), ""))
    }

    #[test]
    fn the_commented_file_is_the_defaults_and_names_every_key() {
        let config = from(None, &[], Overrides::default()).unwrap();
        assert_eq!(config.listen, ["127.0.0.1:8080".parse().unwrap()]);
        assert_eq!(config.data_dir, PathBuf::from("./trunkline-data"));
        assert_eq!(config.journal.publish_mark.whole(), 5);
        // Deserialization denies unknown keys and needs all of them: the file has exactly the keys of `Config`.
        assert_eq!(leaves().len(), 34);
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let file = Some("data_dir = \"file\"\n[log]\nlevel = \"warn\"\nformat = \"json\"\n");
        let environment = [("TRUNKLINE_LOG_LEVEL", "debug"), ("TRUNKLINE_DATA_DIR", "environment")];
        let flags = Overrides {
            data_dir: Some("flag".into()),
            ..Overrides::default()
        };
        let config = from(file, &environment, flags).unwrap();
        assert_eq!(config.data_dir, PathBuf::from("flag"));
        assert_eq!(
            (config.log.level.as_str(), config.log.format),
            ("debug", LogFormat::Json)
        );
    }

    #[test]
    fn a_variable_that_is_not_utf_8_is_refused_by_name_if_it_is_ours() {
        use std::os::unix::ffi::OsStringExt as _;
        let no_text = || OsString::from_vec(vec![0xff]);
        let read = |name: &str| environment([(OsString::from(name), no_text())].into_iter());
        assert_eq!(read("LESS"), Ok(Vec::new()));
        assert_eq!(environment([(no_text(), no_text())].into_iter()), Ok(Vec::new()));
        assert_eq!(
            read("TRUNKLINE_DATA_DIR"),
            Err("environment: TRUNKLINE_DATA_DIR: it is not UTF-8".to_owned())
        );
    }

    #[test]
    fn an_unknown_key_names_the_nearest_right_one_and_its_place() {
        let refused = from(Some("\n[journal]\nwrite_ahaed = \"1GiB\"\n"), &[], Overrides::default()).unwrap_err();
        assert_eq!(
            refused,
            "trunkline.toml:3: unknown key journal.write_ahaed; did you mean journal.write_ahead?"
        );
        let refused = from(None, &[("TRUNKLINE_LOG_LEVLE", "info")], Overrides::default()).unwrap_err();
        assert_eq!(
            refused,
            "environment: unknown variable TRUNKLINE_LOG_LEVLE; did you mean TRUNKLINE_LOG_LEVEL?"
        );
    }

    #[test]
    fn what_a_cluster_sets_by_itself_is_ignored() {
        from(None, &[("TRUNKLINE_PORT_8080_TCP_PROTO", "tcp")], Overrides::default()).unwrap();
    }

    #[test]
    fn lists_and_words_of_the_environment_take_the_type_of_the_default() {
        let environment = [
            ("TRUNKLINE_LISTEN", "127.0.0.1:1, [::1]:2"),
            ("TRUNKLINE_ALLOW_NETWORKS", "10.0.0.0/8"),
        ];
        let config = from(None, &environment, Overrides::default()).unwrap();
        assert_eq!(config.listen.len(), 2);
        assert_eq!(
            config.allow_networks,
            super::super::AllowNetworks::List(vec!["10.0.0.0/8".into()])
        );
        let config = from(None, &[("TRUNKLINE_ALLOW_NETWORKS", "")], Overrides::default()).unwrap();
        assert_eq!(config.allow_networks, super::super::AllowNetworks::List(vec![]));
    }

    #[test]
    fn wrong_values_are_refused_with_their_key() {
        for (file, said) in [
            ("listen = []", "listen: at least one address is needed"),
            (
                "[tls]\ncertificate = \"a.pem\"",
                "tls: certificate and key belong together; set both or none",
            ),
            ("[journal]\npublish_mark = \"5\"", "is not a whole percentage"),
            ("drain = \"soon\"", "trunkline.toml:1: drain: a duration is"),
            ("log = 5", "trunkline.toml:1: log is a section"),
            (
                "\n\nlisten = 5",
                "trunkline.toml:3: listen: integer `5` where a list is expected",
            ),
            (
                "drain = 5",
                "trunkline.toml:1: drain: integer `5` where this is expected: a string",
            ),
            (
                "[attempts]\nkeep = \"1d\"\n[ audit ] # for ever\nkeep = \"long\"",
                "trunkline.toml:4: audit.keep: a duration is",
            ),
            (
                "attempts.keep = \"1d\"\naudit.keep = \"long\"",
                "trunkline.toml:2: audit.keep: a duration is",
            ),
            (
                "audit = { keep = \"long\" }",
                "trunkline.toml: audit.keep: a duration is",
            ),
            (
                "listen = [\"here\"]",
                "trunkline.toml:1: listen: invalid socket address",
            ),
        ] {
            let refused = from(Some(file), &[], Overrides::default()).unwrap_err();
            assert!(refused.contains(said), "{file}: {refused}");
        }
        for (variable, value, said) in [
            ("TRUNKLINE_DRAIN", "soon", "environment: TRUNKLINE_DRAIN: a duration is"),
            (
                "TRUNKLINE_LISTEN",
                "here",
                "environment: TRUNKLINE_LISTEN: invalid socket address",
            ),
            (
                "TRUNKLINE_ALLOW_PLAINTEXT",
                "maybe",
                "environment: TRUNKLINE_ALLOW_PLAINTEXT: \"maybe\" is not true or false",
            ),
        ] {
            let refused = from(None, &[(variable, value)], Overrides::default()).unwrap_err();
            assert!(refused.starts_with(said), "{variable}: {refused}");
        }
    }
}
