//! X-Ray's trace header and W3C's `traceparent`: the same ids, written differently. What is not well formed is no trace, and no
//! error either.

/// `traceparent` of `Root=1-{8}-{24};Parent={16};Sampled={0,1}` in any order; `None` unless it has both ids.
pub(super) fn parent_of(header: &str) -> Option<String> {
    let (mut root, mut parent, mut flags) = (None, None, "00");
    for part in header.split(';') {
        match part.trim().split_once('=')? {
            ("Root", id) => root = Some(id),
            ("Parent", id) => parent = Some(id),
            ("Sampled", "1") => flags = "01",
            _ => {}
        }
    }
    let (time, unique) = root?.strip_prefix("1-")?.split_once('-')?;
    let parent = parent?;
    let ids = is_id(time, 8, true) && is_id(unique, 24, true) && is_id(parent, 16, false);
    ids.then(|| format!("00-{time}{unique}-{parent}-{flags}"))
}

/// The trace header of a `traceparent`.
pub(super) fn header_of(parent: &str) -> Option<String> {
    let mut parts = parent.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if version != "00" || parts.next().is_some() || !is_id(trace, 32, false) || !is_id(span, 16, false) {
        return None;
    }
    let sampled = u8::from_str_radix(flags, 16).ok()? & 1;
    Some(format!(
        "Root=1-{}-{};Parent={span};Sampled={sampled}",
        &trace[..8],
        &trace[8..]
    ))
}

/// So many lower-case hex digits; all zero only where that is allowed.
fn is_id(text: &str, length: usize, may_be_zero: bool) -> bool {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == length && text.bytes().all(hex) && (may_be_zero || text.bytes().any(|byte| byte != b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_have_the_same_ids() {
        let header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
        let parent = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01";
        assert_eq!(parent_of(header).as_deref(), Some(parent));
        assert_eq!(header_of(parent).as_deref(), Some(header));
        let unsampled = "Parent=53995c3f42cd8ad8; Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0;Lineage=a:0";
        assert_eq!(parent_of(unsampled).as_deref(), Some(&*parent.replace("-01", "-00")));
    }

    #[test]
    fn what_is_not_well_formed_is_no_trace() {
        for header in [
            "",
            "Root=1-5759e988-bd862e3fe1be46a994272793",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=0000000000000000",
            "Root=1-5759E988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8",
            "Root=2-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8",
            "Root;Parent",
            "é",
        ] {
            assert_eq!(parent_of(header), None, "{header}");
        }
        for parent in [
            "",
            "00-1-2-01",
            "ff-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01",
            "é-é-é-é",
        ] {
            assert_eq!(header_of(parent), None, "{parent}");
        }
    }
}
