//! What is saved of positions: one tail position per partition for every lane with nothing unsettled behind it, and a row
//! for every lane that has trouble there. Pure: how everybody stands in, operations and what is then saved out.

use crate::inbox::Standing;
use store::{LaneRow, Operation, Partition, SubscriptionId};

/// How a lane reads a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// From the live tail.
    Following,
    /// By catch-up scans.
    Behind,
    /// By a catch-up scan that is under way.
    Scanning,
}

/// A lane's place in a partition, as the router knows it.
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    /// How it reads.
    pub mode: Mode,
    /// Where it reads on; a following one wants nothing below it, and is otherwise where the tail is.
    pub read: u64,
    /// The highest it has ever read to.
    pub frontier: u64,
    /// No re-read goes below.
    pub floor: u64,
    /// What the store says.
    pub saved: Saved,
    /// Marks below this are gone from the store.
    pub cleared: u64,
    /// The record that was last found to be wanted and had no room.
    pub wanted: Option<u64>,
}

/// What the store says of a lane in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// The tail position speaks for it (with a row only for its floor, or none).
    Follows,
    /// A row of its own.
    Own(u64),
    /// Somebody else wrote there: it is written anew.
    Unknown,
}

impl Cursor {
    /// A place that reads from `read` on, saved like that.
    pub fn new(mode: Mode, read: u64, floor: u64, saved: Saved) -> Self {
        Self {
            mode,
            read,
            frontier: read,
            floor,
            saved,
            cleared: 0,
            wanted: None,
        }
    }

    /// Whether the record where it reads on is known to be wanted: then there is nothing to look for until there is room.
    pub fn is_wanted(&self) -> bool {
        self.wanted == Some(self.read)
    }

    /// Joins the tail if it has read that far and no earlier version speaks any more; else it is behind.
    pub fn settle(&mut self, tail: u64, boundary: u64) {
        let reached = self.reached(tail);
        self.mode = if reached >= tail.max(boundary) {
            Mode::Following
        } else {
            self.read = reached;
            Mode::Behind
        };
    }

    /// Where it has read to, with the tail at `tail`.
    pub fn reached(&self, tail: u64) -> u64 {
        match self.mode {
            Mode::Following => self.read.max(tail),
            Mode::Behind | Mode::Scanning => self.read,
        }
    }

    /// Everything below is settled or marked: the lane was given everything below its frontier, so it knows what is not.
    pub fn position(&self, tail: u64, standing: Standing) -> u64 {
        let frontier = self.frontier(tail);
        standing.oldest.map_or(frontier, |(offset, _)| offset.min(frontier))
    }

    /// The highest it has ever read to, with the tail at `tail`.
    pub fn frontier(&self, tail: u64) -> u64 {
        self.frontier.max(self.reached(tail))
    }

    fn desired(&self, tail: u64, standing: Standing) -> Saved {
        match self.position(tail, standing) {
            position if self.mode == Mode::Following && position >= tail && self.read <= tail => Saved::Follows,
            position => Saved::Own(position),
        }
    }
}

/// A lane's part of a save: what to write, and what to remember once it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneSave {
    /// Whose.
    pub subscription: SubscriptionId,
    /// Where.
    pub partition: Partition,
    /// What the store says then.
    pub saved: Saved,
    /// Marks below this are gone then, if any had to go.
    pub cleared: Option<u64>,
}

