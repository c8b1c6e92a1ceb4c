//! "Did you mean": the nearest of the words that would have been right.

/// The candidate that is near enough to what was written to be what was meant.
pub(crate) fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(written, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count().max(written.chars().count()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `did you mean "x"?` where something is near, else what there is, else nothing.
pub(crate) fn suggestion(written: &str, candidates: &[&str], none_near: &str) -> Option<String> {
    match nearest(written, candidates.iter().copied()) {
        Some(found) => Some(format!("did you mean `{found}`?")),
        None if candidates.is_empty() => None,
        None => Some(format!("{none_near}: {}", candidates.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_is_suggested() {
        assert_eq!(nearest("tga", ["tag", "name"]), Some("tag"));
        assert_eq!(nearest("replcas", ["ports", "replicas"]), Some("replicas"));
        assert_eq!(nearest("zebra", ["tag", "name"]), None);
        assert_eq!(nearest("tag", []), None);
        assert_eq!(suggestion("zebra", &["tag", "name"], "there are"), Some("there are: tag, name".into()));
    }
}
