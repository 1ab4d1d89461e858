//! Counts what matching does, for the tests of costs, which count steps because times say nothing on a busy machine. In any other
//! build it is nothing.

#[cfg(test)]
thread_local! {
    static STEPS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// So many bytes, values or filters were looked at.
#[inline(always)]
pub(crate) fn take(_count: usize) {
    #[cfg(test)]
    STEPS.set(STEPS.get() + _count);
}

/// How many steps this thread takes to do something.
#[cfg(test)]
pub(crate) fn of(act: impl FnOnce()) -> usize {
    let before = STEPS.get();
    act();
    STEPS.get() - before
}
