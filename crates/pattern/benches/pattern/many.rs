//! Many filters.

pub fn run() {}
