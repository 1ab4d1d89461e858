//! `trunkline dead-letter export` and `import`: JSON lines out of an installation and into another, in pieces both ways.

use super::Selection;
use crate::{
    client::{Client, segment},
    exit::{Code, Failure},
    output::{Output, say},
};
use control::counted;
use http::Method;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, IsTerminal, Write},
    path::{Path, PathBuf},
    time::Duration,
};

/// How long nothing may come while a server reads its next dead letters.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Lines of one request, far below what a server takes.
const LINES_MAX: usize = 200;
/// Bytes of one request; one line more may cross it.
const BYTES_MAX: usize = 4 << 20;

/// Print dead letters, a JSON object a line.
#[derive(Debug, clap::Args)]
pub struct Export {
    #[command(flatten)]
    pub selection: Selection,
    /// Into this file, which must not exist; absent: to standard output.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Take exported dead letters in, all of the file or, if a line is damaged, none.
#[derive(Debug, clap::Args)]
pub struct Import {
    /// What `export` has written.
    pub file: PathBuf,
    /// Into this subscription, whatever the lines say.
    #[arg(long, value_name = "NAME")]
    pub subscription: Option<String>,
    /// Only look whether all of it could be taken.
    #[arg(long)]
    pub dry_run: bool,
}

impl Export {
    /// Runs it.
    pub async fn run(self, client: &Client, output: Output, collection: &str) -> Result<(), Failure> {
        if !self.selection.ids.is_empty() {
            let message = "an export is narrowed by --subscription, --reason, --type, --from and --to, not by ids";
            return Err(Failure::new(Code::Usage, message.to_owned()));
        }
        let mut path = format!("{collection}:export");
        let mut separator = '?';
        for (name, value) in self.selection.narrowing() {
            if let Some(value) = value {
                path.push_str(&format!("{separator}{name}={}", segment(value)));
                separator = '&';
            }
        }
        match &self.out {
            None => write(client, &path, std::io::stdout().lock()).await.map(drop),
            Some(file) => {
                let made = File::create_new(file).map_err(|error| unwritable(file, &error))?;
                let written = write(client, &path, made).await;
                if written.is_err() {
                    // What was cut off helps nobody; an import would refuse it.
                    let _ = std::fs::remove_file(file);
                }
                let written = written?;
                say!("{} in {}", counted(written, "dead letter"), file.display());
                if output.is_json() {
                    output.line(&json!({"exported": written, "file": file}).to_string());
                }
                Ok(())
            }
        }
    }
}

fn unwritable(file: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Code::Failed, format!("cannot write {}: {error}", file.display()))
}

/// Gives how many there were.
async fn write(client: &Client, path: &str, into: impl Write) -> Result<u64, Failure> {
    let lost = |error: String| Failure::new(Code::Failed, format!("the export broke off: {error}"));
    let mut head = client.open(path, None).await?;
    let (mut into, spinner) = (BufWriter::new(into), spinner());
    let (mut lines, mut last) = (0, Vec::new());
    while let Some(bytes) = head.next(SILENCE_MAX).await.map_err(|error| lost(error.to_string()))? {
        into.write_all(&bytes).map_err(|error| lost(error.to_string()))?;
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            last.extend_from_slice(part);
            if part.ends_with(b"\n") {
                lines += 1;
                if last.starts_with(b"{\"end\":") {
                    into.flush().map_err(|error| lost(error.to_string()))?;
                    spinner.finish_and_clear();
                    return Ok(lines - 1);
                }
                last.clear();
            }
        }
        spinner.set_position(lines);
    }
    Err(lost("its end is missing".to_owned()))
}

fn spinner() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {pos} dead letters, {elapsed}");
    ProgressBar::new_spinner().with_style(style.expect("the template is correct"))
}

impl Import {
    /// Looks at the whole file first, then has it taken in part by part: what a part has brought is not brought again.
    pub async fn run(self, client: &Client, output: Output, collection: &str) -> Result<(), Failure> {
        self.check_end()?;
        let mut query = String::new();
        if let Some(name) = &self.subscription {
            query = format!("&subscription={}", segment(name));
        }
        let path = format!("{collection}:import");
        let mut done = self.pass(client, &path, &query, true).await?;
        if !self.dry_run {
            done = self.pass(client, &path, &query, false).await?;
        }
        let (imported, present) = done;
        let would = if self.dry_run { "would be imported" } else { "imported" };
        let done = format!("{} {would}, {present} already there", counted(imported, "dead letter"));
        if !self.dry_run {
            output.did(&done);
        }
        match output.is_json() {
            true => output.line(&json!({"imported": imported, "present": present}).to_string()),
            false => output.line(&done),
        }
        Ok(())
    }

