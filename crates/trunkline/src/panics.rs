//! What a panic of the server says: on which thread, where, and its message if that is a text of this program. A message that was put
//! together as it panicked may hold what it was put together from, a payload or a secret, and is not said: the place names the line.

use crate::output::say;
use std::{
    backtrace::{Backtrace, BacktraceStatus},
    panic::{self, PanicHookInfo},
    thread,
};

/// Instead of a message that was put together.
const WITHHELD: &str = "its message is withheld: it may hold data";

/// Has panics reported so, in diagnostics, instead of as they come.
pub fn report() {
    panic::set_hook(Box::new(|panicked| {
        let thread = thread::current();
        let place = panicked.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(
            thread = thread.name().unwrap_or_default(),
            place,
            message = message(panicked),
            "panicked"
        );
        // Names of functions, if somebody asked for them (RUST_BACKTRACE).
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            say!("{backtrace}");
        }
    }));
}

fn message(panicked: &PanicHookInfo<'_>) -> &'static str {
    panicked
        .payload()
        .downcast_ref::<&'static str>()
        .copied()
        .unwrap_or(WITHHELD)
}

#[cfg(test)]
mod tests {
    use crate::config::{Log, LogFormat};
    use std::{env, process::Command, thread};

    /// Where the child finds what it must not say.
    const CANARY: &str = "TRUNKLINE_TEST_CANARY";

    /// Panics as parts of a server may: in a task, on a thread of its own, with a text of the program and with one that was put together.
    #[test]
    #[ignore = "the other test runs it, in a process of its own"]
    fn it_panics() {
        let log = Log {
            level: "trace".to_owned(),
            format: LogFormat::Text,
        };
        crate::diagnostics::start(&log).expect("nobody else has started them in this process");
        let secret = env::var(CANARY).expect("the other test gives one");
        let runtime = tokio::runtime::Builder::new_multi_thread().build().expect("a runtime");
        let of_a_task = secret.clone();
        let joined = runtime.block_on(runtime.spawn(async move { open(of_a_task).expect("a secret opens") }));
        assert!(joined.is_err());
        let of_a_thread = thread::Builder::new().name("worker".to_owned());
        let joined = of_a_thread
            .spawn(move || panic!("the key {secret} has no form"))
            .expect("a thread")
            .join();
        assert!(joined.is_err());
        panic!("an invariant of this program");
    }

    /// Fails as careless code does, with what it was given.
    fn open(secret: String) -> Result<(), String> {
        if secret.is_empty() { Ok(()) } else { Err(secret) }
    }

    #[test]
    fn check_62_a_panic_says_where_and_no_word_of_what_it_was_put_together_from() {
        let canary = "canaryInTheMessageOfAPanic14";
        let output = Command::new(env::current_exe().expect("this test"))
            .args(["--exact", "panics::tests::it_panics", "--ignored", "--nocapture"])
            .env(CANARY, canary)
            .env("RUST_BACKTRACE", "1")
            .output()
            .expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(!output.status.success());
        assert_eq!(said.matches("panicked").count(), 3, "{said}");
        let places = said.split("place=\"").skip(1);
        let named = places.filter(|rest| rest.starts_with("crates/trunkline/src/panics.rs:"));
        assert_eq!(named.count(), 3, "each names its line: {said}");
        assert_eq!(said.matches(super::WITHHELD).count(), 2, "{said}");
        assert!(
            said.contains("worker") && said.contains("an invariant of this program"),
            "{said}"
        );
        assert!(!said.contains(canary), "{said}");
    }
}
