//! Names that are similar to a misspelt one.

/// The maximum number of similar names that are kept. More of them help nobody.
const MAX_SIMILAR: usize = 3;

/// Collects the names that are most similar to a wanted one, from any number of names.
#[derive(Debug)]
pub struct SimilarNames {
    wanted: String,
    /// The most similar ones first, each with the number of letters that differ.
    found: Vec<(usize, String)>,
}

impl SimilarNames {
    /// Begins the search for names like this one. Upper and lower case count as the same.
    pub fn to(wanted: &str) -> Self {
        Self {
            wanted: wanted.to_lowercase(),
            found: Vec::new(),
        }
    }

    /// Keeps the name if it is one of the most similar and at most a third of its letters differ.
    pub fn offer(&mut self, name: &str) {
        let furthest = match self.found.get(MAX_SIMILAR - 1) {
            Some((distance, _)) => *distance,
            None => usize::MAX,
        };
        let tolerated = name.chars().count().div_ceil(3);
        let difference = name.len().abs_diff(self.wanted.len());
        // A letter has at most four bytes.
        if difference > 4 * tolerated.min(furthest) {
            return;
        }
        let distance = strsim::osa_distance(&self.wanted, &name.to_lowercase());
        if distance > tolerated || distance >= furthest {
            return;
        }
        let place = self.found.partition_point(|(found, _)| *found <= distance);
        self.found.insert(place, (distance, name.to_owned()));
        self.found.truncate(MAX_SIMILAR);
    }

    /// Returns the names that were kept, the most similar ones first.
    pub fn into_names(self) -> Vec<String> {
        self.found.into_iter().map(|(_, name)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn similar(wanted: &str, names: &[&str]) -> Vec<String> {
        let mut similar = SimilarNames::to(wanted);
        for name in names {
            similar.offer(name);
        }
        similar.into_names()
    }

    #[test]
    fn most_similar_names_come_first_and_others_are_left_out() {
        let names = ["support", "lobby-2", "Lobby", "lobby-3", "hobby", "lob"];
        assert_eq!(similar("loby", &names), ["Lobby", "lob", "hobby"]);
        assert_eq!(similar("xyz", &names), Vec::<String>::new());
        assert_eq!(similar("", &names), Vec::<String>::new());
    }

    #[test]
    fn letters_of_several_bytes_count_once() {
        assert_eq!(similar("会議室", &["会議堂", "倉庫"]), ["会議堂"]);
    }
}
