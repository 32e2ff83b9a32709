//! What must hold in sites and pools, but for the building around them.

use super::super::lookup::{self, Kind};
use super::super::types::{Affine, Batching, CapFraction, Energy, Parallel, Pool, Scenario, Site, StepLaw};
use super::{Check, MAX_TOK};
use crate::catalog::Catalog;

/// Most nodes of a pool; each replica costs memory.
const MAX_NODES: u32 = 1_000_000;
/// Shortest step of an own step law [µs]; a step without duration would never let time pass.
const MIN_STEP_US: f64 = 1e-3;
/// Longest step of an own step law [µs]: an hour, as of every law.
const MAX_STEP_US: f64 = 3.6e9;

impl Check {
    pub(super) fn fleet(&mut self, scenario: &Scenario, catalog: &Catalog) {
        let sites = &scenario.fleet.sites;
        if sites.is_empty() {
            self.refuse("fleet.sites", "is empty; a fleet needs at least one site");
        }
        self.unique(
            sites.iter().enumerate().map(|(i, site)| (format!("fleet.sites.{i}.name"), site.name.as_str())),
            "site",
        );
        for (i, site) in sites.iter().enumerate() {
            let path = format!("fleet.sites.{i}");
            self.site(&path, site, scenario);
            self.grid(&path, site);
            self.facility(&path, site);
            for (k, pool) in site.pools.iter().enumerate() {
                self.pool(&format!("{path}.pools.{k}"), pool, scenario, catalog);
            }
        }
    }

    fn site(&mut self, path: &str, site: &Site, scenario: &Scenario) {
        self.name(&format!("{path}.name"), &site.name);
        if let Some(static_pue) = site.static_pue {
            self.require(
                &format!("{path}.static_pue"),
                static_pue,
                (1.0..=10.0).contains(&static_pue),
                "at least 1 (all facility power over IT power) and at most 10",
            );
        }
        let power = &site.power;
        if let Some(cap_mw) = power.cap_mw {
            self.positive(&format!("{path}.power.cap_mw"), cap_mw, 1e6);
        }
        let fraction_path = format!("{path}.power.cap_fraction");
        self.cap_fraction(&fraction_path, &power.cap_fraction, scenario);
        if power.cap_mw.is_none() && power.cap_fraction != CapFraction::default() {
            self.refuse(&fraction_path, "is a share of cap_mw, which is missing; add power.cap_mw");
        }
        self.policy(&format!("{path}.power"), power);
        if site.pools.is_empty() {
            self.refuse(format!("{path}.pools"), "is empty; a site needs at least one pool");
        }
        self.unique(
            site.pools
                .iter()
                .enumerate()
                .map(|(i, pool)| (format!("{path}.pools.{i}.name"), pool.name.as_str())),
            "pool",
        );
    }

    fn pool(&mut self, path: &str, pool: &Pool, scenario: &Scenario, catalog: &Catalog) {
        self.name(&format!("{path}.name"), &pool.name);
        self.model(&format!("{path}.model"), &pool.model, scenario, catalog);
        let gpu_known = self.known(&format!("{path}.gpu"), &pool.gpu, Kind::Gpu, catalog);
        if let Some(node) = &pool.node {
            self.known(&format!("{path}.node"), node, Kind::Node, catalog);
        }
        self.known(&format!("{path}.engine"), &pool.engine, Kind::Engine, catalog);
        self.count(&format!("{path}.nodes"), pool.nodes.into(), MAX_NODES.into());
        self.require(
            &format!("{path}.parallel.pipeline"),
            pool.parallel.pipeline,
            pool.parallel.pipeline == 1,
            "1: stages of layers cannot be simulated yet",
        );
        let Parallel { tensor, attention_data, expert, two_batch_overlap, pipeline: _ } = pool.parallel;
        if two_batch_overlap && attention_data == 1 {
            self.refuse(
                format!("{path}.parallel.two_batch_overlap"),
                "hides all-to-alls, and there are none without attention_data; leave it out",
            );
        }
        for (name, gpus) in [("tensor", tensor), ("attention_data", attention_data), ("expert", expert)] {
            self.require(&format!("{path}.parallel.{name}"), gpus, gpus >= 1, "at least 1");
        }
        let replica = tensor.saturating_mul(attention_data);
        if gpu_known
            && replica >= 1
            && let Some(gpus) = lookup::gpus_per_node(catalog, &pool.gpu, pool.node.as_deref())
            && gpus % replica != 0
            && (attention_data == 1 || replica % gpus != 0)
        {
            let fitting: Vec<String> = (1..=gpus).filter(|t| gpus % t == 0).map(|t| t.to_string()).collect();
            let fitting = fitting.join(", ");
            if attention_data > 1 {
                self.refuse(
                    format!("{path}.parallel.attention_data"),
                    format!(
                        "makes a replica of {replica} GPUs, tensor times attention_data; they must divide the {gpus} GPUs of a node ({fitting}), or fill several nodes: a multiple of {gpus}"
                    ),
                );
            } else {
                self.refuse(
                    format!("{path}.parallel.tensor"),
                    format!("is {tensor}; must divide the {gpus} GPUs of a node: {fitting}"),
                );
            }
        }
        self.not_negative(&format!("{path}.start_up_s"), pool.start_up_s, 1e9);
        for (name, hours) in [("installed_h", pool.installed_h), ("removed_h", pool.removed_h)] {
            if let Some(hours) = hours {
                self.not_negative(&format!("{path}.{name}"), hours, 1e6);
            }
        }
        if let Some(removed_h) = pool.removed_h {
            let start_h = scenario.start_at_h;
            let instead = match pool.installed_h.filter(|installed_h| *installed_h > start_h) {
                Some(installed_h) => format!("after its nodes are installed ({installed_h})"),
                None => format!(
                    "after the run starts (start_at_h is {start_h}); a pool that is gone by then is left out"
                ),
            };
            let after_h = pool.installed_h.unwrap_or(start_h).max(start_h);
            self.require(&format!("{path}.removed_h"), removed_h, removed_h > after_h, &instead);
        }
        if let Some(gpu_cap_w) = pool.gpu_cap_w {
            self.positive(&format!("{path}.gpu_cap_w"), gpu_cap_w, 1e6);
        }
        if let StepLaw::Affine(affine) = &pool.step_law {
            self.affine(&format!("{path}.step_law.affine"), affine);
        }
        self.batching(&format!("{path}.batching"), &pool.batching);
        self.speculating(path, pool, scenario);
    }

