//! Instants as integer femtoseconds, read from decimals and calendar stamps without rounding.

/// Femtoseconds per second.
pub const FS_PER_S: i128 = 1_000_000_000_000_000;

/// Femtoseconds per day.
pub(crate) const FS_PER_DAY: i128 = 86_400 * FS_PER_S;

/// The latest instant that a scenario or a trace may name [s]: some 30,000 years, far inside what
/// an `i128` of femtoseconds holds.
pub(crate) const LATEST_S: i128 = 1_000_000_000_000;

/// Seconds as femtoseconds, by the number's shortest decimal form: 86400.1 s is 86,400.1 s exactly,
/// not the nearest binary fraction. `None` unless 0 ≤ `seconds` ≤ 10¹².
#[must_use]
pub fn seconds_to_fs(seconds: f64) -> Option<i128> {
    if !seconds.is_finite() || seconds < 0.0 {
        return None;
    }
    parse_decimal(format!("{seconds}").as_bytes(), 15).ok().filter(|&fs| fs <= LATEST_S * FS_PER_S)
}

/// Femtoseconds as seconds, the nearest `f64`.
#[must_use]
pub fn fs_to_seconds(fs: i128) -> f64 {
    // Whole seconds apart: they are exact, and so one rounding remains that matters.
    (fs / FS_PER_S) as f64 + (fs % FS_PER_S) as f64 / 1e15
}

/// Why a decimal is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DecimalError {
    /// Not a number at all.
    NotANumber,
    /// Below zero.
    Negative,
    /// Too many digits before the point.
    TooLarge,
}

const POW10: [i128; 39] = {
    let mut p = [1_i128; 39];
    let mut i = 1;
    while i < 39 {
        p[i] = p[i - 1] * 10;
        i += 1;
    }
    p
};

/// `text` · 10^`places` as an integer, halves rounded up; no floating point on the way.
/// Accepts `12`, `12.5`, `.5`, `+1e-3`, `-0`.
pub(crate) fn parse_decimal(text: &[u8], places: u32) -> Result<i128, DecimalError> {
    // The usual case: at most 18 characters, digits and one point.
    if text.len() <= 18 {
        let (mut mantissa, mut fraction, mut point) = (0_u64, 0_usize, false);
        let mut plain = true;
        for &b in text {
            let digit = b.wrapping_sub(b'0');
            if digit < 10 {
                mantissa = mantissa * 10 + u64::from(digit);
                fraction += usize::from(point);
            } else if b == b'.' && !point {
                point = true;
            } else {
                plain = false;
                break;
            }
        }
        let digits = text.len() - usize::from(point);
        if plain && digits > 0 && fraction <= places as usize && places as usize - fraction <= 19 {
            // < 10^18 · 10^19
            return Ok(i128::from(mantissa) * POW10[places as usize - fraction]);
        }
    }
    parse_any_decimal(text, places)
}

/// [`parse_decimal`] with signs, exponents and any number of digits.
fn parse_any_decimal(text: &[u8], places: u32) -> Result<i128, DecimalError> {
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let (digits, exponent) = match text.iter().position(|b| matches!(b, b'e' | b'E')) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let exponent = match exponent {
        None => 0,
        Some(e) => std::str::from_utf8(e)
            .ok()
            .and_then(|e| e.parse::<i32>().ok())
            .filter(|e| e.abs() <= 400)
            .ok_or(DecimalError::NotANumber)?,
    };
    let (mut mantissa, mut shift, mut point, mut any) = (0_i128, exponent + places as i32, false, false);
    for &b in digits {
        match b {
            b'0'..=b'9' => {
                any = true;
                if mantissa < POW10[36] {
                    mantissa = mantissa * 10 + i128::from(b - b'0');
                    shift -= i32::from(point);
                } else {
                    // Digits beyond the 36th are far below a femtosecond, or far beyond a number.
                    shift += i32::from(!point);
                }
            }
            b'.' if !point => point = true,
            _ => return Err(DecimalError::NotANumber),
        }
    }
    if !any {
        return Err(DecimalError::NotANumber);
    }
    if negative && mantissa != 0 {
        return Err(DecimalError::Negative);
    }
    if mantissa == 0 {
        Ok(0)
    } else if shift >= 0 {
        POW10.get(shift as usize).and_then(|p| mantissa.checked_mul(*p)).ok_or(DecimalError::TooLarge)
    } else {
        match POW10.get(shift.unsigned_abs() as usize) {
            Some(p) => Ok(mantissa / p + i128::from(mantissa % p >= p / 2)),
            None => Ok(0),
        }
    }
}

