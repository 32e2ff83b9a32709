//! Rows of a Mooncake trace as published: one JSON object a line.

use serde::Deserialize;
use serde_json::Number;

use super::Row;
use crate::input::{InputError, Lines, shorten};
use crate::workload::arrivals::instant;
use crate::workload::lengths::tok;
use crate::workload::reasoning::Recorded;
use crate::workload::time::fs_to_seconds;

const TIME: &str = "timestamp";
const PROMPT: &str = "input_length";
const OUTPUT: &str = "output_length";

/// One line; other fields, as the hashes of the prompt's blocks, are passed over.
#[derive(Deserialize)]
struct Record {
    timestamp: Number,
    input_length: Number,
    output_length: Number,
}

/// Rows of a JSON Lines file in order.
#[derive(Debug)]
pub(super) struct JsonRows {
    lines: Lines,
    /// Whether the current line is still to be read.
    pending: bool,
    /// Names of other fields of the first line.
    others: Vec<String>,
    before_fs: i128,
}

impl JsonRows {
    /// Whether the current line begins a JSON object.
    pub(super) fn begins(lines: &Lines) -> bool {
        lines.current().trim_ascii_start().first() == Some(&b'{')
    }

    /// Rows from the current line on.
    pub(super) fn new(lines: Lines) -> Self {
        let first = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(lines.current());
        let read = |name: &String| [TIME, PROMPT, OUTPUT].contains(&name.as_str());
        let others = first.map(|object| object.keys().filter(|name| !read(name)).cloned().collect());
        Self { lines, pending: true, others: others.unwrap_or_default(), before_fs: 0 }
    }

    pub(super) fn optional(&self) -> Vec<String> {
        self.others.clone()
    }

    /// The next row; blank lines are skipped.
    pub(super) fn advance(&mut self) -> Result<Option<Row>, InputError> {
        loop {
            if !std::mem::take(&mut self.pending) && !self.lines.advance()? {
                return Ok(None);
            }
            if !self.lines.current().trim_ascii().is_empty() {
                break;
            }
        }
        let record: Record = serde_json::from_slice(self.lines.current()).map_err(|e| self.bad_json(&e))?;
        let value = |name: &str, number: &Number, problem: &str| {
            self.bad_value(name, &format!("`{name}` = `{}` {problem}", shorten(&number.to_string(), 40)))
        };
        let text = record.timestamp.to_string();
        let at_fs =
            instant(text.as_bytes(), 12).map_err(|problem| value(TIME, &record.timestamp, &problem))?;
        if at_fs < self.before_fs {
            let before = fs_to_seconds(self.before_fs);
            let problem = format!("is earlier than the row before it ({before} s); sort the rows by time");
            return Err(value(TIME, &record.timestamp, &problem));
        }
        let tokens = |name: &str, number: &Number| {
            tok(number.to_string().as_bytes()).map_err(|problem| value(name, number, &problem))
        };
        let prompt_tok = tokens(PROMPT, &record.input_length)?;
        let answer_tok = tokens(OUTPUT, &record.output_length)?;
        self.before_fs = at_fs;
        Ok(Some(Row { at_fs, prompt_tok, answer_tok, recorded: Recorded::default() }))
    }

    /// An error about the time of the current row.
    pub(super) fn bad_time(&self, problem: &str) -> InputError {
        self.bad_value(TIME, &format!("`{TIME}` {problem}"))
    }

    pub(super) fn bad_file(&self, message: String) -> InputError {
        self.lines.bad_file(message)
    }

    /// An error at the field `name` of the current line.
    fn bad_value(&self, name: &str, message: &str) -> InputError {
        let key = format!("\"{name}\"");
        let at = self.lines.current().windows(key.len()).position(|w| w == key.as_bytes());
        self.lines.bad_at(at.unwrap_or(0), message.into())
    }

    fn bad_json(&self, error: &serde_json::Error) -> InputError {
        let text = error.to_string();
        // The place is said before the message; serde_json counts the line as the whole text.
        let said = text.split(" at line ").next().unwrap_or(&text);
        let at = error.column().saturating_sub(1);
        self.lines.bad_at(at, format!("is no request of a mooncake trace: {}", shorten(said, 120)))
    }
}
