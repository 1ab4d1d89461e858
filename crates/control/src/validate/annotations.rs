//! Annotations: names that can stand in a table, texts of a bounded size.

use crate::{limits, parse::token, refusal::Refusal, resources::Annotations};

/// At most so many names, and so many bytes together: they go with every change of their resource.
pub(super) fn check(annotations: &Annotations) -> Result<(), Refusal> {
    const AT: &str = "/annotations";
    super::count(AT, "annotations", annotations.len(), 0..=limits::ANNOTATIONS_MAX)?;
    for name in annotations.keys() {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
        if !(1..=limits::ANNOTATION_NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(legal) {
            let detail = "the name of an annotation is 1 to 256 of A-Z, a-z, 0-9, '.', '_', '-', '/'";
            return Err(Refusal::invalid(format!("{AT}{}", token(name)), detail));
        }
    }
    let bytes: usize = annotations.iter().map(|(name, text)| name.len() + text.len()).sum();
    match bytes <= limits::ANNOTATIONS_BYTES_MAX {
        true => Ok(()),
        false => Err(Refusal::limit(format!(
            "the annotations have {bytes} bytes; a resource has at most {}",
            limits::ANNOTATIONS_BYTES_MAX
        ))),
    }
}
