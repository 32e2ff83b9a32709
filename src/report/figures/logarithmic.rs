//! Marks of a logarithmic axis.

/// Values between two powers of ten, given as exponents: powers of ten, or finer steps where there are few; with
/// their labels.
pub(super) fn ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let by_decade = |steps: &[f64]| -> Vec<f64> {
        let decades = low.floor() as i32..=high.ceil() as i32;
        let all = decades.flat_map(|decade| steps.iter().map(move |step| step * 10f64.powi(decade)));
        all.filter(|value| (low..=high).contains(&value.log10())).collect()
    };
    let scales: [&[f64]; 5] = [
        &[1.0],
        &[1.0, 2.0, 5.0],
        &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0],
        &[1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
        &[
            1.0, 1.1, 1.2, 1.3, 1.4, 1.6, 1.8, 2.0, 2.2, 2.5, 2.8, 3.2, 3.6, 4.0, 4.5, 5.0, 5.5, 6.0, 6.5,
            7.0, 7.5, 8.0, 8.5, 9.0, 9.5,
        ],
    ];
    let found = scales.iter().map(|steps| by_decade(steps)).find(|ticks| ticks.len() >= 3);
    let ticks = found.unwrap_or_else(|| by_decade(scales[4]));
    ticks.into_iter().map(|value| (value, tick_label(value))).collect()
}

fn tick_label(value: f64) -> String {
    let (prefix, factor) = crate::report::numbers::prefix(value);
    let text = format!("{:.4}", value / factor);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if prefix.is_empty() { text.to_string() } else { format!("{text} {prefix}") }
}
