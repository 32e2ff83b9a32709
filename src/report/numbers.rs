//! Numbers as people read them: three significant digits, SI prefixes, durations, times of day.

/// The prefix that keeps `reference` readable, with its factor.
pub(crate) fn prefix(reference: f64) -> (&'static str, f64) {
    let size = reference.abs();
    for (name, factor) in [("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)] {
        // 999.5 would print as 1000 with three digits: step up before that.
        if size >= 0.9995 * factor {
            return (name, factor);
        }
    }
    ("", 1.0)
}

/// Fixed notation with `digits` significant digits, at most `digits` decimals beyond the first.
pub(crate) fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".to_string();
    }
    if !value.is_finite() {
        return "–".to_string();
    }
    let magnitude = value.abs().log10().floor() as i32;
    let decimals = (digits as i32 - 1 - magnitude).clamp(0, 6) as usize;
    let text = format!("{value:.decimals$}");
    // Rounding may have carried into a new digit (9.996 → 10.00): one decimal less then.
    let carried = text.trim_start_matches('-').bytes().filter(u8::is_ascii_digit).count();
    let leading_zeros = text.trim_start_matches('-').bytes().take_while(|b| matches!(b, b'0' | b'.')).count();
    if decimals > 0 && leading_zeros == 0 && carried > digits {
        let decimals = decimals - 1;
        return format!("{value:.decimals$}");
    }
    text
}

/// `12.4 k`, `812`, `1.02 M`: three significant digits and a prefix, for a rate named elsewhere.
pub(crate) fn short(value: f64) -> String {
    let (name, factor) = prefix(value);
    let number = significant(value / factor, 3);
    if name.is_empty() { number } else { format!("{number} {name}") }
}

/// `812 kW`: three significant digits, prefix and unit.
pub(crate) fn quantity(value: f64, unit: &str) -> String {
    let (name, factor) = prefix(value);
    format!("{} {name}{unit}", significant(value / factor, 3))
}

/// A short time: `21.0 ms`, `1.90 s`, `340 µs`.
pub(crate) fn short_time(seconds: f64) -> String {
    let size = seconds.abs();
    if size == 0.0 || size >= 0.9995 {
        format!("{} s", significant(seconds, 3))
    } else if size >= 0.9995e-3 {
        format!("{} ms", significant(seconds * 1e3, 3))
    } else {
        format!("{} µs", significant(seconds * 1e6, 3))
    }
}

/// A span of simulated time: `7 d`, `1 h 30 min`, `90 s`.
pub(crate) fn span(seconds: f64) -> String {
    let whole = seconds.round();
    if (seconds - whole).abs() > 1e-6 {
        return format!("{} s", significant(seconds, 3));
    }
    if whole < 120.0 {
        return format!("{whole} s");
    }
    if whole > 1e15 {
        return quantity(seconds, "s");
    }
    let whole = whole as u64;
    let parts =
        [(whole / 86_400, "d"), (whole % 86_400 / 3600, "h"), (whole % 3600 / 60, "min"), (whole % 60, "s")];
    let written: Vec<String> = parts.iter().filter(|p| p.0 > 0).map(|p| format!("{} {}", p.0, p.1)).collect();
    written.join(" ")
}

/// `62 %`; never `0 %` or `100 %` of what is only nearly so.
pub(crate) fn percent(share: f64) -> String {
    let p = share * 100.0;
    if p > 0.0 && p < 0.5 {
        "<1 %".to_string()
    } else if (99.5..100.0).contains(&p) {
        ">99 %".to_string()
    } else {
        format!("{p:.0} %")
    }
}

/// A count with thin grouping: `120,034`.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// Local time of day, `hh:mm`, of the instant `time_s` [s] of a run that starts at `start_h` [h].
pub(crate) fn time_of_day(start_h: f64, time_s: f64) -> String {
    let minutes = (start_h * 60.0 + time_s / 60.0).round().rem_euclid(1440.0) as u32;
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// Seconds as an exact decimal from integer femtoseconds, without trailing zeros.
pub(crate) fn exact_seconds(femtoseconds: i128) -> String {
    const FS_PER_S: u128 = 1_000_000_000_000_000;
    let size = femtoseconds.unsigned_abs();
    let sign = if femtoseconds < 0 { "-" } else { "" };
    let fraction = format!("{:015}", size % FS_PER_S);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{fraction}", size / FS_PER_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_and_a_prefix() {
        let cases = [
            (0.0, "0"),
            (0.123_45, "0.123"),
            (9.996, "10.0"),
            (812.4, "812"),
            (999.6, "1.00 k"),
            (12_449.0, "12.4 k"),
            (1_019_999.0, "1.02 M"),
        ];
        for (value, text) in cases {
            assert_eq!(short(value), text);
        }
        assert_eq!(quantity(2_500.0, "W"), "2.50 kW");
        assert_eq!(short_time(0.021), "21.0 ms");
        assert_eq!(short_time(0.000_34), "340 µs");
    }

    #[test]
    fn spans_and_clocks() {
        assert_eq!(span(604_800.0), "7 d");
        assert_eq!(span(5400.0), "1 h 30 min");
        assert_eq!(span(60.0), "60 s");
        assert_eq!(span(0.25), "0.250 s");
        assert_eq!(time_of_day(23.5, 3600.0), "00:30");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(percent(0.001), "<1 %");
        assert_eq!(percent(0.999), ">99 %");
        assert_eq!(percent(1.0), "100 %");
    }

    #[test]
    fn femtoseconds_are_written_exactly() {
        assert_eq!(exact_seconds(0), "0");
        assert_eq!(exact_seconds(1), "0.000000000000001");
        assert_eq!(exact_seconds(12_000_000_000_000_000), "12");
        assert_eq!(exact_seconds(604_800_123_456_789_012_340), "604800.12345678901234");
        assert_eq!(exact_seconds(-1_500_000_000_000_000), "-1.5");
        assert_eq!(exact_seconds(i128::MIN), "-170141183460469231731687.303715884105728");
    }
}
