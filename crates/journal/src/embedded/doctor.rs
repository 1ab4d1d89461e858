//! Looking at a data directory offline: every file is read, every checksum verified, and what is found is explained. It
//! changes nothing; repairing is `repair`'s.

use super::{
    checkpoint::{Checkpoint, CheckpointPartition},
    disk::{Disk, Outcome},
    format::{self, FORMAT_VERSION, Layout},
    index::SparseIndex,
    replay,
    run::{Run, RunError},
    segment::{self, FRONT_LEN, Front, Walk, WalkError},
    write_ahead::{self, Found},
};
use crate::{Error, Offset, PartitionId, batch::BatchHeader};
use std::{collections::BTreeMap, path::Path};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is lost: it is rebuilt, or was never acknowledged.
    Harmless,
    /// A range of records cannot be read; all else is served.
    Damage,
    /// The journal does not start.
    Fatal,
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// The file.
    pub file: String,
    /// Byte position in it.
    pub position: u64,
    /// What it is and what follows from it.
    pub what: String,
}

/// What an examination saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What is wrong, worst first.
    pub findings: Vec<Finding>,
    /// Partitions that hold records.
    pub partitions: u64,
    /// Segments that were read.
    pub segments: u64,
    /// Good batches in them.
    pub batches: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Frames that are not checkpointed yet.
    pub frames: u64,
    /// The newest sequence; 0 when there is none.
    pub sequence: u64,
    /// The offset after the last record of each partition that has any.
    pub ends: BTreeMap<PartitionId, Offset>,
}

impl Report {
    /// Whether nothing is wrong beyond the harmless.
    pub fn is_healthy(&self) -> bool {
        self.findings
            .iter()
            .all(|finding| finding.severity == Severity::Harmless)
    }

    fn add(&mut self, severity: Severity, file: &Path, position: u64, what: impl Into<String>) {
        self.findings.push(Finding {
            severity,
            file: file.display().to_string(),
            position,
            what: what.into(),
        });
    }
}

/// Examines the data directory of a server that is stopped.
pub fn examine(directory: &Path) -> Result<Report, Error> {
    examine_on(&Disk::Real, directory)
}

/// The same on any disk.
pub fn examine_on(disk: &Disk, directory: &Path) -> Result<Report, Error> {
    let layout = Layout::new(directory);
    let mut report = Report::default();
    examine_format(disk, &layout, &mut report)?;
    let checkpoint = examine_checkpoint(disk, &layout, &mut report)?;
    let found = write_ahead::find(disk, &layout)?;
    examine_frames(&found, checkpoint.as_ref(), &mut report)?;
    match &checkpoint {
        Some(checkpoint) => {
            for partition in &checkpoint.partitions {
                examine_partition(disk, &layout, partition, &mut report)?;
            }
            for number in &checkpoint.runs {
                examine_run(disk, &layout, *number, &mut report)?;
            }
        }
        None => examine_unlisted(disk, &layout, &mut report)?,
    }
    report
        .findings
        .sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Ok(report)
}

fn examine_format(disk: &Disk, layout: &Layout, report: &mut Report) -> Outcome<()> {
    let path = layout.format();
    match disk.read(&path) {
        Ok(bytes) => match format::decode_format(&bytes) {
            Some(FORMAT_VERSION) => {}
            Some(found) => report.add(
                Severity::Fatal,
                &path,
                8,
                format!("format {found} is not known to this program"),
            ),
            None => report.add(
                Severity::Fatal,
                &path,
                0,
                "its checksum does not hold; it says only the format's version",
            ),
        },
        Err(failure) if failure.is_not_found() => {
            report.add(
                Severity::Harmless,
                &path,
                0,
                "it is missing and is written anew at the next start",
            );
        }
        Err(failure) => return Err(failure),
    }
    Ok(())
}

fn examine_checkpoint(disk: &Disk, layout: &Layout, report: &mut Report) -> Outcome<Option<Checkpoint>> {
    let path = layout.checkpoint();
    let bytes = match disk.read(&path) {
        Err(failure) if failure.is_not_found() => {
            report.add(
                Severity::Harmless,
                &path,
                0,
                "it is missing: the next start walks every segment",
            );
            return Ok(None);
        }
        read => read?,
    };
    let checkpoint = Checkpoint::decode(&bytes);
    if checkpoint.is_none() {
        report.add(
            Severity::Harmless,
            &path,
            0,
            "its checksum does not hold: the next start walks every segment",
        );
    }
    Ok(checkpoint)
}

