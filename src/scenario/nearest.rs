//! "Did you mean": the known word nearest to what was written.

/// Known words are listed in full up to this many.
const SHORT_LIST: usize = 8;
/// Similarity (Jaro-Winkler, 0 to 1) from which a word is suggested.
const SIMILAR: f64 = 0.78;

/// `; did you mean 'x'?`, or the known words, or both: the end of an "unknown …" message.
pub fn suggestion<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let lower = wrong.to_lowercase();
    // Similarity decides what is near, edits which is nearest: of equally many, a swapped letter before a lost one.
    let edits = |word: &str| {
        let word = word.to_lowercase();
        (strsim::damerau_levenshtein(&lower, &word), lower.len().abs_diff(word.len()))
    };
    let best = known
        .iter()
        .filter(|word| strsim::jaro_winkler(&lower, &word.to_lowercase()) >= SIMILAR)
        .min_by_key(|word| edits(word));
    let listed = || known.join(", ");
    match best {
        Some(word) if known.len() <= SHORT_LIST && known.len() > 1 => {
            format!("; did you mean '{word}'? (known: {})", listed())
        }
        Some(word) => format!("; did you mean '{word}'?"),
        None if known.is_empty() => "; none is known here".into(),
        None => format!("; known: {}", listed()),
    }
}
