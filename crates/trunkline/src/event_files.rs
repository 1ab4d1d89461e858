//! Files of events: JSON values in an array or one after the other, usually one a line. Each is the text that stands in the file;
//! what it must say is its reader's business.

use crate::exit::{Code, Failure};
use serde_json::value::RawValue;
use std::{
    cell::Cell,
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    rc::Rc,
};

/// One value of a file.
#[derive(Debug)]
pub struct Item {
    /// As it is written.
    pub text: Box<RawValue>,
    /// Where it is.
    pub place: Place,
}

/// Where in a file a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// How many there are up to it.
    pub number: usize,
    /// The line that it begins on, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "event {} (line {})", self.number, self.line)
    }
}

/// One value after the other, or why the file is wrong.
pub type Items = Box<dyn Iterator<Item = Result<Item, Failure>>>;

/// The values of a file; `-` is standard input.
pub fn read(file: &Path) -> Result<Items, Failure> {
    let shown = file.display().to_string();
    let wrong = move |reason: String| Failure::new(Code::Usage, format!("{shown}: {reason}"));
    let reader: Box<dyn Read> = match file == Path::new("-") {
        true => Box::new(io::stdin()),
        false => Box::new(File::open(file).map_err(|error| wrong(format!("cannot be read: {error}")))?),
    };
    items(BufReader::new(reader), wrong)
}

fn items(mut reader: impl BufRead + 'static, wrong: impl Fn(String) -> Failure + 'static) -> Result<Items, Failure> {
    let (first, lines) = skip_space(&mut reader).map_err(|error| wrong(error.to_string()))?;
    // The lines that were skipped count.
    let reader = io::Cursor::new("\n".repeat(lines)).chain(reader);
    if first == Some(b'[') {
        let items = array(reader).map_err(|error| wrong(error.to_string()))?;
        return Ok(Box::new(items.into_iter().map(Ok)));
    }
    let passed = Rc::new(Passed::default());
    let counted = Counted {
        reader,
        passed: Rc::clone(&passed),
    };
    let texts = serde_json::Deserializer::from_reader(counted).into_iter::<Box<RawValue>>();
    Ok(Box::new(texts.zip(1..).map(move |(text, number)| {
        let text = text.map_err(|error| wrong(error.to_string()))?;
        let line = passed.line() - newlines(text.get().as_bytes());
        let place = Place { number, line };
        Ok(Item { text, place })
    })))
}

/// The values of an array, which is read whole.
fn array(mut reader: impl Read) -> io::Result<Vec<Item>> {
    let mut text = String::new();
    reader.read_to_string(&mut text)?;
    let texts: Vec<&RawValue> = serde_json::from_str(&text)?;
    let (mut at, mut line) = (0, 1);
    let place = |(text_at, number)| {
        line += newlines(&text.as_bytes()[at..text_at]);
        at = text_at;
        Place { number, line }
    };
    let starts = texts.iter().map(|one| one.get().as_ptr().addr() - text.as_ptr().addr());
    let places: Vec<Place> = starts.zip(1..).map(place).collect();
    let items = texts.into_iter().zip(places).map(|(text, place)| Item {
        text: text.to_owned(),
        place,
    });
    Ok(items.collect())
}

/// The first byte that is no white space, left in the reader, and how many lines end before it.
fn skip_space(reader: &mut impl BufRead) -> io::Result<(Option<u8>, usize)> {
    let mut newlines = 0;
    loop {
        let Some(&first) = reader.fill_buf()?.first() else {
            return Ok((None, newlines));
        };
        if !first.is_ascii_whitespace() {
            return Ok((Some(first), newlines));
        }
        newlines += usize::from(first == b'\n');
        reader.consume(1);
    }
}

fn newlines(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte == b'\n').count()
}

/// How far a file is read.
#[derive(Default)]
struct Passed {
    newlines: Cell<usize>,
    last: Cell<u8>,
}

impl Passed {
    /// The line of what was read last. A number is known to be over by what follows it, which is no part of it.
    fn line(&self) -> usize {
        1 + self.newlines.get() - usize::from(self.last.get() == b'\n')
    }
}

/// Counts what is read.
struct Counted<R> {
    reader: R,
    passed: Rc<Passed>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        let read = &buffer[..count];
        self.passed.newlines.set(self.passed.newlines.get() + newlines(read));
        self.passed.last.set(read.last().copied().unwrap_or_default());
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of a text with their lines.
    fn check(text: &'static str, expected: &[(&str, usize)]) {
        let items = items(text.as_bytes(), |reason| Failure::new(Code::Usage, reason)).expect("it begins");
        let items: Vec<Item> = items.collect::<Result<_, _>>().expect("it is JSON");
        let read: Vec<_> = items.iter().map(|item| (item.text.get(), item.place.line)).collect();
        assert_eq!(read, expected, "{text:?}");
        let numbers: Vec<_> = items.iter().map(|item| item.place.number).collect();
        assert!(numbers.into_iter().eq(1..=items.len()), "{text:?}");
    }

    #[test]
    fn a_value_is_its_text_and_has_the_line_that_it_begins_on() {
        check(
            "{\"a\":1.10}\n{\"a\":1e400,\"a\":2}",
            &[("{\"a\":1.10}", 1), ("{\"a\":1e400,\"a\":2}", 2)],
        );
        check(
            "\n\n{}\r\n\n{\n\"a\":\n1}{}\n",
            &[("{}", 3), ("{\n\"a\":\n1}", 5), ("{}", 7)],
        );
        check("5\n6 7\n", &[("5", 1), ("6", 2), ("7", 2)]);
        check(
            "\n[{},\n{\"a\":\n1}\n,{}]\n",
            &[("{}", 2), ("{\"a\":\n1}", 3), ("{}", 5)],
        );
        check("", &[]);
        check(" []", &[]);
    }

    #[test]
    fn what_is_no_json_is_refused_where_it_begins() {
        for text in ["{}\n{bad\n", "[{},", "[{}] junk", "[1e]"] {
            let items = items(text.as_bytes(), |reason| Failure::new(Code::Usage, reason));
            assert!(
                items.is_err() || items.is_ok_and(|mut items| items.any(|item| item.is_err())),
                "{text}"
            );
        }
        assert!(items(&b"[\"\xff\"]"[..], |reason| Failure::new(Code::Usage, reason)).is_err());
    }
}
