//! Which ICE session a request means (RFC 9725 §4.3.1).

use std::fmt;

use rand::Rng;

/// Names one ICE session of one session: a strong entity tag (RFC 9110 §8.8.3), another one after each ICE restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityTag(u64);

impl EntityTag {
    pub(super) fn generate() -> Self {
        Self(rand::rng().random())
    }
}

/// As it stands in a header field, in quotation marks.
impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{:016x}\"", self.0)
    }
}

/// What the field `If-Match` of a request says (RFC 9110 §13.1.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum IfMatch {
    /// There is none.
    #[default]
    Missing,
    /// `*`: whatever runs now. RFC 9725 shows it in quotation marks, and both are meant.
    Any,
    /// One of these, as they stand in the field.
    Tags(Vec<String>),
}

impl IfMatch {
    /// Reads the values of all fields of that name.
    pub fn read<'a>(fields: impl IntoIterator<Item = &'a str>) -> Self {
        let mut tags = fields.into_iter().flat_map(|field| field.split(','));
        let tags: Vec<_> = tags.by_ref().map(str::trim).collect();
        match tags.as_slice() {
            [] => Self::Missing,
            ["*" | "\"*\""] => Self::Any,
            tags => Self::Tags(tags.iter().map(|&tag| tag.to_owned()).collect()),
        }
    }

    /// By strong comparison, which a weak tag never passes.
    pub(super) fn matches(&self, tag: EntityTag) -> bool {
        match self {
            Self::Missing => false,
            Self::Any => true,
            Self::Tags(tags) => tags.contains(&tag.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_matches_itself_in_any_list_and_no_weak_one() {
        let tag = EntityTag::generate();
        let text = tag.to_string();
        assert!(text.starts_with('"') && text.ends_with('"'));
        assert!(IfMatch::read([&*text]).matches(tag));
        assert!(IfMatch::read([&*format!("\"a\" , {text}")]).matches(tag));
        assert!(IfMatch::read(["\"a\"", &*text]).matches(tag));
        assert!(!IfMatch::read([&*format!("W/{text}")]).matches(tag));
        assert!(!IfMatch::read([text.trim_matches('"')]).matches(tag));
        assert!(!IfMatch::read([""]).matches(tag));
    }

    #[test]
    fn a_star_means_any_with_and_without_quotation_marks() {
        for star in ["*", "\"*\"", " * "] {
            assert_eq!(IfMatch::read([star]), IfMatch::Any);
        }
        assert_eq!(IfMatch::read([]), IfMatch::Missing);
    }
}
