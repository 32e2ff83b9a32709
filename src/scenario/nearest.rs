//! "Did you mean": the known word nearest to what was written.

/// Known words are listed in full up to this many.
const SHORT_LIST: usize = 8;
/// Similarity (Jaro-Winkler, 0 to 1) from which a word is suggested.
const SIMILAR: f64 = 0.78;

/// `; did you mean 'x'?`, or the known words, or both: the end of an "unknown …" message.
pub fn suggestion<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let lower = wrong.to_lowercase();
    let best = known
        .iter()
        .map(|word| (strsim::jaro_winkler(&lower, &word.to_lowercase()), *word))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let listed = || known.join(", ");
    match best {
        Some((_, word)) if known.len() <= SHORT_LIST && known.len() > 1 => {
            format!("; did you mean '{word}'? (known: {})", listed())
        }
        Some((_, word)) => format!("; did you mean '{word}'?"),
        None if known.is_empty() => "; none is known here".into(),
        None => format!("; known: {}", listed()),
    }
}
