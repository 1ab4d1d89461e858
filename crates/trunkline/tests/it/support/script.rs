//! A program around a client library that tells, and is told, line by line. It is ended with its value.

use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Lines, Write},
    process::{Child, ChildStdout, Command, Stdio},
};

/// A running one.
pub struct Script {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
}

impl Script {
    /// Starts it.
    pub fn start(program: &str, arguments: &[&str]) -> Script {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the interpreter starts");
        let output = BufReader::new(child.stdout.take().expect("piped")).lines();
        Script { child, output }
    }

    /// The next line that it prints.
    pub fn line(&mut self) -> String {
        let line = self.output.next().expect("the script said what went wrong");
        line.expect("text")
    }

    /// The same, a document.
    pub fn told(&mut self) -> Value {
        serde_json::from_str(&self.line()).expect("JSON")
    }

    /// Gives it a line.
    pub fn tell(&mut self, line: &str) {
        let input = self.child.stdin.as_mut().expect("piped");
        writeln!(input, "{line}").expect("it listens");
    }

    /// Waits until it ends well; its last line.
    pub fn ended(mut self) -> Option<String> {
        drop(self.child.stdin.take());
        let last = self.output.by_ref().map_while(Result::ok).last();
        assert!(self.child.wait().expect("it ends").success());
        last
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
