//! What is known of tasks: how long their prompts are, and how outputs spread by model.

use crate::input::{InputError, Table};

const FILE: &str = "configs/validate/tasks.csv";
const TEXT: &str = include_str!("../../../configs/validate/tasks.csv");

/// Spread of the output's logarithm where neither row nor task tells.
pub(super) const DEFAULT_SIGMA: f64 = 1.1;

/// Lengths of a task's requests.
#[derive(Debug, Clone)]
pub(in crate::study) struct Task {
    name: String,
    also: String,
    /// Models whose names begin so; empty: all others.
    model: String,
    /// Mean prompt [tokens].
    pub prompt_tok: u32,
    /// σ of a lognormal with the outputs' mean and mean square, which decides how long the outputs in flight are.
    pub output_sigma: f64,
}

/// All tasks that are known.
#[derive(Debug, Clone)]
pub(in crate::study) struct Tasks(Vec<Task>);

impl Tasks {
    /// Those that come with the program.
    pub(in crate::study) fn embedded() -> Result<Self, InputError> {
        let mut table = Table::embedded(FILE, TEXT)?;
        let names = ["task", "also", "model", "prompt_tok", "output_sigma"];
        let mut columns = [0; 5];
        for (column, name) in columns.iter_mut().zip(names) {
            *column = table.require(name)?;
        }
        let [task, also, model, prompt, sigma] = columns;
        let mut tasks = Vec::new();
        while table.advance()? {
            tasks.push(Task {
                name: table.text(task),
                also: table.text(also),
                model: table.text(model),
                prompt_tok: table.text(prompt).parse().map_err(|_| table.bad_value(prompt, "is no count"))?,
                output_sigma: table
                    .text(sigma)
                    .parse()
                    .map_err(|_| table.bad_value(sigma, "is no number"))?,
            });
        }
        Ok(Self(tasks))
    }

    /// What is known of a task as a catalog's model does it.
    pub(super) fn of(&self, task: &str, model: &str) -> Option<&Task> {
        let name = |known: &Task| known.name.eq_ignore_ascii_case(task);
        let asked = self.0.iter().find(|known| name(known) || known.also.eq_ignore_ascii_case(task))?;
        let same = self.0.iter().filter(|known| known.name == asked.name && model.starts_with(&known.model));
        same.max_by_key(|known| known.model.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_model_prefix_counts() {
        let tasks = Tasks::embedded().unwrap();
        let sigma = |task, model| tasks.of(task, model).map(|task| task.output_sigma);
        assert_eq!(sigma("lm-arena-chat", "Qwen3-32B"), Some(0.78));
        assert_eq!(sigma("chat", "Qwen3-235B-A22B"), Some(0.88));
        assert_eq!(sigma("LM-Arena-Chat", "Gadget-1B"), Some(0.82));
        assert_eq!(sigma("gpqa", "gpt-oss-20b"), Some(0.7));
        assert_eq!(sigma("juggling", "Qwen3-32B"), None);
        assert_eq!(tasks.of("gpqa", "Qwen3-8B").unwrap().prompt_tok, 300);
    }
}
