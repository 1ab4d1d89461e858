//! The binary: configuration, command line, wiring. Start reading in `wiring.rs`.

mod answer;
mod check;
mod cli;
mod client;
mod commands;
mod config;
mod diagnostics;
mod directory;
mod doctor;
mod doubled;
mod event_files;
mod exit;
#[cfg(feature = "otlp")]
mod otlp;
mod output;
mod panics;
mod parts;
mod progress;
mod reload;
mod resource_files;
mod running;
mod serve;
mod wiring;

use cli::{Cli, Command};
use client::Client;
use commands::resource::Kind;
use exit::{Code, Failure};
use output::Output;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::of_this_process();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::new(Code::Failed, format!("start the runtime: {error}")).report(),
    };
    match output::ended(runtime.block_on(run(cli))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

async fn run(cli: Cli) -> Result<(), Failure> {
    let output = Output::new(cli.server.output);
    let client = || Client::new(&cli.server);
    match cli.command {
        Command::Serve(arguments) => serve::run(arguments).await,
        Command::Publish(arguments) => arguments.run(&client()?, output).await,
        Command::Listen(arguments) => arguments.run(output).await,
        Command::Apply(arguments) => arguments.run(&client()?, output).await,
        Command::Export(arguments) => arguments.run(&client()?, output).await,
        Command::Event(arguments) => arguments.run(&client()?, output).await,
        Command::Tail(arguments) => arguments.run(&client()?, output).await,
        Command::DeadLetter(arguments) => arguments.run(&client()?, output).await,
        Command::Topic(arguments) => arguments.run(Kind::Topic, &client()?, output).await,
        Command::Type(arguments) => arguments.run(Kind::Type, &client()?, output).await,
        Command::Connection(arguments) => arguments.run(&client()?, output).await,
        Command::Bus(arguments) => arguments.run(Kind::Bus, &client()?, output).await,
        Command::Replay(arguments) => arguments.run(&client()?, output).await,
        Command::Redrive(arguments) => arguments.run(&client()?, output).await,
        Command::Subscription(arguments) => arguments.run(&client()?, output).await,
        Command::Pattern(arguments) => arguments.run(client, output).await,
        Command::Cesql(arguments) => arguments.run(),
        Command::Key(arguments) => arguments.run(client, output).await,
        Command::MasterKey(arguments) => arguments.run(client, output).await,
        Command::Audit(arguments) => arguments.run(&client()?, output).await,
        Command::Clock(arguments) => arguments.run(&client()?, output).await,
        Command::Config(arguments) => arguments.run(client, output).await,
        Command::Backup(arguments) => arguments.run(client, output).await,
        Command::Restore(arguments) => arguments.run(output).await,
        Command::Doctor(arguments) => arguments.run(output).await,
        Command::Completions(arguments) => arguments.run(),
        Command::Demo(arguments) => arguments.run(output).await,
        Command::Bench(arguments) => arguments.run(&client()?, output).await,
    }
}
