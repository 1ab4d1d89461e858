//! The command line: what can be asked, and nothing of how it is done.

use crate::{commands, config::Overrides, output::Format};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, builder::NonEmptyStringValueParser};

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

/// How commands find the server and print what it says; in help they stand behind what belongs to the command alone.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "For every command that asks a server")]
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
    /// Look at connections, set, delete and try them.
    #[command(subcommand)]
    Connection(commands::connection::Connection),
    /// Look at buses, set and delete them.
    #[command(subcommand)]
    Bus(commands::resource::Resource),
    /// Deliver past events once more: to a subscription, or into a topic.
    #[command(subcommand)]
    Replay(commands::replay::Replay),
    /// Send out many dead letters again, at a rate.
    #[command(subcommand)]
    Redrive(commands::redrive::Redrive),
    /// Look at subscriptions, set, delete, pause and resume them.
    #[command(subcommand)]
    Subscription(commands::subscription::Subscription),
    /// Try, explain and examine filters.
    #[command(subcommand)]
    Pattern(commands::pattern::Pattern),
    /// Try expressions of the CloudEvents SQL language.
    #[command(subcommand)]
    Cesql(commands::cesql::Cesql),
    /// Make, rotate, list and delete keys.
    #[command(subcommand)]
    Key(commands::key::Key),
    /// See what seals secrets, make another master key current, forget an earlier one.
    #[command(subcommand)]
    MasterKey(commands::master_key::MasterKeyCommand),
    /// See who did what, verify the trail, export it.
    #[command(subcommand)]
    Audit(commands::audit::Audit),
    /// Look at the server's clocks, confirm the wall clock after an alarm.
    #[command(subcommand)]
    Clock(commands::clock::Clock),
    /// Check a configuration, or have the server read its own again.
    #[command(subcommand)]
    Config(commands::config::Config),
    /// Back up a running server or a stopped one; list and verify backups.
    #[command(subcommand)]
    Backup(commands::backup::Backup),
    /// Put a backup back, to a directory that is empty or does not exist.
    Restore(commands::restore::Restore),
    /// Examine a data directory that no server is using.
    Doctor(commands::doctor::Doctor),
    /// Print completions for a shell.
    Completions(commands::completions::Completions),
    /// Watch a bus at work: failing endpoints, retries, a breaker, dead letters, a redrive.
    Demo(commands::demo::Demo),
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

impl Cli {
    /// What this process was called with; ends it with what is wrong, if something is.
    pub fn of_this_process() -> Self {
        let matches = with_names(Self::command()).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// The same command, whose names and ids are not empty: a variable that was not set must not ask for something else.
fn with_names(command: clap::Command) -> clap::Command {
    let is_name =
        |argument: &clap::Arg| argument.is_positional() && ["name", "id"].contains(&argument.get_id().as_str());
    let command = command.mut_args(|argument| match is_name(&argument) {
        true => argument.value_parser(NonEmptyStringValueParser::new()),
        false => argument,
    });
    command.mut_subcommands(with_names)
}

#[cfg(test)]
mod tests {
    use super::{Cli, with_names};
    use clap::{Command, CommandFactory};
    use std::collections::BTreeSet;

    const PAGE: &str = include_str!("../../../docs/command-line.md");

    /// Every command that can be run, with its parents' names.
    fn leaves(command: &Command, path: &str, found: &mut BTreeSet<String>) {
        for child in command.get_subcommands().filter(|child| !child.is_hide_set()) {
            let path = format!("{path}{}", child.get_name());
            match child.has_subcommands() {
                true => leaves(child, &format!("{path} "), found),
                false => drop(found.insert(path)),
            }
        }
    }

    /// The commands of a row: the first is whole, the others stand beside it: `topic list`, `show`.
    fn row(cell: &str) -> Vec<String> {
        let words = cell.split('`').skip(1).step_by(2).map(|text| {
            let words = text.split_whitespace();
            let is_command = |word: &&str| {
                word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-') && !word.starts_with('-')
            };
            words.take_while(is_command).collect::<Vec<_>>().join(" ")
        });
        let mut commands: Vec<String> = Vec::new();
        for name in words {
            let parent = commands.first().and_then(|first| first.rsplit_once(' '));
            let whole = parent.map_or_else(|| name.clone(), |(parent, _)| format!("{parent} {name}"));
            commands.push(whole);
        }
        commands
    }

    #[test]
    fn the_page_of_the_command_line_has_every_command_and_no_other() {
        let mut real = BTreeSet::new();
        leaves(&Cli::command(), "", &mut real);
        let table = PAGE
            .split("| command | what it does |")
            .nth(1)
            .expect("the table of commands");
        let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        let cells = rows.filter_map(|line| line.split(" | ").next());
        let written: BTreeSet<String> = cells.flat_map(row).collect();
        assert_eq!(real, written, "docs/command-line.md");
    }

    #[test]
    fn every_option_on_the_page_exists() {
        fn options(command: &Command, found: &mut BTreeSet<String>) {
            found.extend(
                command
                    .get_arguments()
                    .filter_map(|argument| argument.get_long())
                    .map(str::to_owned),
            );
            command.get_subcommands().for_each(|child| options(child, found));
        }
        let mut real = BTreeSet::from(["help".to_owned()]);
        options(&Cli::command(), &mut real);
        for piece in PAGE.split("--").skip(1) {
            let name: String = piece
                .chars()
                .take_while(|letter| letter.is_ascii_lowercase() || *letter == '-')
                .collect();
            let name = name.trim_end_matches('-');
            assert!(
                name.is_empty() || real.contains(name),
                "--{name} is on the page and nowhere else"
            );
        }
    }

    #[test]
    fn every_command_and_option_says_what_it_is() {
        fn check(command: &Command) {
            for child in command.get_subcommands() {
                assert!(child.get_about().is_some(), "{}", child.get_name());
                for argument in child.get_arguments().filter(|argument| !argument.is_hide_set()) {
                    assert!(
                        argument.get_help().is_some(),
                        "{} {}",
                        child.get_name(),
                        argument.get_id()
                    );
                }
                check(child);
            }
        }
        Cli::command().debug_assert();
        with_names(Cli::command()).debug_assert();
        check(&Cli::command());
    }

    #[test]
    fn an_empty_name_is_refused_before_anything_is_asked() {
        for command in [
            "topic delete",
            "connection show",
            "subscription pause",
            "event",
            "redrive pause",
            "key delete",
        ] {
            let words = |name| ["trunkline"].into_iter().chain(command.split(' ')).chain([name]);
            let parsed = |name| with_names(Cli::command()).try_get_matches_from(words(name));
            let refused = parsed("").expect_err(command).to_string();
            assert!(refused.contains("a value is required for"), "{command}: {refused}");
            parsed("orders").expect(command);
        }
    }
}
