//! Files as they lie in a backup: written with their checksum, synced, read again and compared. What they are is not known
//! here.

use crate::{Error, Identities, Name, Part, Progress, Recipients, cipher, error::Named, manifest::hex};
use ring::digest::{Context, SHA256};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Only the user who makes a backup reads it: it holds payloads.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;
/// What is read and written at once: enough for a disk, little enough to stop soon.
const CHUNK: usize = 1 << 20;

/// Where a backup's files lie.
pub(crate) fn data_of(root: &Path, backup: &Name) -> PathBuf {
    root.join(backup.as_str()).join("data")
}

/// Where a part of a file lies.
pub(crate) fn path_of(data: &Path, path: &str, is_encrypted: bool) -> PathBuf {
    match is_encrypted {
        true => data.join(format!("{path}{}", cipher::EXTENSION)),
        false => data.join(path),
    }
}

/// Makes a directory and what is missing above it.
pub(crate) fn make_directory(path: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path);
    made.named("make directory", path)
}

/// A new file that nobody else reads.
pub(crate) fn create_file(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(FILE_MODE).open(path);
    opened.named("create", path)
}

/// Makes names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> Result<(), Error> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .named("sync directory", path)
}

/// Replaces a small file as a whole.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).named("remove", &beside),
        _ => {}
    }
    let mut file = create_file(&beside)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .named("write", &beside)?;
    fs::rename(&beside, path).named("rename", &beside)?;
    sync_directory(path.parent().unwrap_or(Path::new(".")))
}

/// Counts and sums what goes through to the file.
struct Summing<W> {
    inner: W,
    sum: Context,
    bytes: u64,
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sum.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Writes a part of a file: everything that `content` yields, encrypted if there are recipients. Synced.
pub(crate) fn write(
    (data, path): (&Path, &str),
    backup: &Name,
    recipients: &Recipients,
    content: &mut dyn Read,
    progress: &Progress,
) -> Result<Part, Error> {
    let target = path_of(data, path, !recipients.is_empty());
    make_directory(target.parent().unwrap_or(data))?;
    let out = Summing {
        inner: create_file(&target)?,
        sum: Context::new(&SHA256),
        bytes: 0,
    };
    let mut pour = |out: &mut dyn Write| pour(content, out, progress, &target);
    let (out, bytes) = match recipients.is_empty() {
        true => {
            let mut out = out;
            let bytes = pour(&mut out)?;
            (out, bytes)
        }
        false => {
            // The cipher writes 64 KiB at a time.
            let out = io::BufWriter::with_capacity(CHUNK, out);
            let (out, bytes) = cipher::encrypt(recipients, out, pour, &target)?;
            let out = out.into_inner().map_err(io::IntoInnerError::into_error);
            (out.named("write", &target)?, bytes)
        }
    };
    out.inner.sync_all().named("sync", &target)?;
    Ok(Part {
        backup: backup.clone(),
        bytes,
        stored: out.bytes,
        sha256: hex(out.sum.finish().as_ref()),
    })
}

fn pour(from: &mut dyn Read, to: &mut dyn Write, progress: &Progress, path: &Path) -> Result<u64, Error> {
    let mut buffer = vec![0; CHUNK];
    let mut bytes = 0;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.named("copy to", path)?,
        };
        to.write_all(&buffer[..read]).named("write", path)?;
        bytes += read as u64;
        progress.add(read as u64)?;
    }
}

/// Sums what is read.
struct Summed<R> {
    inner: R,
    sum: Context,
    bytes: u64,
}

impl<R: Read> Read for &mut Summed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.sum.update(&buffer[..read]);
        self.bytes += read as u64;
        Ok(read)
    }
}

/// How a part is to be read.
#[derive(Clone, Copy)]
pub(crate) enum Open<'a> {
    /// As it lies there: its checksum is compared, and nothing is decrypted.
    AsStored,
    /// Its content; it is not encrypted.
    Plain,
    /// Its content.
    Encrypted(&'a Identities),
}

/// Reads a part and gives its content to `out`. Only when this has returned without an error is the content what was backed
/// up.
pub(crate) fn read(
    file: &Path,
    part: &Part,
    open: Open<'_>,
    out: &mut dyn Write,
    progress: &Progress,
) -> Result<(), Error> {
    let opened = match File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::damaged(file, "is missing")),
        opened => opened.named("open", file)?,
    };
    let length = opened.metadata().named("look at", file)?.len();
    if length != part.stored {
        let reason = format!("has {length} bytes where {} were written", part.stored);
        return Err(Error::damaged(file, reason));
    }
    let mut summed = Summed {
        inner: opened,
        sum: Context::new(&SHA256),
        bytes: 0,
    };
    let expected = match open {
        Open::AsStored => part.stored,
        _ => part.bytes,
    };
    let poured = match open {
        Open::AsStored | Open::Plain => pour(&mut &mut summed, out, progress, file),
        Open::Encrypted(identities) => {
            let buffered = io::BufReader::with_capacity(CHUNK, &mut summed);
            cipher::decrypt(identities, buffered, file).and_then(|mut content| pour(&mut content, out, progress, file))
        }
    };
    // Whatever the cipher says of it: the first thing to know is whether the bytes are those that were written.
    let stopped = matches!(poured, Err(Error::Stopped | Error::NeedsIdentity | Error::Key(_)));
    if !stopped {
        drained(&mut summed, file)?;
        if hex(summed.sum.finish().as_ref()) != part.sha256 {
            return Err(Error::damaged(file, "is not as it was written: its SHA-256 differs"));
        }
    }
    match poured? {
        bytes if bytes == expected => Ok(()),
        bytes => Err(Error::damaged(
            file,
            format!("yields {bytes} bytes where {expected} were backed up"),
        )),
    }
}

/// Reads on to the end, for the sum.
fn drained<R: Read>(summed: &mut Summed<R>, file: &Path) -> Result<(), Error> {
    let mut rest = summed;
    io::copy(&mut rest, &mut io::sink()).named("read", file).map(drop)
}