    /// What was cut off is not taken.
    fn check_end(&self) -> Result<(), Failure> {
        let (mut lines, mut end) = (0_u64, None);
        for line in self.lines()? {
            let (_, line) = line?;
            if end.is_some() {
                end = None;
                break;
            }
            match serde_json::from_slice::<Value>(&line)
                .ok()
                .and_then(|value| value["end"].as_u64())
            {
                Some(count) => end = Some(count),
                None => lines += 1,
            }
        }
        if end == Some(lines) {
            return Ok(());
        }
        let message = format!(
            "{} has {} and no end that says so: it was cut off, or changed",
            self.file.display(),
            counted(lines, "dead letter")
        );
        Err(Failure::new(Code::Usage, message).hint("export again; nothing was imported"))
    }

    /// Lines that are not empty, with their numbers.
    fn lines(&self) -> Result<impl Iterator<Item = Result<(u64, Vec<u8>), Failure>> + use<>, Failure> {
        let name = self.file.display().to_string();
        let unreadable = move |error: std::io::Error| Failure::new(Code::Usage, format!("cannot read {name}: {error}"));
        let file = File::open(&self.file).map_err(&unreadable)?;
        let lines = (1..).zip(BufReader::new(file).split(b'\n'));
        let read = lines.map(move |(number, line)| Ok((number, line.map_err(&unreadable)?)));
        Ok(read.filter(|line| line.as_ref().map_or(true, |(_, line)| !line.trim_ascii().is_empty())))
    }

    async fn pass(&self, client: &Client, path: &str, query: &str, is_dry: bool) -> Result<(u64, u64), Failure> {
        let bar = self.bar(if is_dry { "checking" } else { "importing" });
        let (mut imported, mut present) = (0, 0);
        let mut part = Part::default();
        let mut lines = self.lines()?;
        loop {
            let line = lines.next().transpose()?;
            let is_end = line.is_none();
            if let Some((number, line)) = line {
                bar.inc(line.len() as u64 + 1);
                part.add(number, &line);
            }
            if part.is_full() || (is_end && part.lines > 0) {
                let path = format!("{path}?first_line={}&dry_run={is_dry}{query}", part.first);
                let body = std::mem::take(&mut part).body;
                let answer = client
                    .send(Method::POST, &path, Some(("application/x-ndjson", body)))
                    .await?;
                imported += answer["imported"].as_u64().unwrap_or_default();
                present += answer["present"].as_u64().unwrap_or_default();
            }
            if is_end {
                bar.finish_and_clear();
                return Ok((imported, present));
            }
        }
    }

    fn bar(&self, doing: &'static str) -> ProgressBar {
        let length = std::fs::metadata(&self.file).map_or(0, |file| file.len());
        if !std::io::stderr().is_terminal() {
            say!("{doing} {}", self.file.display());
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template("{msg:>10} {wide_bar} {bytes}/{total_bytes} {eta}");
        let bar = ProgressBar::new(length).with_style(style.expect("the template is correct"));
        bar.set_message(doing);
        bar
    }
}

/// Lines of one request.
#[derive(Default)]
struct Part {
    first: u64,
    /// The number of the line that would come next.
    next: u64,
    lines: usize,
    body: Vec<u8>,
}

impl Part {
    /// Lines that were left out between two are there, empty, so that the server counts as the file does.
    fn add(&mut self, number: u64, line: &[u8]) {
        if self.lines == 0 {
            (self.first, self.next) = (number, number);
        }
        let left_out = usize::try_from(number - self.next).unwrap_or(0);
        self.body.extend(std::iter::repeat_n(b'\n', left_out));
        self.next = number + 1;
        self.body.extend_from_slice(line);
        self.body.push(b'\n');
        self.lines += 1;
    }

    fn is_full(&self) -> bool {
        self.lines >= LINES_MAX || self.body.len() >= BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_numbers_over_empty_ones() {
        let mut part = Part::default();
        for (number, line) in [(3, "a"), (4, "b"), (7, "c")] {
            part.add(number, line.as_bytes());
        }
        assert_eq!((part.first, part.body.as_slice()), (3, &b"a\nb\n\n\nc\n"[..]));
    }
}