fn examine_frames(found: &Found, checkpoint: Option<&Checkpoint>, report: &mut Report) -> Result<(), Error> {
    let sequence = match checkpoint {
        Some(checkpoint) => Some(checkpoint.sequence),
        None => replay::begin_without_checkpoint(found)?,
    };
    let needed_from = checkpoint.map_or(0, |checkpoint| checkpoint.needed_from);
    let (mut frames, mut ends) = (0, BTreeMap::new());
    for partition in checkpoint.into_iter().flat_map(|checkpoint| &checkpoint.partitions) {
        ends.insert(partition.id, partition.next);
    }
    let newest = replay::frames(found, sequence, needed_from, |frame| {
        frames += 1;
        for batch in &frame.batches {
            if let Ok(header) = BatchHeader::verify(&frame.bytes.slice(batch.bytes.clone())) {
                let end: &mut Offset = ends.entry(batch.partition).or_default();
                *end = header.next_offset().max(*end);
            }
        }
        Ok(())
    });
    report.frames = frames;
    report.ends = ends;
    match newest {
        Ok(newest) => report.sequence = newest,
        Err(Error::Corrupt { file, position, reason }) => {
            report.add(Severity::Fatal, Path::new(&file), position, reason);
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

fn examine_partition(
    disk: &Disk,
    layout: &Layout,
    partition: &CheckpointPartition,
    report: &mut Report,
) -> Outcome<()> {
    report.partitions += 1;
    for segment in &partition.segments {
        let range = (segment.base, segment.next);
        examine_segment(disk, layout, partition.id, range, Some(segment.bytes), report)?;
        if segment.sealed {
            examine_index(disk, layout, partition.id, segment.base, report)?;
        }
    }
    Ok(())
}

fn examine_segment(
    disk: &Disk,
    layout: &Layout,
    id: PartitionId,
    (base, next): (Offset, Offset),
    listed: Option<u64>,
    report: &mut Report,
) -> Outcome<()> {
    let path = layout.segment(id, base);
    let file = match disk.open_to_read(&path) {
        Err(failure) if failure.is_not_found() => {
            report.add(
                Severity::Damage,
                &path,
                0,
                format!("it is missing: offsets {base} to {next} are lost"),
            );
            return Ok(());
        }
        opened => opened?,
    };
    report.segments += 1;
    let mut front = [0; FRONT_LEN as usize];
    let filled = file.read_at(&mut front, 0)?;
    match segment::front(&front[..filled], id, base) {
        Front::Ours => {}
        Front::Foreign => report.add(
            Severity::Damage,
            &path,
            0,
            "it is another segment's file: nothing of it is served",
        ),
        Front::Damaged => report.add(
            Severity::Damage,
            &path,
            0,
            "its header is damaged; its batches are served, for each proves itself",
        ),
    }
    let end = match listed {
        Some(end) => end,
        None => file.size()?,
    };
    let mut walk = Walk::from_front(&file, base, end);
    loop {
        match walk.next() {
            Ok(Some(entry)) => {
                if listed.is_none() {
                    let end = report.ends.entry(id).or_default();
                    *end = entry.header.next_offset().max(*end);
                }
                report.batches += 1;
                report.bytes += entry.batch.bytes.len() as u64;
            }
            Ok(None) => return Ok(()),
            Err(WalkError::Damaged { position, reason }) => {
                let severity = if listed.is_some() {
                    Severity::Damage
                } else {
                    Severity::Harmless
                };
                report.add(
                    severity,
                    &path,
                    position,
                    format!("{reason}; what follows it is served as far as it is good"),
                );
                walk.resume()?;
            }
            Err(WalkError::Failed(failure)) => return Err(failure),
        }
    }
}

fn examine_index(disk: &Disk, layout: &Layout, id: PartitionId, base: Offset, report: &mut Report) -> Outcome<()> {
    let path = layout.index(id, base);
    let good = match disk.read(&path) {
        Ok(bytes) => SparseIndex::decode(&bytes, id, base).is_some(),
        Err(failure) if failure.is_not_found() => false,
        Err(failure) => return Err(failure),
    };
    if !good {
        report.add(
            Severity::Harmless,
            &path,
            0,
            "it is missing or damaged and is written anew when it is needed",
        );
    }
    Ok(())
}

fn examine_run(disk: &Disk, layout: &Layout, number: u64, report: &mut Report) -> Outcome<()> {
    let read = Run::open(disk, layout, number).and_then(|run| run.verify(disk));
    match read {
        Ok(()) => Ok(()),
        Err(RunError::Damaged) => {
            let what = "it is missing or damaged and is written anew from the segments";
            report.add(Severity::Harmless, &layout.run(number), 0, what);
            Ok(())
        }
        Err(RunError::Failed(failure)) => Err(failure),
    }
}

/// Without a checkpoint: every segment there is.
fn examine_unlisted(disk: &Disk, layout: &Layout, report: &mut Report) -> Outcome<()> {
    for topic in disk
        .list(&layout.topics())?
        .iter()
        .filter_map(|name| format::parse_topic(name))
    {
        for index in disk
            .list(&layout.topic(topic))?
            .iter()
            .filter_map(|name| name.parse().ok())
        {
            let id = PartitionId { topic, index };
            report.partitions += 1;
            for name in disk.list(&layout.partition(id))? {
                if let Some(base) = format::parse_numbered(&name, "segment") {
                    examine_segment(disk, layout, id, (base, base), None, report)?;
                }
            }
        }
    }
    Ok(())
}
