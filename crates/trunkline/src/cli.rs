//! The command line: what can be asked, and nothing of how it is done.

use crate::{commands, config::Overrides, output::Format};
use clap::{Args, Parser, Subcommand};

/// Trunkline, the enterprise event bus in one binary.
#[derive(Debug, Parser)]
#[command(
    name = "trunkline",
    version,
    about,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    #[command(flatten)]
    pub server: ServerOptions,
    #[command(subcommand)]
    pub command: Command,
}

/// How commands find the server and print what it says.
#[derive(Clone, Debug, Args)]
pub struct ServerOptions {
    /// The server.
    #[arg(
        long,
        global = true,
        env = "TRUNKLINE_SERVER",
        default_value = "http://127.0.0.1:8080",
        value_name = "URL"
    )]
    pub server: String,
    /// The key, if the server has any.
    #[arg(
        long,
        global = true,
        env = "TRUNKLINE_KEY",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    pub key: Option<String>,
    /// PEM file of an authority to trust besides the system's, for a server with a certificate of its own.
    #[arg(long, global = true, env = "TRUNKLINE_CA", value_name = "FILE")]
    pub ca: Option<std::path::PathBuf>,
    /// The bus.
    #[arg(
        long,
        global = true,
        env = "TRUNKLINE_BUS",
        default_value = "default",
        value_name = "NAME"
    )]
    pub bus: String,
    /// Tables for people, JSON for scripts.
    #[arg(long, global = true, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
}

/// What can be asked.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the bus.
    Serve(Serve),
    /// Publish events from a file, standard input, or the command line.
    Publish(commands::publish::Publish),
    /// Receive deliveries here: verify their signatures, print them, fail on purpose.
    Listen(commands::listen::Listen),
    /// Create or replace what a resource file declares.
    Apply(commands::apply::Apply),
    /// Print resources as a file that `apply` takes.
    Export(commands::export::Export),
    /// Print events as they come.
    Tail(commands::tail::Tail),
    /// Tell an event's whole story: where it is, who matched, every attempt.
    Event(commands::event::Event),
    /// Look at dead letters, send them again, discard them.
    #[command(subcommand)]
    DeadLetter(commands::dead_letter::DeadLetter),
    /// Look at topics, set and delete them.
    #[command(subcommand)]
    Topic(commands::resource::Resource),
    /// Look at event types, set and delete them.
    #[command(subcommand)]
    Type(commands::resource::Resource),
    /// Look at connections, set and delete them.
    #[command(subcommand)]
    Connection(commands::connection::Connection),
    /// Look at buses, set and delete them.
    #[command(subcommand)]
    Bus(commands::resource::Resource),
    /// Look at subscriptions, set, delete, pause and resume them.
    #[command(subcommand)]
    Subscription(commands::subscription::Subscription),
    /// Try, explain and examine filters.
    #[command(subcommand)]
    Pattern(commands::pattern::Pattern),
    /// Try expressions of the CloudEvents SQL language.
    #[command(subcommand)]
    Cesql(commands::cesql::Cesql),
    /// Make, list and delete keys.
    #[command(subcommand)]
    Key(commands::key::Key),
    /// Look at the server's clocks, confirm the wall clock after an alarm.
    #[command(subcommand)]
    Clock(commands::clock::Clock),
    /// Examine a data directory that no server is using.
    Doctor(commands::doctor::Doctor),
    /// Print completions for a shell.
    Completions(commands::completions::Completions),
    /// Publish and receive, and print rates and percentiles.
    Bench(commands::bench::Bench),
}

/// Run the bus.
#[derive(Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    pub overrides: Overrides,
    /// Print the commented default configuration and exit.
    #[arg(long)]
    pub print_config: bool,
}
