//! Types of secrets have no `==`, so that nobody compares them by accident in a way whose time tells how much of a guess is right.
//! This does not compile once one of them gets it: there would be two ways to read each line.

use super::{KeySecret, Token};

/// Is there for every type, and a second time for one with `==`.
trait Uncompared<Which> {
    fn holds() {}
}

/// The first way.
struct Always;
/// The second.
struct WithEquality;

impl<T> Uncompared<Always> for T {}
impl<T: PartialEq> Uncompared<WithEquality> for T {}

const _: fn() = <Token as Uncompared<_>>::holds;
const _: fn() = <KeySecret as Uncompared<_>>::holds;
