//! What else entries are called: names of measured tables and model hubs to names of the catalog.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use super::entry::{Engine, Gpu};
use super::model::{Model, Precision};
use super::{Catalog, nearest};

/// The `aliases` section of a catalog file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Aliases {
    #[serde(default)]
    pub gpus: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub models: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub model_suffixes: Vec<String>,
    #[serde(default)]
    pub engines: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub fallback_engine: Option<String>,
    #[serde(default)]
    pub precisions: BTreeMap<Precision, Vec<String>>,
}

impl Aliases {
    /// Adds those of another file, whose choice of a fallback counts.
    pub(super) fn extend(&mut self, other: Self) {
        let Self { gpus, models, model_suffixes, engines, fallback_engine, precisions } = other;
        for (into, from) in [(&mut self.gpus, gpus), (&mut self.models, models), (&mut self.engines, engines)]
        {
            for (name, more) in from {
                into.entry(name).or_default().extend(more);
            }
        }
        for (precision, more) in precisions {
            self.precisions.entry(precision).or_default().extend(more);
        }
        self.model_suffixes.extend(model_suffixes);
        if fallback_engine.is_some() {
            self.fallback_engine = fallback_engine;
        }
    }

    /// Checks that every alias stands for exactly one entry.
    pub(super) fn check(&self, catalog: &Catalog) -> Result<(), String> {
        fn each_once<'a>(
            kind: &str,
            listed: &'a BTreeMap<String, Vec<String>>,
            entries: &[&'a str],
        ) -> Result<(), String> {
            let mut seen: HashMap<String, &str> = entries.iter().map(|name| (plain(name), *name)).collect();
            for (name, aliases) in listed {
                if !entries.contains(&name.as_str()) {
                    let hint = nearest(name, entries.iter().copied());
                    let hint = hint.map(|near| format!("; did you mean '{near}'?")).unwrap_or_default();
                    return Err(format!("aliases.{kind}: there is no '{name}'{hint}"));
                }
                for alias in aliases {
                    let other = seen.insert(plain(alias), name).filter(|other| other != name);
                    if let Some(other) = other {
                        return Err(format!(
                            "aliases.{kind}: '{alias}' stands for '{other}' and for '{name}'"
                        ));
                    }
                }
            }
            Ok(())
        }
        each_once("gpus", &self.gpus, &catalog.gpu_names().collect::<Vec<_>>())?;
        each_once("models", &self.models, &catalog.model_names().collect::<Vec<_>>())?;
        match &self.fallback_engine {
            Some(name) if catalog.engine(name).is_none() => {
                Err(format!("aliases.fallback_engine: there is no engine '{name}'"))
            }
            _ => Ok(()),
        }
    }
}

/// How a serving engine was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineMatch {
    /// The same engine in this version.
    Exact,
    /// The same engine in the nearest version that has an entry.
    NearestVersion,
    /// The newest version of the same engine: no version was given.
    NewestVersion,
    /// Another engine: this one has no entry.
    Fallback,
}

impl Catalog {
    /// The GPU of this name, or the one that is also called so.
    pub fn gpu_called(&self, name: &str) -> Option<&Gpu> {
        self.gpu(name).or_else(|| {
            let entry = called(name, &self.aliases.gpus, self.gpu_names())?;
            self.gpu(entry)
        })
    }

    /// The model of this name, or the one that is also called so, and the weights' format where the name
    /// ends in one.
    pub fn model_called(&self, name: &str) -> Option<(&Model, Option<Precision>)> {
        let mut rest = name.rsplit('/').next().unwrap_or(name);
        let mut weights = None;
        loop {
            if let Some(model) = self.model(rest) {
                return Some((model, weights));
            }
            if let Some(entry) = called(rest, &self.aliases.models, self.model_names()) {
                return self.model(entry).map(|model| (model, weights));
            }
            let (before, last) = rest.rsplit_once(['-', '_', ' '])?;
            match self.precision_called(last) {
                Some(precision) => weights = weights.or(Some(precision)),
                None if self.aliases.model_suffixes.iter().any(|s| plain(s) == plain(last)) => {}
                None => return None,
            }
            rest = before;
        }
    }

    /// The number format of this name, or the one that is also called so.
    pub fn precision_called(&self, name: &str) -> Option<Precision> {
        let wanted = plain(name);
        let own = self.aliases.precisions.keys().find(|precision| precision.name() == wanted);
        let other = || {
            let has = |aliases: &Vec<String>| aliases.iter().any(|alias| plain(alias) == wanted);
            self.aliases.precisions.iter().find(|(_, aliases)| has(aliases)).map(|(precision, _)| precision)
        };
        own.or_else(other).copied()
    }

