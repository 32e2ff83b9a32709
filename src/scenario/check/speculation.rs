//! What must hold in the speculative decoding of a model variant, and in the pools that use it.

use super::super::lookup::Kind;
use super::super::types::{Draft, Model, Pool, Scenario, Speculation, StepLaw};
use super::Check;
use crate::catalog::Catalog;

/// Most tokens that a draft may propose per step.
const MOST_DRAFT_TOK: u32 = 8;

impl Check {
    pub(super) fn speculation(&mut self, path: &str, model: &Model, catalog: &Catalog) {
        let Some(speculation) = &model.speculation else { return };
        if model.speculative.is_some() {
            let path = format!("{path}.speculative");
            self.refuse(path, "contradicts `speculation`; leave it out");
        }
        let path = format!("{path}.speculation");
        let Speculation { draft_tok, ref draft, acceptance, acceptance_sd } = *speculation;
        self.count(&format!("{path}.draft_tok"), draft_tok.into(), MOST_DRAFT_TOK.into());
        let share = (0.0..=1.0).contains(&acceptance);
        self.require(&format!("{path}.acceptance"), acceptance, share, "a probability, 0 to 1");
        // A Beta distribution is narrower than one that has only 0 and 1.
        let widest = (acceptance * (1.0 - acceptance)).max(0.0).sqrt();
        self.require(
            &format!("{path}.acceptance_sd"),
            acceptance_sd,
            !share || acceptance_sd == 0.0 || (acceptance_sd > 0.0 && acceptance_sd < widest),
            &format!("0, or above 0 and below √(acceptance·(1 − acceptance)) = {widest:.3}"),
        );
        let target = catalog.model(&model.catalog);
        match draft {
            Draft::Model(name) => {
                let path = format!("{path}.draft.model");
                self.known(&path, name, Kind::Model, catalog);
                if let Some(entry) = target
                    && let Ok(served) = model.attention.of(entry, catalog)
                    && let Some(message) = catalog.model(name).and_then(|draft| served.cannot_draft_by(draft))
                {
                    self.refuse(path.as_str(), message);
                }
                if let (Some(target), Some(draft)) = (target, catalog.model(name))
                    && target.vocab != draft.vocab
                {
                    self.refuse(
                        path,
                        format!(
                            "{name} has a vocabulary of {}, {} one of {}; a draft must propose the model's own tokens",
                            draft.vocab, target.name, target.vocab
                        ),
                    );
                }
            }
            Draft::Head(head) => {
                let most = target.map_or(u32::MAX, |model| model.layers);
                self.count(&format!("{path}.draft.head.layers"), head.layers.into(), most.into());
            }
        }
    }

    /// A pool of a model that speculates.
    pub(super) fn speculating(&mut self, path: &str, pool: &Pool, scenario: &Scenario) {
        let Some(model) = scenario.models.iter().find(|model| model.name == pool.model) else { return };
        let Some(speculation) = &model.speculation else { return };
        if pool.step_law != StepLaw::Roofline {
            let message = format!(
                "{} speculates, and an own step law does not know what its draft costs; use `roofline`, or a model without speculation",
                model.name
            );
            self.refuse(format!("{path}.step_law"), message);
        }
        let batching = &pool.batching;
        let each = u64::from(speculation.draft_tok.min(MOST_DRAFT_TOK)) + 1;
        let needed = u64::from(batching.max_seqs) * each;
        if batching.max_seqs <= batching.max_step_tok && needed > batching.max_step_tok.into() {
            self.refuse(
                format!("{path}.batching.max_seqs"),
                format!(
                    "is {}: with {each} tokens to verify for each decoding sequence, a step would have {needed}, and max_step_tok is {}; use at most {} sequences, or a larger step",
                    batching.max_seqs,
                    batching.max_step_tok,
                    u64::from(batching.max_step_tok) / each
                ),
            );
        }
    }
}
