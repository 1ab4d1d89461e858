//! Letting go of write-ahead frames that cannot be replayed, so that a journal opens again that refuses to. What is let go is
//! set aside, not removed. Whoever calls this has asked a person before: acknowledged records are lost by it.

use super::{
    checkpoint::Checkpoint,
    disk::Disk,
    format::{FORMAT_VERSION, Layout, encode_format},
    replay::{self, FrameReader},
    write_ahead::{self, Found},
};
use crate::Error;
use std::{
    fs, io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// What a cut did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// The last frame that is kept; what was acknowledged after it is lost.
    pub sequence: u64,
    /// Good frames behind the broken one, which are let go with it.
    pub frames: u64,
    /// Files that were changed or taken away; their content from before lies aside.
    pub files: Vec<PathBuf>,
}

/// Keeps the frames up to the first that is broken or missing, and puts the files with everything behind it aside.
///
/// # Errors
/// What the system says; what was put aside so far is there.
pub fn cut_frames(directory: &Path, aside: &Path) -> Result<Cut, Error> {
    let (disk, layout) = (Disk::Real, Layout::new(directory));
    let found = write_ahead::find(&disk, &layout)?;
    let checkpoint = match disk.read(&layout.checkpoint()) {
        Ok(bytes) => Checkpoint::decode(&bytes),
        Err(failure) if failure.is_not_found() => None,
        Err(failure) => return Err(failure.into()),
    };
    let plan = plan(&found, checkpoint.as_ref())?;
    make(aside)?;
    let mut cut = Cut {
        sequence: plan.sequence,
        frames: plan.lost,
        files: Vec::new(),
    };
    for path in plan.whole {
        let place = aside.join(path.file_name().unwrap_or_default());
        fs::rename(&path, &place).map_err(|error| io_error("move aside", &path, &error))?;
        cut.files.push(path);
    }
    if let Some((path, from)) = plan.from {
        let place = aside.join(path.file_name().unwrap_or_default());
        fs::copy(&path, &place).map_err(|error| io_error("copy aside", &path, &error))?;
        zero(&path, from).map_err(|error| io_error("cut", &path, &error))?;
        cut.files.push(path);
    }
    disk.sync_directory(&layout.write_ahead())?;
    Ok(cut)
}

/// Writes the format file anew, of which nothing but the version can be lost.
///
/// # Errors
/// What the system says.
pub fn rewrite_format(directory: &Path) -> Result<(), Error> {
    let layout = Layout::new(directory);
    Ok(Disk::Real.replace(&layout.format(), &encode_format(FORMAT_VERSION))?)
}

/// What is to go.
#[derive(Default)]
struct Plan {
    sequence: u64,
    lost: u64,
    whole: Vec<PathBuf>,
    from: Option<(PathBuf, u64)>,
}

fn plan(found: &Found, checkpoint: Option<&Checkpoint>) -> Result<Plan, Error> {
    let begin = match checkpoint {
        Some(checkpoint) => Some(checkpoint.sequence),
        None => replay::begin_without_checkpoint(found)?,
    };
    let needed_from = checkpoint.map_or(0, |checkpoint| checkpoint.needed_from);
    let mut plan = Plan {
        sequence: begin.unwrap_or(0),
        ..Plan::default()
    };
    let mut expected = begin.map(|sequence| sequence + 1);
    let mut is_broken = false;
    let needed = found
        .epochs
        .iter()
        .filter(|(_, header)| header.epoch.number >= needed_from);
    for (file, header) in needed {
        let mut reader = FrameReader::new(file, header.epoch)?;
        let mut kept = reader.position;
        let was_broken = is_broken;
        while reader.position < reader.len {
            let Some(frame) = reader.frame()? else {
                reader.position += super::format::PAGE;
                continue;
            };
            let sequence = frame.header.sequence;
            let next = *expected.get_or_insert(sequence);
            is_broken |= sequence > next;
            reader.position += frame.header.frame_len();
            match is_broken {
                true => plan.lost += 1,
                false => {
                    plan.sequence = plan.sequence.max(sequence);
                    expected = Some(next.max(sequence + 1));
                    kept = reader.position;
                }
            }
        }
        match (was_broken, is_broken) {
            (true, _) => plan.whole.push(file.path().to_owned()),
            (false, true) => plan.from = Some((file.path().to_owned(), kept)),
            (false, false) => {}
        }
    }
    // Their first page is lost: what is in them cannot be told from an earlier use.
    plan.whole
        .extend(found.headerless.iter().map(|file| file.path().to_owned()));
    Ok(plan)
}

fn zero(path: &Path, from: u64) -> io::Result<()> {
    const CHUNK: usize = 1 << 20;
    let file = fs::OpenOptions::new().write(true).open(path)?;
    let length = file.metadata()?.len();
    let zeros = vec![0; CHUNK];
    let mut at = from;
    while at < length {
        let count = usize::try_from(length - at).unwrap_or(CHUNK).min(CHUNK);
        file.write_all_at(&zeros[..count], at)?;
        at += count as u64;
    }
    file.sync_all()
}

fn make(aside: &Path) -> Result<(), Error> {
    Ok(Disk::Real.create_directory(aside)?)
}

fn io_error(action: &str, path: &Path, error: &io::Error) -> Error {
    Error::Io {
        action: format!("{action} {}", path.display()),
        reason: error.to_string(),
    }
}
