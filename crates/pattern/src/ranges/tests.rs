//! Ranges against the obvious comparison, and their ends to the last bit.

use super::*;
use crate::operator::Bound;

fn bounds(low: Option<(f64, bool)>, high: Option<(f64, bool)>) -> Bounds {
    let bound = |(value, inclusive)| Bound { value, inclusive };
    Bounds {
        low: low.map(bound),
        high: high.map(bound),
    }
}

fn code(filter: usize) -> Code {
    Code::new(u32::try_from(filter).unwrap(), true)
}

fn hits(ranges: &Ranges, number: f64) -> Vec<usize> {
    let mut hits = Vec::new();
    ranges.stab(number, None, &mut |code| hits.push(code.filter()));
    hits.sort_unstable();
    hits
}

#[test]
fn a_number_finds_the_ranges_it_lies_in_and_no_others() {
    let all: Vec<Bounds> = (0..600u32)
        .map(|index| {
            let low = f64::from(index * 7 % 300) - 150.0;
            let width = f64::from(index % 13 * (index % 17));
            let low_is_in = index % 2 == 0 || width == 0.0;
            match index % 50 {
                0 => bounds(None, Some((low, index % 3 == 0))),
                1 => bounds(Some((low, low_is_in)), None),
                _ => bounds(
                    Some((low, low_is_in)),
                    Some((low + width, index % 3 == 0 || width == 0.0)),
                ),
            }
        })
        .collect();
    let range = |number: usize| Range::new(&all[number], code(number));
    let mut ranges = Ranges::default();
    (0..all.len()).for_each(|code| ranges.insert(range(code)));
    let whole = ranges.clone();
    (0..all.len())
        .step_by(3)
        .for_each(|code| assert!(ranges.remove(range(code))));
    assert!(!ranges.remove(range(0)));
    for step in -700..700 {
        let number = f64::from(step) / 4.0;
        let expected = |kept: &dyn Fn(usize) -> bool| -> Vec<usize> {
            let inside = (0..all.len()).filter(|code| kept(*code) && all[*code].contain(number));
            inside.collect()
        };
        assert_eq!(hits(&whole, number), expected(&|_| true), "{number}");
        assert_eq!(hits(&ranges, number), expected(&|code| code % 3 != 0), "{number}");
        let mut together = Vec::new();
        whole.stab_any(&[number], &mut |code| together.push(code.filter()));
        together.sort_unstable();
        assert_eq!(together, expected(&|_| true), "{number}");
    }
    for code in 0..all.len() {
        ranges.remove(range(code));
    }
    assert!(ranges.is_empty());
}

#[test]
fn ends_are_exact_to_the_last_bit() {
    let mut ranges = Ranges::default();
    ranges.insert(Range::new(&bounds(Some((0.1, false)), Some((0.3, false))), code(1)));
    ranges.insert(Range::new(&bounds(Some((-0.0, true)), Some((5e-324, false))), code(2)));
    assert_eq!(hits(&ranges, 0.1), [0; 0]);
    assert_eq!(hits(&ranges, 0.1f64.next_up()), [1]);
    assert_eq!(hits(&ranges, 0.3f64.next_down()), [1]);
    assert_eq!(hits(&ranges, 0.3), [0; 0]);
    assert_eq!(hits(&ranges, 0.0), [2]);
    assert_eq!(ranges.width(), Some(0.3f64.next_down()));
    assert_eq!(hits(&ranges, -0.0), [2]);
}

#[test]
fn many_ranges_lie_below_several_branches_and_a_leaf_that_is_fetched_is_the_right_one() {
    let all: Vec<Bounds> = (0..9_000u32)
        .map(|index| {
            let low = f64::from(index) * 3.0;
            bounds(Some((low, true)), Some((low + f64::from(index % 50), true)))
        })
        .collect();
    let range = |number: usize| Range::new(&all[number], code(number));
    let mut ranges = Ranges::default();
    // In an order that splits nodes anywhere.
    let shuffled = (0..all.len()).map(|step| step * 4_001 % all.len());
    shuffled.for_each(|number| ranges.insert(range(number)));
    let mut rest = ranges.clone();
    (0..all.len()).filter(|number| number % 7 != 0).for_each(|number| {
        assert!(rest.remove(range(number)));
    });
    let mut found = 0;
    for step in 0..300 {
        let number = f64::from(step) * 91.5;
        let inside: Vec<usize> = (0..all.len()).filter(|code| all[*code].contain(number)).collect();
        assert_eq!(hits(&ranges, number), inside, "{number}");
        let left: Vec<usize> = inside.iter().copied().filter(|code| code % 7 == 0).collect();
        assert_eq!(hits(&rest, number), left, "{number}");
        let (leaf, is_far) = ranges.fetch(number).expect("there are ranges");
        assert!(is_far, "there are several branches");
        let mut told = Vec::new();
        ranges.stab(number, Some(leaf), &mut |code| told.push(code.filter()));
        told.sort_unstable();
        assert_eq!(told, inside, "{number}");
        let peeked = std::cell::RefCell::new(Vec::new());
        ranges.peek(leaf, number, &|code| peeked.borrow_mut().push(code.filter()));
        let peeked = peeked.into_inner();
        assert!(peeked.iter().all(|code| inside.contains(code)), "{number}");
        found += usize::from(!peeked.is_empty());
    }
    assert!(found > 250, "{found}");
}
