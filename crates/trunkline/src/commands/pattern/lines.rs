//! JSON lines in, JSON lines out: one answer at least for every line, at once, whatever stands in it.
//!
//! It knows nothing of what is asked. A line that is too long is answered and skipped; answers are written out whenever the
//! input pauses, so that a program may write one line and wait for its answer.

use std::io::{BufRead, BufReader, Read, Write};

/// A line of the input may take this much: a case with a pattern and an event, both of the size that the bus takes, escaped.
pub const LINE_BYTES_MAX: usize = 64 << 20;
/// Read from the input at a time.
const READ_BYTES: usize = 64 << 10;

/// One line of the input, without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// Its bytes.
    Bytes(&'a [u8]),
    /// It takes more than [`LINE_BYTES_MAX`].
    TooLong,
}

/// Gives each line that is not blank to `answer`, which writes lines of its own.
pub fn answer_lines(
    input: impl Read,
    output: impl Write,
    answer: impl FnMut(Line<'_>, &mut dyn Write) -> std::io::Result<()>,
) -> std::io::Result<()> {
    bounded(input, output, LINE_BYTES_MAX, answer)
}

fn bounded(
    input: impl Read,
    mut output: impl Write,
    bytes_max: usize,
    mut answer: impl FnMut(Line<'_>, &mut dyn Write) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let mut input = BufReader::with_capacity(READ_BYTES, input);
    let mut line = Vec::new();
    while read_line(&mut input, &mut line, bytes_max)? {
        let line = line.trim_ascii();
        if line.len() > bytes_max {
            answer(Line::TooLong, &mut output)?;
        } else if !line.is_empty() {
            answer(Line::Bytes(line), &mut output)?;
        }
        // The next line is not here yet: whoever waits for an answer must have it.
        if !input.buffer().contains(&b'\n') {
            output.flush()?;
        }
    }
    output.flush()
}

/// Reads a line; of one that is too long, just enough to show it. False at the end of the input.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>, bytes_max: usize) -> std::io::Result<bool> {
    line.clear();
    let mut is_there = false;
    loop {
        let buffer = match input.fill_buf() {
            Ok(buffer) => buffer,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if buffer.is_empty() {
            return Ok(is_there);
        }
        is_there = true;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let piece = &buffer[..end.unwrap_or(buffer.len())];
        // One byte over the bound tells that it is crossed; white space at the ends does not count.
        let room = (bytes_max + 1).saturating_sub(line.len());
        let piece = if line.is_empty() {
            piece.trim_ascii_start()
        } else {
            piece
        };
        line.extend_from_slice(&piece[..piece.len().min(room)]);
        let used = end.map_or(buffer.len(), |end| end + 1);
        input.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::RefCell, rc::Rc};

    fn answers(input: &[u8], bytes_max: usize) -> String {
        let mut output = Vec::new();
        bounded(input, &mut output, bytes_max, |line, output| match line {
            Line::Bytes(bytes) => writeln!(output, "{}", String::from_utf8_lossy(bytes)),
            Line::TooLong => writeln!(output, "too long"),
        })
        .expect("memory takes it");
        String::from_utf8(output).expect("text")
    }

    #[test]
    fn every_line_is_answered_and_a_long_one_does_not_end_the_run() {
        assert_eq!(answers(b"a\n\n  b  \r\nc", 10), "a\nb\nc\n");
        assert_eq!(answers(b"12345\n123456\n1", 5), "12345\ntoo long\n1\n");
        let long = [vec![b'x'; 1 << 20], b"\nafter\n".to_vec()].concat();
        assert_eq!(answers(&long, 100), "too long\nafter\n");
        assert_eq!(answers(b"", 5), "");
    }

    /// Gives one line at a time, and notes how much was written out before each.
    struct Turns {
        lines: Vec<&'static [u8]>,
        written: Rc<RefCell<Vec<u8>>>,
        seen: Rc<RefCell<Vec<usize>>>,
    }

    impl Read for Turns {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.seen.borrow_mut().push(self.written.borrow().len());
            if self.lines.is_empty() {
                return Ok(0);
            }
            let line = self.lines.remove(0);
            buffer[..line.len()].copy_from_slice(line);
            Ok(line.len())
        }
    }

    struct Shared(Rc<RefCell<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_program_that_writes_one_line_and_waits_has_its_answer() {
        let (written, seen) = (Rc::default(), Rc::default());
        let input = Turns {
            lines: vec![b"1\n", b"2\n3\n", b"4", b"\n"],
            written: Rc::clone(&written),
            seen: Rc::clone(&seen),
        };
        let output = std::io::BufWriter::new(Shared(Rc::clone(&written)));
        answer_lines(input, output, |_, output| output.write_all(b"!")).expect("memory takes it");
        assert_eq!(*seen.borrow(), [0, 1, 3, 3, 4]);
    }
}
