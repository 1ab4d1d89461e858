//! The servers: started as Debian ships them, durable as each can be, on free ports, their data in one directory that goes
//! with them.

use crate::{Party, postgres, rabbitmq};
use std::{
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long a server may take to end before it is killed.
const END_WAIT_MAX: Duration = Duration::from_secs(15);
/// How long a server may take to start.
const START_WAIT_MAX: Duration = Duration::from_secs(60);

pub struct Servers {
    children: Vec<Child>,
    addresses: [SocketAddr; 4],
    epmd_port: u16,
    versions: String,
    _directory: tempfile::TempDir,
}

impl Servers {
    pub async fn start() -> Self {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let path = directory.path();
        open_to_others(path);
        let (trunkline, address) = trunkline(path);
        let (redis_port, postgres_port, rabbitmq_port, epmd_port) = (port(), port(), port(), port());
        let children = vec![
            trunkline,
            redis(path, redis_port),
            postgres(path, postgres_port),
            rabbitmq(path, rabbitmq_port, epmd_port),
        ];
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let servers = Self {
            children,
            addresses: [address, local(redis_port), local(postgres_port), local(rabbitmq_port)],
            epmd_port,
            versions: versions(),
            _directory: directory,
        };
        servers.addresses.iter().for_each(|address| wait_for(*address));
        servers.prepare().await;
        servers
    }

    pub fn address(&self, party: Party) -> SocketAddr {
        match party {
            Party::Trunkline => self.addresses[0],
            Party::Redis => self.addresses[1],
            Party::Postgres => self.addresses[2],
            Party::RabbitMq => self.addresses[3],
        }
    }

    pub fn versions(&self) -> &str {
        &self.versions
    }

    /// The table and the queue; both servers take connections a moment before they serve.
    async fn prepare(&self) {
        let mut table = postgres::Connection::open_bare(self.address(Party::Postgres)).await;
        table
            .run("CREATE TABLE bench (id bigserial PRIMARY KEY, data bytea NOT NULL)")
            .await;
        rabbitmq::Connection::open(self.address(Party::RabbitMq))
            .await
            .purge()
            .await;
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for child in &mut self.children {
            // In good order where that is quick: RabbitMQ and PostgreSQL have children of their own.
            let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
            let until = Instant::now() + END_WAIT_MAX;
            while child.try_wait().is_ok_and(|ended| ended.is_none()) && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(50));
            }
            let _ = child.kill().and_then(|()| child.wait());
        }
        let port = self.epmd_port.to_string();
        let _ = Command::new("epmd")
            .args(["-port", &port, "-kill"])
            .stdout(Stdio::null())
            .status();
    }
}

fn port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("bound").port()
}

fn wait_for(address: SocketAddr) {
    let until = Instant::now() + START_WAIT_MAX;
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < until, "{address} does not listen");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn start(command: &mut Command) -> Child {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let started = quiet.spawn();
    started.unwrap_or_else(|error| panic!("{command:?}: {error}; `cargo xtask services peers` installs it"))
}

fn trunkline(directory: &Path) -> (Child, SocketAddr) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_trunkline"))
        .args(["serve", "--listen", "127.0.0.1:0", "--log-level", "error", "--data-dir"])
        .arg(directory.join("trunkline"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let line = lines.next().expect("a line").expect("text");
    let address = line.strip_prefix("listening on http://").expect("an address");
    let address = address.parse().expect("an address");
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    (child, address)
}

fn redis(directory: &Path, port: u16) -> Child {
    let data = directory.join("redis");
    std::fs::create_dir(&data).expect("made");
    start(
        Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir"])
            .arg(data)
            .args(["--appendonly", "yes", "--appendfsync", "always", "--save", ""]),
    )
}

/// PostgreSQL refuses to run as root; as root it runs as the user that Debian made for it.
fn as_postgres(program: &Path) -> Command {
    let is_root =
        std::fs::metadata("/proc/self").is_ok_and(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata) == 0);
    if !is_root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"])
        .arg(program);
    command
}

fn postgres(directory: &Path, port: u16) -> Child {
    let programs = newest(Path::new("/usr/lib/postgresql")).join("bin");
    let home = directory.join("postgres");
    std::fs::create_dir(&home).expect("made");
    open_to_others(&home);
    let data = home.join("data");
    let made = as_postgres(&programs.join("initdb"))
        .args(["-A", "trust", "-U", "postgres", "-D"])
        .arg(&data)
        .stdout(Stdio::null())
        .status();
    assert!(made.expect("initdb runs").success(), "initdb failed");
    start(
        as_postgres(&programs.join("postgres"))
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k", ""])
            .args([
                "-c",
                "synchronous_commit=on",
                "-c",
                "fsync=on",
                "-c",
                "max_connections=600",
            ]),
    )
}

fn rabbitmq(directory: &Path, port: u16, epmd_port: u16) -> Child {
    let data = directory.join("rabbitmq");
    std::fs::create_dir(&data).expect("made");
    let sbin = newest(Path::new("/usr/lib/rabbitmq/lib")).join("sbin/rabbitmq-server");
    let plugins = data.join("enabled_plugins");
    std::fs::write(&plugins, "[].\n").expect("written");
    start(
        Command::new(sbin)
            .env("HOME", &data)
            .env("ERL_EPMD_PORT", epmd_port.to_string())
            .env("RABBITMQ_NODENAME", "bench@localhost")
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", port.to_string())
            .env("RABBITMQ_DIST_PORT", self::port().to_string())
            .env("RABBITMQ_MNESIA_BASE", data.join("mnesia"))
            .env("RABBITMQ_LOG_BASE", data.join("log"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", plugins)
            .env("RABBITMQ_CONFIG_FILE", data.join("none")),
    )
}

/// The last of the directories in one, by name.
fn newest(directory: &Path) -> PathBuf {
    let entries = std::fs::read_dir(directory);
    let entries = entries.unwrap_or_else(|error| {
        panic!(
            "{}: {error}; `cargo xtask services peers` installs it",
            directory.display()
        )
    });
    entries.flatten().map(|entry| entry.path()).max().expect("a version")
}

/// Another user has to reach what lies below.
fn open_to_others(directory: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o777)).expect("ours");
}

fn versions() -> String {
    let asked: [(&str, &[&str]); 3] = [
        ("dpkg-query", &["-W", "-f", "Redis ${Version}", "redis-server"]),
        ("dpkg-query", &["-W", "-f", "RabbitMQ ${Version}", "rabbitmq-server"]),
        ("dpkg-query", &["-W", "-f", "PostgreSQL ${Version}", "postgresql"]),
    ];
    let one = |(program, arguments): (&str, &[&str])| {
        let said = Command::new(program).args(arguments).output();
        said.map_or_else(
            |_| String::new(),
            |said| String::from_utf8_lossy(&said.stdout).into_owned(),
        )
    };
    asked.map(one).join(", ")
}
