//! Token counts drawn from a distribution.

use std::path::Path;
use std::sync::Arc;

use rand::RngExt;
use rand_distr::{Exp1, StandardNormal};

use super::random::Key;
use super::time::{DecimalError, parse_decimal};
use crate::input::{InputError, Table};
use crate::scenario::types::Length;

/// Most tokens of one prompt or one answer; more is a mistake in the unit or the column.
pub const MOST_TOK: u32 = 10_000_000;

/// Most rows of an empirical distribution, 4 bytes each.
const MOST_VALUES: usize = 4_000_000;

/// A distribution, ready to draw from.
#[derive(Debug, Clone)]
pub(crate) enum Sampler {
    Constant(u32),
    Exponential { mean: f64, max: u32 },
    Lognormal { mu: f64, sigma: f64, max: u32 },
    Empirical(Arc<[u32]>),
}

impl Sampler {
    /// Checks a distribution; `field` is its path in the scenario.
    pub(crate) fn open(length: &Length, field: &str, base_dir: &Path) -> Result<Self, InputError> {
        match length {
            Length::Constant(c) => Ok(Self::Constant(check_tok(c.tok, &format!("{field}.constant.tok"))?)),
            Length::Exponential(e) => Ok(Self::Exponential {
                mean: check_mean(e.mean_tok, &format!("{field}.exponential.mean_tok"))?,
                max: check_tok(e.max_tok, &format!("{field}.exponential.max_tok"))?,
            }),
            Length::Lognormal(l) => {
                let mean = check_mean(l.mean_tok, &format!("{field}.lognormal.mean_tok"))?;
                if !(0.0..=10.0).contains(&l.sigma) {
                    return Err(InputError::field(
                        format!("{field}.lognormal.sigma"),
                        format!("is {}; it must lie in 0..=10 (chat: about 1.1)", l.sigma),
                    ));
                }
                Ok(Self::Lognormal {
                    mu: mean.ln() - l.sigma * l.sigma / 2.0,
                    sigma: l.sigma,
                    max: check_tok(l.max_tok, &format!("{field}.lognormal.max_tok"))?,
                })
            }
            Length::Empirical(e) => {
                let path = base_dir.join(&e.path);
                read_values(&path, &e.column, &format!("{field}.empirical.path")).map(Self::Empirical)
            }
        }
    }

    /// The length of request `number` of the key's class.
    #[inline]
    pub(crate) fn draw(&self, key: &Key, number: u64) -> u32 {
        match self {
            Self::Constant(tok) => *tok,
            Self::Exponential { mean, max } => {
                let e: f64 = key.generator(number).sample(Exp1);
                round_up(mean * e, *max)
            }
            Self::Lognormal { mu, sigma, max } => {
                let z: f64 = key.generator(number).sample(StandardNormal);
                round_up((mu + sigma * z).exp(), *max)
            }
            Self::Empirical(values) => {
                // Multiply-shift: uniform to 1 in 2^40 for any table that fits.
                let i = (u128::from(key.bits(number)) * values.len() as u128) >> 64;
                values[i as usize]
            }
        }
    }
}

/// A real draw as tokens: rounded up, within 1..=max.
#[inline]
fn round_up(x: f64, max: u32) -> u32 {
    // The cast saturates; +inf becomes the limit. A call of libm's ceil would cost as much as the draw.
    let whole = x as u32;
    whole.saturating_add(u32::from(f64::from(whole) < x)).clamp(1, max)
}

fn check_tok(tok: u32, field: &str) -> Result<u32, InputError> {
    if (1..=MOST_TOK).contains(&tok) {
        Ok(tok)
    } else {
        Err(InputError::field(field, format!("is {tok}; it must lie in 1..={MOST_TOK} tokens")))
    }
}

fn check_mean(mean: f64, field: &str) -> Result<f64, InputError> {
    if mean > 0.0 && mean <= f64::from(MOST_TOK) {
        Ok(mean)
    } else {
        Err(InputError::field(field, format!("is {mean}; it must be above 0 and at most {MOST_TOK} tokens")))
    }
}

/// Field `i` of the current row as a token count; a fraction is refused, `374.0` is not.
#[inline]
pub(crate) fn parse_tok(table: &Table, i: usize) -> Result<u32, InputError> {
    tok(table.bytes(i)).map_err(|problem| table.bad_value(i, &problem))
}

/// A token count, or what is wrong with it.
#[inline]
pub(crate) fn tok(text: &[u8]) -> Result<u32, String> {
    if !text.is_empty() && text.len() <= 8 && text.iter().all(u8::is_ascii_digit) {
        let tok = text.iter().fold(0_u32, |n, b| n * 10 + u32::from(b - b'0'));
        if (1..=MOST_TOK).contains(&tok) {
            return Ok(tok);
        }
    }
    slow_tok(text, false)
}

#[cold]
fn slow_tok(text: &[u8], up: bool) -> Result<u32, String> {
    const PLACES: u32 = 9;
    let too_many = || Err(format!("is more than {MOST_TOK} tokens"));
    let scaled = match parse_decimal(text, PLACES) {
        Ok(scaled) => scaled,
        Err(DecimalError::NotANumber) => return Err("is not a number of tokens".into()),
        Err(DecimalError::Negative) => return Err("is negative; tokens are at least 1".into()),
        Err(DecimalError::TooLarge) => return too_many(),
    };
    let one = 10_i128.pow(PLACES);
    if scaled % one != 0 && !up {
        return Err("is not a whole number of tokens".into());
    }
    match u32::try_from((scaled + one - 1) / one) {
        Ok(0) => Err("is zero; tokens are at least 1 (leave such rows out)".into()),
        Ok(tok) if tok <= MOST_TOK => Ok(tok),
        _ => too_many(),
    }
}

fn read_values(path: &Path, column: &str, field: &str) -> Result<Arc<[u32]>, InputError> {
    let mut table = Table::open(path, field)?;
    let i = table.require(column)?;
    let mut values = Vec::new();
    while table.advance()? {
        if values.len() == MOST_VALUES {
            return Err(table
                .bad_line(format!("a distribution has at most {MOST_VALUES} rows; draw a sample of them")));
        }
        // Real values are rounded up, as real draws are.
        values.push(slow_tok(table.bytes(i), true).map_err(|problem| table.bad_value(i, &problem))?);
    }
    if values.is_empty() {
        return Err(table.bad_file("has a header but no rows".into()));
    }
    Ok(values.into())
}