/// A positive number as the fraction its shortest decimal form stands for, in lowest terms: what
/// makes `rate_per_s: 0.1` mean one arrival every ten seconds to the femtosecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ratio {
    pub(crate) num: i128,
    pub(crate) den: i128,
}

impl Ratio {
    /// `None` unless 10⁻²¹ ≤ x ≤ 10¹²; digits beyond the 22nd decimal place are dropped.
    pub(crate) fn from_f64(x: f64) -> Option<Self> {
        if !(1e-21..=1e12).contains(&x) {
            return None;
        }
        let text = format!("{x}");
        let places = text.split_once('.').map_or(0, |(_, f)| f.len()).min(22);
        let num = parse_decimal(text.as_bytes(), places as u32).ok().filter(|&n| n > 0)?;
        let (mut a, mut b) = (num, POW10[places]);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        Some(Self { num: num / a, den: POW10[places] / a })
    }

    /// t / self, rounded to the nearest integer (halves up); `None` on overflow.
    pub(crate) fn divide(self, t: i128) -> Option<i128> {
        if self.num == 1 && self.den == 1 {
            return Some(t);
        }
        // t·den/num in two parts, as t·den alone may not fit.
        let (q, r) = (t / self.num, t % self.num);
        let rest = r.checked_mul(self.den)?.checked_add(self.num / 2)? / self.num;
        q.checked_mul(self.den)?.checked_add(rest)
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, or `None` if there is no such date.
fn days_from_civil(year: i64, month: u32, day: u32) -> Option<i64> {
    const LENGTHS: [u32; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = *LENGTHS.get((month as usize).wrapping_sub(1))? + u32::from(leap && month == 2);
    if day == 0 || day > length {
        return None;
    }
    // Hinnant's days_from_civil: years begin in March, so that the leap day is the last.
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let of_year = i64::from((153 * ((month + 9) % 12) + 2) / 5 + day - 1);
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

fn two_digits(text: &[u8]) -> Option<u32> {
    match text {
        [a @ b'0'..=b'9', b @ b'0'..=b'9'] => Some(u32::from(a - b'0') * 10 + u32::from(b - b'0')),
        _ => None,
    }
}

/// A calendar stamp as femtoseconds since 1970, UTC where it names no offset:
/// `2023-11-16 18:15:46.6805900`, also with `T`, `Z` or an offset.
pub(crate) fn parse_stamp(text: &[u8]) -> Result<i128, String> {
    match plain_stamp(text) {
        Some(fs) => Ok(fs),
        None => any_stamp(text),
    }
}

/// The form of the public traces, read directly: it is ten times as fast as a calendar library.
fn plain_stamp(text: &[u8]) -> Option<i128> {
    if text.len() < 19
        || text[4] != b'-'
        || text[7] != b'-'
        || !matches!(text[10], b' ' | b'T')
        || text[13] != b':'
        || text[16] != b':'
    {
        return None;
    }
    let year = i64::from(two_digits(&text[0..2])? * 100 + two_digits(&text[2..4])?);
    let days = days_from_civil(year, two_digits(&text[5..7])?, two_digits(&text[8..10])?)?;
    let (h, m, s) = (two_digits(&text[11..13])?, two_digits(&text[14..16])?, two_digits(&text[17..19])?);
    if h > 23 || m > 59 || s > 59 {
        return None;
    }
    let mut rest = &text[19..];
    let (mut fraction, mut unit) = (0_u64, FS_PER_S as u64);
    if let [b'.', digits @ ..] = rest {
        let n = digits.iter().take_while(|b| b.is_ascii_digit()).count();
        if n == 0 || n > 15 {
            return None;
        }
        for &b in &digits[..n] {
            unit /= 10;
            fraction += u64::from(b - b'0') * unit;
        }
        rest = &digits[n..];
    }
    if !matches!(rest, b"" | b"Z" | b"+00:00") {
        return None;
    }
    let seconds = days * 86_400 + i64::from(h * 3600 + m * 60 + s);
    Some(i128::from(seconds) * FS_PER_S + i128::from(fraction))
}

/// Everything else a calendar library understands, to the nanosecond.
fn any_stamp(text: &[u8]) -> Result<i128, String> {
    let text = std::str::from_utf8(text).map_err(|_| "not text".to_string())?;
    let nanoseconds = match text.parse::<jiff::Timestamp>() {
        Ok(stamp) => stamp.as_nanosecond(),
        Err(with_offset) => text
            .parse::<jiff::civil::DateTime>()
            .and_then(|civil| civil.to_zoned(jiff::tz::TimeZone::UTC))
            .map_err(|civil| {
                // Only one of the two readings was meant; the one for the form at hand explains.
                if text.ends_with('Z') || text.get(19..).is_some_and(|t| t.contains(['+', '-'])) {
                    with_offset.to_string()
                } else {
                    civil.to_string()
                }
            })?
            .timestamp()
            .as_nanosecond(),
    };
    Ok(nanoseconds * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fs(text: &str) -> Result<i128, DecimalError> {
        parse_decimal(text.as_bytes(), 15)
    }

    #[test]
    fn decimals_are_exact() {
        assert_eq!(fs("0"), Ok(0));
        assert_eq!(fs("1"), Ok(FS_PER_S));
        assert_eq!(fs("3501.721937"), Ok(3_501_721_937_000_000_000));
        assert_eq!(fs("0.000000000000001"), Ok(1));
        assert_eq!(fs("123456789.123456789012345"), Ok(123_456_789_123_456_789_012_345));
        assert_eq!(fs(".5"), Ok(FS_PER_S / 2));
        assert_eq!(fs("5."), Ok(5 * FS_PER_S));
        assert_eq!(fs("+1e-3"), Ok(FS_PER_S / 1000));
        assert_eq!(fs("1.5E+02"), Ok(150 * FS_PER_S));
        assert_eq!(fs("-0.0"), Ok(0));
        // Halves of a femtosecond round up, less than half down.
        assert_eq!(fs("0.0000000000000005"), Ok(1));
        assert_eq!(fs("0.00000000000000049999999999999999999999999999999"), Ok(0));
        assert_eq!(fs("1e-300"), Ok(0));
        assert_eq!(fs("-1"), Err(DecimalError::Negative));
        assert_eq!(fs("1e30"), Err(DecimalError::TooLarge));
        assert_eq!(fs(&"9".repeat(60)), Err(DecimalError::TooLarge));
        for bad in ["", ".", "+", "1,5", "nan", "inf", "0x10", "1e", "1.2.3", "1e99999999999", "--1"] {
            assert_eq!(fs(bad), Err(DecimalError::NotANumber), "{bad}");
        }
    }

    #[test]
    fn seconds_keep_their_decimal_form() {
        assert_eq!(seconds_to_fs(86_400.1), Some(86_400_100_000_000_000_000));
        assert_eq!(seconds_to_fs(1e12), Some(LATEST_S * FS_PER_S));
        assert_eq!(seconds_to_fs(f64::NAN), None);
        assert_eq!(seconds_to_fs(-1.0), None);
        assert_eq!(seconds_to_fs(1e300), None);
        assert_eq!(fs_to_seconds(1_500_000_000_000_000), 1.5);
    }

    #[test]
    fn ratios_are_in_lowest_terms_and_divide_exactly() {
        assert_eq!(Ratio::from_f64(0.1), Some(Ratio { num: 1, den: 10 }));
        assert_eq!(Ratio::from_f64(2.5), Some(Ratio { num: 5, den: 2 }));
        assert_eq!(Ratio::from_f64(0.0), None);
        assert_eq!(Ratio::from_f64(f64::INFINITY), None);
        let third = Ratio { num: 3, den: 1 };
        assert_eq!(third.divide(10), Some(3));
        assert_eq!(third.divide(11), Some(4));
        // The worst case of both sides still fits.
        let awkward = Ratio::from_f64(1.234_567_890_123_456_7e-6).unwrap();
        let t = 10_000_000 * FS_PER_S;
        let got = awkward.divide(t).unwrap() as f64;
        assert!((got * 1.234_567_890_123_456_7e-6 / t as f64 - 1.0).abs() < 1e-12);
    }

    #[test]
    fn stamps_of_the_public_traces() {
        let t = |s: &str| parse_stamp(s.as_bytes());
        let base = t("2023-11-16 18:15:46.6805900").unwrap();
        assert_eq!(base, 1_700_158_546 * FS_PER_S + 680_590_000_000_000);
        assert_eq!(t("1970-01-01T00:00:00Z").unwrap(), 0);
        assert_eq!(t("2000-03-01 00:00:00").unwrap(), 951_868_800 * FS_PER_S);
        assert_eq!(t("2024-05-10 00:00:00.009930+00:00").unwrap() % FS_PER_S, 9_930_000_000_000);
        // Through the calendar library: another offset.
        assert_eq!(t("2023-11-16T19:15:46.680590+01:00").unwrap(), base);
        assert!(t("2023-02-29 00:00:00").is_err());
        assert!(t("2023-13-01 00:00:00").is_err());
        assert!(t("yesterday").is_err());
        assert!(t("").is_err());
        assert!(parse_stamp(&[0xff; 25]).is_err());
    }
}
