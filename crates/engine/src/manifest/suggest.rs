//! "Did you mean": the known word that was probably meant.

/// Longer words are not compared: the cost grows with the product of the lengths, and nobody mistypes a paragraph.
const LONGEST: usize = 64;

/// The candidate nearest to a word; none where none is near.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let wanted = word.to_lowercase();
    let allowed = (wanted.chars().count() / 3).clamp(1, 3);
    let distance = |candidate: &'a str| {
        let near = candidate.len().abs_diff(wanted.len()) <= allowed;
        let distance = if near { strsim::damerau_levenshtein(&wanted, &candidate.to_lowercase()) } else { usize::MAX };
        (distance <= allowed).then_some((distance, candidate))
    };
    let mut best: Option<(usize, &'a str)> = None;
    for found in candidates.into_iter().filter_map(distance) {
        if best.is_none_or(|(distance, _)| found.0 < distance) {
            best = Some(found);
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// A sentence with the nearest candidate, or with all of them where they are few; none where neither helps.
pub fn help<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone, what: &str) -> Option<String> {
    if let Some(found) = closest(word, candidates.clone()) {
        return Some(format!("did you mean `{found}`?"));
    }
    let all: Vec<&str> = candidates.into_iter().take(13).collect();
    (!all.is_empty() && all.len() <= 12).then(|| format!("{what}: {}", all.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let platforms = ["local", "docker", "swarm", "kubernetes", "aws-ecs"];
        assert_eq!(closest("kuberntes", platforms), Some("kubernetes"));
        assert_eq!(closest("Docker", platforms), Some("docker"));
        assert_eq!(closest("swram", platforms), Some("swarm"));
        assert_eq!(closest("heroku", platforms), None);
        assert_eq!(closest(&"x".repeat(100_000), platforms), None);
    }

    #[test]
    fn without_a_near_word_a_short_list_helps() {
        assert_eq!(help("zebra", ["env", "file"], "known keys").as_deref(), Some("known keys: env, file"));
        assert_eq!(help("zebra", [], "known keys"), None);
    }
}
