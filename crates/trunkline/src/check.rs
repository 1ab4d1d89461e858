//! Whether a configuration can be used: every value that a start would refuse for its own sake. A start, `config check` and a reload
//! ask here, and say the same. What only the running machine can tell, such as a port that another process has, is not asked.

use crate::{
    config::Config,
    diagnostics,
    exit::Failure,
    parts::{admin_token, bus_networks, connector_settings, guard, origins, server_settings, tracing_target},
    reload::backup_settings,
};
use control::{names::Name, seal::Sealer};
use std::{
    fs::{self, DirBuilder},
    io::{Error, ErrorKind},
    net::SocketAddr,
    ops::RangeInclusive,
    os::unix::fs::DirBuilderExt as _,
    path::Path,
    time::Duration,
};
use url::Url;

/// As many files as Linux lets a process open (`fs.nr_open`); none would be accepted with 0.
const CONNECTIONS: RangeInclusive<usize> = 1..=1 << 20;
/// What is kept for less is gone before anybody has looked at it.
const KEEP_MIN: Duration = Duration::from_secs(60);
/// What stands for every bus in `aws_machine_credentials`.
const EVERY_BUS: &str = "*";

/// The first value that cannot be used, with its key and the reason.
pub fn check_values(config: &Config) -> Result<(), String> {
    let said = |failure: Failure| failure.message;
    check_bounds(config)?;
    check_addresses(config)?;
    check_names(config)?;
    diagnostics::filter(&config.log.level).map_err(said)?;
    let guard = guard(config, false).map_err(said)?;
    connector_settings(config, guard).map_err(said)?;
    bus_networks(config).map_err(said)?;
    origins(config).map_err(said)?;
    tracing_target(config).map_err(said)?;
    check_keys(config)?;
    if let Some(files) = server_settings(config).tls {
        files.check().map_err(|error| format!("tls: failed to {error}"))?;
    }
    backup_settings(config).map(drop)
}

/// Whether backups have a place. A check and a reload refuse one that cannot be made; a start says so and goes on: a bus without
/// the volume of its backups is better than none.
pub fn check_backups(config: &Config) -> Result<(), String> {
    match backup_settings(config)?.directory {
        Some(directory) => can_be_made(&directory)
            .map_err(|error| format!("backup.directory: cannot make {}: {error}", directory.display())),
        None => Ok(()),
    }
}

fn check_bounds(config: &Config) -> Result<(), String> {
    if config.data_dir.as_os_str().is_empty() {
        return Err("data_dir: it is empty".into());
    }
    if !CONNECTIONS.contains(&config.http.connections) {
        let (min, max) = CONNECTIONS.into_inner();
        return Err(format!("http.connections: {min} to {max}"));
    }
    let kept = [
        ("attempts.keep", config.attempts.keep),
        ("audit.keep", config.audit.keep),
    ];
    match kept.iter().find(|(_, keep)| *keep < KEEP_MIN) {
        Some((key, _)) => Err(format!("{key}: at least 1m")),
        None => Ok(()),
    }
}

fn check_addresses(config: &Config) -> Result<(), String> {
    let lists = [
        ("listen", &config.listen),
        ("eventbridge.listen", &config.eventbridge.listen),
    ];
    let all = lists
        .into_iter()
        .flat_map(|(key, list)| list.iter().map(move |address| (key, address)));
    let mut before: Vec<&SocketAddr> = Vec::new();
    for (key, address) in all {
        if let Some(other) = before.iter().find(|other| is_taken_by(address, other)) {
            return Err(format!("{key}: {address} is taken by {other}, which is given too"));
        }
        before.push(address);
    }
    let url = &config.public_url;
    match url.is_empty() || is_base(url) {
        true => Ok(()),
        false => Err(format!(
            "public_url: {url:?} is no address such as https://bus.example.com, without a query"
        )),
    }
}

/// Whether who listens on one address keeps everybody from the other. Whether `[::]` takes IPv4 too, the machine decides.
fn is_taken_by(address: &SocketAddr, other: &SocketAddr) -> bool {
    let is_wide = address.ip().is_unspecified() || other.ip().is_unspecified();
    let same_family = address.is_ipv4() == other.is_ipv4();
    address.port() != 0 && address.port() == other.port() && (address.ip() == other.ip() || (is_wide && same_family))
}

/// Whether paths can be appended to it.
fn is_base(url: &str) -> bool {
    let is_web = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    let is_bare = |url: &Url| {
        url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none()
    };
    Url::parse(url).is_ok_and(|parsed| is_web(&parsed) && is_bare(&parsed)) && !url.contains(char::is_whitespace)
}

fn check_names(config: &Config) -> Result<(), String> {
    let buses = config.aws_machine_credentials.iter();
    for bus in buses.filter(|bus| *bus != EVERY_BUS) {
        Name::new(bus).map_err(|refusal| format!("aws_machine_credentials: {refusal}"))?;
    }
    let region = &config.eventbridge.region;
    let is_region = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    match region.bytes().all(is_region) {
        true => Ok(()),
        false => Err(format!(
            "eventbridge.region: {region:?} is no region such as eu-central-1"
        )),
    }
}

fn check_keys(config: &Config) -> Result<(), String> {
    admin_token(config).map_err(|failure| failure.message)?;
    let keys = &config.keys;
    match (keys.master.as_str(), keys.master_file.as_str()) {
        ("", "") => Ok(()),
        ("", file) => {
            Sealer::check_file(Path::new(file)).map_err(|error| format!("keys.master_file: failed to {error}"))
        }
        (text, _) => Sealer::from_text(text)
            .map(drop)
            .map_err(|error| format!("keys.master: failed to {error}")),
    }
}

/// Whether a directory is there, or could be: what is missing of it is made and taken away again, because nothing else tells.
fn can_be_made(directory: &Path) -> Result<(), Error> {
    let directory = std::path::absolute(directory)?;
    let mut missing = Vec::new();
    for part in directory.ancestors() {
        match fs::metadata(part) {
            Ok(found) if found.is_dir() => break,
            Ok(_) => return Err(ErrorKind::NotADirectory.into()),
            Err(error) if error.kind() == ErrorKind::NotFound => missing.push(part),
            Err(error) => return Err(error),
        }
    }
    let mut made = Vec::new();
    let tried = missing.iter().rev().try_for_each(|part| {
        DirBuilder::new().mode(0o700).create(part)?;
        made.push(part);
        Ok(())
    });
    for part in made.iter().rev() {
        // Who has put something there meanwhile keeps it.
        let _ = fs::remove_dir(part);
    }
    tried
}