    fn affine(&mut self, path: &str, affine: &Affine) {
        let times = [
            ("base_us", affine.base_us),
            ("prefill_us", affine.prefill_us),
            ("per_prompt_tok_us", affine.per_prompt_tok_us),
            ("per_seq_us", affine.per_seq_us),
            ("per_kv_tok_us", affine.per_kv_tok_us),
        ];
        for (name, time_us) in times {
            self.not_negative(&format!("{path}.{name}"), time_us, MAX_STEP_US);
        }
        if times.iter().all(|(_, time_us)| *time_us >= 0.0) {
            let decode_us = affine.base_us + affine.per_seq_us;
            let prefill_us = affine.base_us + affine.prefill_us + affine.per_prompt_tok_us;
            for (kind, field, step_us) in
                [("decoding", "per_seq_us", decode_us), ("prompt", "per_prompt_tok_us", prefill_us)]
            {
                if step_us < MIN_STEP_US {
                    self.refuse(
                        format!("{path}.base_us"),
                        format!("a {kind} step takes no time; raise base_us or {field} (sum at least {MIN_STEP_US})"),
                    );
                }
            }
        }
        let (name, joules_or_watts) = match &affine.energy {
            Energy::PerToken(per_token) => ("per_token", vec![("it_j_per_tok", per_token.it_j_per_tok)]),
            Energy::PerState(per_state) => (
                "per_state",
                vec![
                    ("idle_w", per_state.idle_w),
                    ("base_w", per_state.base_w),
                    ("per_seq_w", per_state.per_seq_w),
                ],
            ),
        };
        for (field, value) in joules_or_watts {
            self.not_negative(&format!("{path}.energy.{name}.{field}"), value, 1e9);
        }
    }

    fn batching(&mut self, path: &str, batching: &Batching) {
        let most_seqs = batching.max_step_tok;
        self.count(&format!("{path}.max_seqs"), batching.max_seqs.into(), u32::MAX.into());
        self.count(&format!("{path}.max_step_tok"), batching.max_step_tok.into(), MAX_TOK.into());
        self.require(
            &format!("{path}.max_seqs"),
            batching.max_seqs,
            batching.max_seqs <= most_seqs,
            &format!("at most max_step_tok ({most_seqs}): each decoding sequence takes one token of a step"),
        );
        self.count(&format!("{path}.kv_block_tok"), batching.kv_block_tok.into(), 65_536);
        self.require(
            &format!("{path}.hbm_fraction"),
            batching.hbm_fraction,
            batching.hbm_fraction > 0.0 && batching.hbm_fraction <= 1.0,
            "above 0 and at most 1",
        );
        if let Some(kv_blocks) = batching.kv_blocks {
            self.count(&format!("{path}.kv_blocks"), kv_blocks, 1 << 40);
        }
    }
}