    /// The engine nearest to `name` (`vllm`, `TensorRT-LLM`, or an entry's own name) in `version`.
    /// `None`: neither it nor a fallback has an entry.
    pub fn engine_called(&self, name: &str, version: Option<&str>) -> Option<(&Engine, EngineMatch)> {
        if let Some(engine) = self.engine(name) {
            return Some((engine, EngineMatch::Exact));
        }
        let wanted = plain(name);
        let family = self
            .aliases
            .engines
            .iter()
            .find(|(family, aliases)| {
                plain(family) == wanted || aliases.iter().any(|alias| plain(alias) == wanted)
            })
            .map_or(wanted.clone(), |(family, _)| plain(family));
        let mut versions: Vec<(f64, &Engine)> = self
            .engines
            .iter()
            .filter_map(|engine| {
                let (of, version) = engine.name.rsplit_once('-')?;
                (plain(of) == family).then_some((release(version)?, engine))
            })
            .collect();
        versions.sort_by(|a, b| a.0.total_cmp(&b.0));
        let Some(&(_, newest)) = versions.last() else {
            let fallback = self.engine(self.aliases.fallback_engine.as_deref()?)?;
            return Some((fallback, EngineMatch::Fallback));
        };
        let Some(wanted) = version.and_then(release) else {
            return Some((newest, EngineMatch::NewestVersion));
        };
        // Of two equally near the newer one, which `min_by` meets last.
        let distance = |version: f64| (version - wanted).abs();
        let (found, engine) =
            versions.into_iter().rev().min_by(|a, b| distance(a.0).total_cmp(&distance(b.0)))?;
        let exact = found.floor() == wanted.floor();
        Some((engine, if exact { EngineMatch::Exact } else { EngineMatch::NearestVersion }))
    }
}

/// The entry whose name or alias is `name` but for spelling.
fn called<'a>(
    name: &str,
    aliases: &'a BTreeMap<String, Vec<String>>,
    mut entries: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let wanted = plain(name);
    if wanted.is_empty() {
        return None;
    }
    let also = |names: &Vec<String>| names.iter().any(|alias| plain(alias) == wanted);
    entries
        .find(|entry| plain(entry) == wanted)
        .or_else(|| aliases.iter().find(|(_, names)| also(names)).map(|(entry, _)| entry.as_str()))
}

