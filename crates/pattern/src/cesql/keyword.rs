//! The words that are no names, in any case.

/// A word that is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyword {
    And,
    Or,
    Xor,
    Not,
    Like,
    Exists,
    In,
    True,
    False,
}

impl Keyword {
    pub(super) const ALL: [(&'static str, Keyword); 9] = [
        ("AND", Keyword::And),
        ("OR", Keyword::Or),
        ("XOR", Keyword::Xor),
        ("NOT", Keyword::Not),
        ("LIKE", Keyword::Like),
        ("EXISTS", Keyword::Exists),
        ("IN", Keyword::In),
        ("TRUE", Keyword::True),
        ("FALSE", Keyword::False),
    ];

    /// The keyword that a word is.
    pub(super) fn of(word: &str) -> Option<Self> {
        let known = Self::ALL.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
        known.map(|(_, keyword)| *keyword)
    }
}
