//! A count and what it counts, as people read it. Only what may be one needs it: a limit that is a thousand has its plural written out.

/// `1 dead letter`, `0 dead letters`, `2 entries`, `3 batches`. The noun is given in the singular.
pub fn counted(count: u64, noun: &str) -> String {
    if count == 1 {
        return format!("1 {noun}");
    }
    let stem = noun
        .strip_suffix('y')
        .filter(|stem| !stem.ends_with(['a', 'e', 'i', 'o', 'u']));
    match stem {
        Some(stem) => format!("{count} {stem}ies"),
        None if noun.ends_with("ch") || noun.ends_with('s') => format!("{count} {noun}es"),
        None => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn one_is_singular_and_everything_else_plural() {
        for (count, noun, said) in [
            (1, "dead letter", "1 dead letter"),
            (0, "dead letter", "0 dead letters"),
            (2, "entry", "2 entries"),
            (1, "entry", "1 entry"),
            (3, "batch", "3 batches"),
            (2, "day", "2 days"),
        ] {
            assert_eq!(counted(count, noun), said);
        }
    }
}