/// A name without case, spaces and signs.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// A version as a number that grows with it: releases (the second part) count 1, patches less.
/// `0.5.1.post1` → 5.001, `1.2.0rc6` → 102.
fn release(version: &str) -> Option<f64> {
    let mut parts = version.trim().trim_start_matches(['v', 'V']).split('.').map(|part| {
        let digits: String = part.chars().take_while(char::is_ascii_digit).take(6).collect();
        digits.parse::<f64>().ok()
    });
    let major = parts.next()??;
    let minor = parts.next().flatten().unwrap_or(0.0);
    let patch = parts.next().flatten().unwrap_or(0.0);
    Some(major * 100.0 + minor + patch.min(999.0) * 1e-3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        Catalog::embedded().unwrap()
    }

    #[test]
    fn gpus_by_any_spelling() {
        let catalog = catalog();
        for (name, entry) in [
            ("H100", "H100-SXM-80GB"),
            ("h200_sxm", "H200-SXM-141GB"),
            ("b200 sxm", "B200-SXM-180GB"),
            ("gb200", "GB200-NVL72 (per GPU)"),
            ("RTXPRO6000", "RTX-PRO-6000-Blackwell-Server"),
            ("mi355x", "MI355X"),
        ] {
            assert_eq!(catalog.gpu_called(name).map(|gpu| gpu.name.as_str()), Some(entry), "{name}");
        }
        for unknown in ["", "-", "H1000", "V100"] {
            assert!(catalog.gpu_called(unknown).is_none(), "{unknown}");
        }
    }

    #[test]
    fn models_by_hub_name() {
        let catalog = catalog();
        let found = |name: &str| catalog.model_called(name).map(|(model, w)| (model.name.clone(), w));
        for (name, entry, weights) in [
            ("Qwen/Qwen3-32B", "Qwen3-32B", None),
            ("deepseek-ai/DeepSeek-R1", "DeepSeek-R1", None),
            ("deepseek-ai/DeepSeek-R1-0528", "DeepSeek-R1", None),
            ("deepseek-ai/DeepSeek-V3.1", "DeepSeek-V3", None),
            ("Qwen/Qwen3-235B-A22B-Thinking-2507-FP8", "Qwen3-235B-A22B", Some(Precision::Fp8)),
            ("Qwen/Qwen3-Coder-30B-A3B-Instruct", "Qwen3-30B-A3B", None),
            ("nvidia/Llama-3.1-8B-Instruct-FP8", "Llama-3.1-8B", Some(Precision::Fp8)),
            ("meta-llama/Llama-3.3-70B-Instruct", "Llama-3.1-70B", None),
            ("nvidia/DeepSeek-R1-NVFP4", "DeepSeek-R1", Some(Precision::Nvfp4)),
            ("openai/gpt-oss-120b", "gpt-oss-120b", None),
        ] {
            assert_eq!(found(name), Some((entry.into(), weights)), "{name}");
        }
        for unknown in ["acme/Gadget-7B", "Llama-3.1", "FP8", "", "Instruct-FP8"] {
            assert_eq!(found(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn formats_by_any_spelling() {
        let catalog = catalog();
        assert_eq!(catalog.precision_called("bfloat16"), Some(Precision::Bf16));
        assert_eq!(catalog.precision_called("FP8"), Some(Precision::Fp8));
        assert_eq!(catalog.precision_called("fp4"), Some(Precision::Nvfp4));
        assert_eq!(catalog.precision_called("mxfp4"), Some(Precision::Mxfp4));
        assert_eq!(catalog.precision_called("fp6"), None);
    }

    #[test]
    fn the_nearest_version_of_the_same_engine() {
        let entry = |name: &str, us: f64| {
            let number = format!("{{ value: {us}, source: test, quality: guess }}");
            let names = [
                "per_step_us",
                "per_seq_us",
                "per_layer_us",
                "per_moe_layer_us",
                "per_fp8_moe_layer_us",
                "per_fp4_moe_layer_us",
                "expert_spread",
                "expert_tile_bf16_tok",
                "expert_tile_fp8_tok",
                "expert_tile_fp4_tok",
            ];
            let numbers = names.map(|name| format!("    {name}: {number}\n")).concat();
            format!("  - name: {name}\n{numbers}")
        };
        let text = format!("engines:\n{}{}", entry("mine-1.2", 1.0), entry("mine-1.10", 1.0));
        let catalog = Catalog::from_text("t.yaml", &text).unwrap();
        for (name, version, found, how) in [
            ("mine", Some("1.2"), "mine-1.2", EngineMatch::Exact),
            ("mine", Some("v1.2.7"), "mine-1.2", EngineMatch::Exact),
            ("mine", Some("1.5.9"), "mine-1.2", EngineMatch::NearestVersion),
            ("mine", Some("1.6"), "mine-1.10", EngineMatch::NearestVersion),
            ("mine", Some("2.0.0rc1"), "mine-1.10", EngineMatch::NearestVersion),
            ("Mine", None, "mine-1.10", EngineMatch::NewestVersion),
            ("mine", Some("nightly"), "mine-1.10", EngineMatch::NewestVersion),
            ("mine-1.2", None, "mine-1.2", EngineMatch::Exact),
            ("other", Some("1.2"), "vllm-0.19", EngineMatch::Fallback),
        ] {
            let (engine, match_) = catalog.engine_called(name, version).unwrap();
            assert_eq!((engine.name.as_str(), match_), (found, how), "{name} {version:?}");
        }
    }

    #[test]
    fn an_alias_stands_for_one_entry() {
        for (text, part) in [
            ("aliases: { gpus: { H100-SXM-81GB: [X] } }", "did you mean 'H100-SXM-80GB'?"),
            ("aliases: { gpus: { L40S: [h100] } }", "'h100' stands for 'H100-SXM-80GB' and for 'L40S'"),
            ("aliases: { fallback_engine: none-1 }", "there is no engine 'none-1'"),
        ] {
            let error = Catalog::from_text("t.yaml", text).unwrap_err().to_string();
            assert!(error.starts_with("t.yaml:1:"), "{error}");
            assert!(error.contains(part), "{error}");
        }
        let own = Catalog::from_text("t.yaml", "aliases: { gpus: { L40S: [Ada Server] } }").unwrap();
        assert_eq!(own.gpu_called("ada-server").unwrap().name, "L40S");
    }
}