/// Plans a lane's part of a save that moves the tail position to `tail`; `None`: nothing changes for it.
pub fn plan_lane(
    subscription: SubscriptionId,
    partition: Partition,
    cursor: &Cursor,
    tail: u64,
    standing: Standing,
    operations: &mut Vec<Operation>,
) -> Option<LaneSave> {
    let saved = cursor.desired(tail, standing);
    let position = match saved {
        Saved::Follows | Saved::Unknown => tail,
        Saved::Own(position) => position,
    };
    if saved != cursor.saved {
        let follows_tail = saved == Saved::Follows;
        let floor = cursor.floor;
        operations.push(Operation::SaveLane(LaneRow {
            subscription,
            partition,
            position,
            floor,
            follows_tail,
        }));
    }
    let cleared = (standing.has_marks && cursor.cleared < position).then_some(position);
    if let Some(below) = cleared {
        operations.push(Operation::ClearMarks {
            subscription,
            partition,
            replay: 0,
            below,
        });
    }
    let changes = saved != cursor.saved || cleared.is_some();
    changes.then_some(LaneSave {
        subscription,
        partition,
        saved,
        cleared,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTITION: Partition = Partition { topic: 1, index: 0 };

    fn standing(oldest: Option<u64>) -> Standing {
        Standing {
            oldest: oldest.map(|offset| (offset, 0)),
            has_marks: false,
        }
    }

    fn check(mode: Mode, read: u64, oldest: Option<u64>, before: Saved, expected: Option<Saved>) {
        let cursor = Cursor::new(mode, read, 0, before);
        let mut operations = Vec::new();
        let save = plan_lane(1, PARTITION, &cursor, 100, standing(oldest), &mut operations);
        assert_eq!(save.map(|save| save.saved), expected);
        assert_eq!(operations.len(), usize::from(expected.is_some()));
    }

    #[test]
    fn a_lane_with_nothing_unsettled_costs_no_row() {
        check(Mode::Following, 0, None, Saved::Follows, None);
        check(Mode::Following, 0, Some(100), Saved::Follows, None);
    }

    #[test]
    fn a_lane_with_something_unsettled_below_the_tail_gets_a_row_and_loses_it_again() {
        check(Mode::Following, 0, Some(40), Saved::Follows, Some(Saved::Own(40)));
        check(Mode::Following, 0, Some(40), Saved::Own(40), None);
        check(Mode::Following, 0, None, Saved::Own(40), Some(Saved::Follows));
    }

    #[test]
    fn a_lane_that_is_behind_has_a_row_where_it_reads() {
        check(Mode::Behind, 30, None, Saved::Follows, Some(Saved::Own(30)));
        check(Mode::Behind, 30, Some(20), Saved::Own(20), None);
        check(Mode::Following, 120, None, Saved::Own(90), Some(Saved::Own(120)));
    }

    #[test]
    fn what_somebody_else_wrote_is_written_anew() {
        check(Mode::Following, 0, None, Saved::Unknown, Some(Saved::Follows));
        check(Mode::Behind, 30, None, Saved::Unknown, Some(Saved::Own(30)));
    }

    #[test]
    fn a_lane_joins_the_tail_when_it_has_read_everything_below_it_and_below_its_boundary() {
        let settled = |mode, read, tail, boundary| {
            let mut cursor = Cursor::new(mode, read, 0, Saved::Follows);
            cursor.settle(tail, boundary);
            (cursor.mode, cursor.reached(tail))
        };
        assert_eq!(settled(Mode::Behind, 5, 5, 0), (Mode::Following, 5));
        assert_eq!(settled(Mode::Behind, 4, 5, 0), (Mode::Behind, 4));
        assert_eq!(settled(Mode::Behind, 5, 5, 6), (Mode::Behind, 5));
        assert_eq!(settled(Mode::Following, 0, 5, 0), (Mode::Following, 5));
        assert_eq!(settled(Mode::Following, 0, 5, 6), (Mode::Behind, 5));
    }

    #[test]
    fn marks_go_when_the_saved_position_has_passed_them() {
        let cursor = Cursor::new(Mode::Following, 0, 0, Saved::Follows);
        let mut operations = Vec::new();
        let marked = Standing {
            has_marks: true,
            ..standing(None)
        };
        let save = plan_lane(1, PARTITION, &cursor, 100, marked, &mut operations);
        assert_eq!(save.and_then(|save| save.cleared), Some(100));
        assert!(matches!(operations[..], [Operation::ClearMarks { below: 100, .. }]));
    }
}
