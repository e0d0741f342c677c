//! The word that somebody who mistyped most likely meant.

/// The candidate nearest to `word`, if one is near enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= tolerance(word, candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A third of the letters may be wrong; a single slip is always forgiven.
fn tolerance(word: &str, candidate: &str) -> usize {
    let length = word.chars().count().max(candidate.chars().count());
    (length / 3).max(1)
}

/// How many letters must be inserted, removed, replaced or swapped with their neighbour to make
/// one word into the other (optimal string alignment).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row_before_above: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=other.len()).collect();
    let mut previous = None;
    for (row, letter) in one.chars().enumerate() {
        let mut current = vec![row + 1];
        for (column, wanted) in other.iter().enumerate() {
            let replaced = above[column] + usize::from(letter != *wanted);
            let mut least = replaced.min(above[column + 1] + 1).min(current[column] + 1);
            let swapped = column > 0 && previous == Some(*wanted) && other[column - 1] == letter;
            if swapped {
                least = least.min(row_before_above[column - 1] + 1);
            }
            current.push(least);
        }
        row_before_above = std::mem::replace(&mut above, current);
        previous = Some(letter);
    }
    above[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted() {
        for (one, other, slips) in [
            ("names", "names", 0),
            ("", "ab", 2),
            ("nmaes", "names", 1),
            ("name", "names", 1),
            ("kay", "key", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(one, other), slips, "{one} {other}");
            assert_eq!(distance(other, one), slips, "{other} {one}");
        }
    }

    #[test]
    fn only_a_near_word_is_proposed() {
        let words = ["names", "issuers", "key"];
        assert_eq!(nearest("nmaes", words), Some("names"));
        assert_eq!(nearest("isuer", words), Some("issuers"));
        assert_eq!(nearest("issuer", words), Some("issuers"));
        assert_eq!(nearest("solver", words), None);
    }
}
