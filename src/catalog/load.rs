//! Reading catalog files: the embedded ones, then a user's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use serde::Deserialize;
use serde_yaml::Spanned;
use thiserror::Error;

use super::alias::Aliases;
use super::attention::Sparse;
use super::entry::{Engine, Gpu, Node, Sourced};
use super::fit::Fit;
use super::model::Model;
use super::quality::{Answering, QualityTier};
use super::retention::Retention;
use super::sheet::Kind;
use super::{Catalog, nearest};

static EMBEDDED: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/configs/catalog");

/// Larger files are refused before parsing [byte].
const MAX_FILE_BYTES: u64 = 4 << 20;

/// The embedded files, by name.
pub(crate) fn embedded_files() -> BTreeMap<String, &'static [u8]> {
    EMBEDDED.files().map(|file| (file.path().display().to_string(), file.contents())).collect()
}

/// Why a catalog cannot be used.
#[derive(Debug, Error)]
pub enum CatalogError {
    /// A file or folder cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file's content is wrong.
    #[error("{file}:{line}:{column}: {message}")]
    Content {
        /// The file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// A folder holds no catalog file.
    #[error("{}: no .yaml file in this folder", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
}

/// One file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    sources: BTreeMap<String, String>,
    #[serde(default)]
    gpus: Vec<Spanned<Gpu>>,
    #[serde(default)]
    models: Vec<Spanned<Model>>,
    #[serde(default)]
    nodes: Vec<Spanned<Node>>,
    #[serde(default)]
    engines: Vec<Spanned<Engine>>,
    #[serde(default)]
    quality_tiers: Vec<Spanned<QualityTier>>,
    #[serde(default)]
    retentions: Vec<Spanned<Retention>>,
    repeat_correlation: Option<Spanned<Sourced<f64>>>,
    #[serde(default)]
    aliases: Option<Spanned<Aliases>>,
    fit: Option<Spanned<Fit>>,
}

/// Where an entry stands.
#[derive(Debug, Clone)]
struct At {
    file: String,
    line: u64,
    column: u64,
}

impl At {
    fn error(&self, message: String) -> CatalogError {
        CatalogError::Content { file: self.file.clone(), line: self.line, column: self.column, message }
    }
}

/// A catalog in the making: entries with their places.
#[derive(Debug, Default)]
struct Draft {
    sources: BTreeMap<String, String>,
    gpus: Vec<(At, Gpu)>,
    models: Vec<(At, Model)>,
    nodes: Vec<(At, Node)>,
    engines: Vec<(At, Engine)>,
    quality_tiers: Vec<(At, QualityTier)>,
    retentions: Vec<(At, Retention)>,
    repeat_correlation: Option<(At, Sourced<f64>)>,
    aliases: Vec<(At, Aliases)>,
    fit: Option<(At, Fit)>,
    own: Vec<(Kind, String)>,
    own_fit: bool,
}

impl Catalog {
    /// The catalog that comes with the program.
    ///
    /// # Errors
    /// Never for the files as released; a test reads them.
    pub fn embedded() -> Result<Self, CatalogError> {
        let mut draft = Draft::default();
        draft.add_embedded()?;
        draft.finish()
    }

    /// The embedded catalog with the `*.yaml` files of `dir` over it, in order of their names. An entry
    /// replaces the one of the same name and kind, or is added.
    ///
    /// # Errors
    /// An unreadable folder or file; a wrong key, number or name, with its place.
    pub fn with_overlay(dir: &Path) -> Result<Self, CatalogError> {
        let io = |source| CatalogError::Io { path: dir.to_path_buf(), source };
        let mut paths = Vec::new();
        for item in std::fs::read_dir(dir).map_err(io)? {
            let path = item.map_err(io)?.path();
            if path.extension().is_some_and(|ext| ext == "yaml" || ext == "yml") {
                paths.push(path);
            }
        }
        if paths.is_empty() {
            return Err(CatalogError::Empty { path: dir.to_path_buf() });
        }
        paths.sort();

        let mut draft = Draft::default();
        draft.add_embedded()?;
        let mut overlay = Draft { sources: draft.sources.clone(), ..Draft::default() };
        for path in paths {
            let io = |source| CatalogError::Io { path: path.clone(), source };
            let bytes = std::fs::metadata(&path).map_err(io)?.len();
            let name = path.display().to_string();
            if bytes > MAX_FILE_BYTES {
                let at = At { file: name, line: 1, column: 1 };
                return Err(at.error(format!(
                    "the file has {bytes} bytes; a catalog file has at most {MAX_FILE_BYTES}"
                )));
            }
            overlay.add(&name, &std::fs::read_to_string(&path).map_err(io)?)?;
        }
        draft.lay_over(overlay);
        draft.finish()
    }

    #[cfg(test)]
    pub(super) fn from_text(name: &str, text: &str) -> Result<Self, CatalogError> {
        let mut draft = Draft::default();
        draft.add_embedded()?;
        let mut own = Draft { sources: draft.sources.clone(), ..Draft::default() };
        own.add(name, text)?;
        draft.lay_over(own);
        draft.finish()
    }
}

fn merge<T>(
    base: &mut Vec<(At, T)>,
    overlay: Vec<(At, T)>,
    kind: Kind,
    own: &mut Vec<(Kind, String)>,
    name: impl Fn(&T) -> &String,
) {
    for (at, entry) in overlay {
        own.push((kind, name(&entry).clone()));
        match base.iter_mut().find(|(_, other)| name(other) == name(&entry)) {
            Some(slot) => *slot = (at, entry),
            None => base.push((at, entry)),
        }
    }
}

impl Draft {
    /// Puts a user's own entries over these: in place of the one of the same kind and name, or added.
    fn lay_over(&mut self, mut overlay: Self) {
        let own = &mut self.own;
        merge(&mut self.gpus, overlay.gpus, Kind::Gpus, own, |gpu| &gpu.name);
        merge(&mut self.models, overlay.models, Kind::Models, own, |model| &model.name);
        merge(&mut self.nodes, overlay.nodes, Kind::Nodes, own, |node| &node.name);
        merge(&mut self.engines, overlay.engines, Kind::Engines, own, |engine| &engine.name);
        merge(&mut self.quality_tiers, overlay.quality_tiers, Kind::Quality, own, |tier| &tier.name);
        merge(&mut self.retentions, overlay.retentions, Kind::Quality, own, |retention| &retention.name);
        self.aliases.append(&mut overlay.aliases);
        self.repeat_correlation = overlay.repeat_correlation.or(self.repeat_correlation.take());
        if overlay.fit.is_some() {
            self.fit = overlay.fit;
            self.own_fit = true;
        }
    }

    fn add_embedded(&mut self) -> Result<(), CatalogError> {
        for file in EMBEDDED.files() {
            let name = format!("configs/catalog/{}", file.path().display());
            let text = file.contents_utf8().unwrap_or_default();
            self.add(&name, text)?;
        }
        Ok(())
    }

    /// Reads one file; within a folder every name of a kind is unique.
    fn add(&mut self, name: &str, text: &str) -> Result<(), CatalogError> {
        let file: File = serde_yaml::from_str(text).map_err(|error| {
            let (line, column) =
                error.location().map_or((1, 1), |location| (location.line(), location.column()));
            CatalogError::Content { file: name.into(), line, column, message: plain(&error, line, column) }
        })?;
        self.sources.extend(file.sources);
        if let Some(Spanned { value, referenced, .. }) = file.fit {
            let at = At { file: name.into(), line: referenced.line(), column: referenced.column() };
            if let Some((first, _)) = &self.fit {
                return Err(at.error(format!(
                    "there is a `fit` already, at {}:{}: a catalog has one",
                    first.file, first.line
                )));
            }
            value.check().map_err(|message| at.error(message))?;
            self.fit = Some((at, value));
        }
        if let Some(Spanned { value, referenced, .. }) = file.aliases {
            let at = At { file: name.into(), line: referenced.line(), column: referenced.column() };
            self.aliases.push((at, value));
        }
        let sources = &self.sources;
        if let Some(Spanned { value: mut number, referenced, .. }) = file.repeat_correlation {
            let at = At { file: name.into(), line: referenced.line(), column: referenced.column() };
            if !(0.0..1.0).contains(&number.value) {
                return Err(
                    at.error(format!("repeat_correlation is {}; expected 0 to below 1", number.value))
                );
            }
            cite(&mut number.source, sources);
            self.repeat_correlation = Some((at, number));
        }
        add_all(
            name,
            &mut self.gpus,
            file.gpus,
            |gpu| &gpu.name,
            |gpu| {
                cite(&mut gpu.gpus_per_node.source, sources);
                cite_all(gpu.numbers_mut(), sources);
            },
        )?;
        add_all(
            name,
            &mut self.models,
            file.models,
            |model| &model.name,
            |model| {
                cite(&mut model.source, sources);
                cite_all(model.sparse.iter_mut().flat_map(Sparse::numbers_mut), sources);
            },
        )?;
        add_all(
            name,
            &mut self.nodes,
            file.nodes,
            |node| &node.name,
            |node| {
                cite(&mut node.gpus.source, sources);
                cite_all(node.numbers_mut(), sources);
            },
        )?;
        add_all(
            name,
            &mut self.engines,
            file.engines,
            |engine| &engine.name,
            |engine| cite_all(engine.numbers_mut(), sources),
        )?;
        add_all(
            name,
            &mut self.retentions,
            file.retentions,
            |retention| &retention.name,
            |retention| cite_all(retention.numbers_mut(), sources),
        )?;
        add_all(
            name,
            &mut self.quality_tiers,
            file.quality_tiers,
            |tier| &tier.name,
            |tier| {
                let QualityTier { name: _, default_up_to_b, sigma, easy, medium, hard } = tier;
                cite_all(default_up_to_b.iter_mut().chain([sigma]), sources);
                for answering in [easy, medium, hard] {
                    let Answering { a0, a1, mean_thinking_tok } = answering;
                    cite_all([a0, a1, mean_thinking_tok], sources);
                }
            },
        )
    }

    /// Checks what no single number shows.
    fn finish(mut self) -> Result<Catalog, CatalogError> {
        let fit = self.fit.map(|(_, fit)| fit).unwrap_or_default();
        for (at, gpu) in &mut self.gpus {
            follow(gpu.numbers_mut(), &fit).map_err(|message| at.error(message))?;
        }
        for (at, node) in &mut self.nodes {
            follow(node.numbers_mut(), &fit).map_err(|message| at.error(message))?;
        }
        for (at, engine) in &mut self.engines {
            follow(engine.numbers_mut(), &fit).map_err(|message| at.error(message))?;
        }
        for (at, gpu) in &self.gpus {
            check_gpu(gpu, &self.nodes).map_err(|message| at.error(message))?;
        }
        for (at, model) in &self.models {
            check_model(model).map_err(|message| at.error(message))?;
        }
        for (at, node) in &self.nodes {
            check_node(node).map_err(|message| at.error(message))?;
        }
        for (at, engine) in &self.engines {
            check_engine(engine).map_err(|message| at.error(message))?;
        }
        for (at, retention) in &self.retentions {
            retention.check().map_err(|message| at.error(message))?;
        }
        for (at, tier) in &self.quality_tiers {
            tier.check().map_err(|message| at.error(message))?;
        }
        let mut catalog = Catalog {
            gpus: without_places(self.gpus),
            models: without_places(self.models),
            nodes: without_places(self.nodes),
            engines: without_places(self.engines),
            quality_tiers: without_places(self.quality_tiers),
            retentions: without_places(self.retentions),
            repeat_correlation: self.repeat_correlation.map(|(_, number)| number),
            aliases: Aliases::default(),
            fit,
            own: self.own,
            own_fit: self.own_fit,
        };
        for (at, aliases) in self.aliases {
            catalog.aliases.extend(aliases);
            catalog.aliases.check(&catalog).map_err(|message| at.error(message))?;
        }
        Ok(catalog)
    }
}

/// The error's first line, without the place that is said already.
fn plain(error: &serde_yaml::Error, line: u64, column: u64) -> String {
    let text = error.without_snippet().to_string();
    let first = text.lines().next().unwrap_or_default();
    first.replace(&format!(" at line {line}, column {column}"), "").trim_start_matches("error: ").to_string()
}

fn without_places<T>(entries: Vec<(At, T)>) -> Vec<T> {
    entries.into_iter().map(|(_, entry)| entry).collect()
}

fn add_all<T>(
    file: &str,
    into: &mut Vec<(At, T)>,
    entries: Vec<Spanned<T>>,
    name: impl Fn(&T) -> &String,
    finish: impl Fn(&mut T),
) -> Result<(), CatalogError> {
    for Spanned { value: mut entry, referenced, .. } in entries {
        let at = At { file: file.into(), line: referenced.line(), column: referenced.column() };
        if let Some((first, _)) = into.iter().find(|(_, other)| name(other) == name(&entry)) {
            return Err(at.error(format!(
                "'{}' is there twice; the first is at {}:{}",
                name(&entry),
                first.file,
                first.line
            )));
        }
        finish(&mut entry);
        into.push((at, entry));
    }
    Ok(())
}

/// Gives numbers that follow a coefficient its value, and its source if they have none.
///
/// # Errors
/// A name that the fit does not have.
pub(super) fn follow(numbers: Vec<&mut Sourced<f64>>, fit: &Fit) -> Result<(), String> {
    for number in numbers {
        let Some(name) = &number.fit else { continue };
        match fit.coefficient(name) {
            Some(coefficient) => {
                number.take(coefficient.value);
                if number.source.is_empty() {
                    number.source.clone_from(&fit.source);
                }
            }
            None => {
                let near = nearest(name, fit.coefficients.iter().map(|other| other.name.as_str()));
                let hint = near.map(|near| format!("; did you mean '{near}'?")).unwrap_or_default();
                return Err(format!("the fit has no coefficient '{name}'{hint}"));
            }
        }
    }
    Ok(())
}

/// Replaces a key of `sources` by the citation it stands for.
fn cite(source: &mut String, sources: &BTreeMap<String, String>) {
    if let Some(full) = sources.get(source.as_str()) {
        source.clone_from(full);
    }
}

fn cite_all<'a, T: 'a>(
    numbers: impl IntoIterator<Item = &'a mut Sourced<T>>,
    sources: &BTreeMap<String, String>,
) {
    for number in numbers {
        cite(&mut number.source, sources);
    }
}

fn check_gpu(gpu: &Gpu, nodes: &[(At, Node)]) -> Result<(), String> {
    if !nodes.iter().any(|(_, node)| node.name == gpu.node) {
        return Err(format!("{}: unknown node '{}'{}", gpu.name, gpu.node, {
            let names = nodes.iter().map(|(_, node)| node.name.as_str());
            nearest(&gpu.node, names).map(|name| format!("; did you mean '{name}'?")).unwrap_or_default()
        }));
    }
    check_gpu_numbers(gpu)
}

/// What [`super::within`] has to keep to.
pub(super) fn check_gpu_numbers(gpu: &Gpu) -> Result<(), String> {
    let positive = [
        ("bf16_dense_tflops", gpu.bf16_dense_tflops.value),
        ("hbm_gb", gpu.hbm_gb.value),
        ("hbm_tb_s", gpu.hbm_tb_s.value),
        ("tdp_w", gpu.tdp_w.value),
        ("link_gb_s", gpu.link_gb_s.value),
        ("gpus_per_node", f64::from(gpu.gpus_per_node.value)),
        ("comm.link_fraction", gpu.comm.link_fraction.value),
        ("power.clock_exponent", gpu.power.clock_exponent.value),
    ];
    for (field, value) in positive {
        if value <= 0.0 {
            return Err(format!("{}: {field} must be above 0", gpu.name));
        }
    }
    for (field, peak) in [
        ("fp8_dense_tflops", &gpu.fp8_dense_tflops),
        ("fp4_dense_tflops", &gpu.fp4_dense_tflops),
        ("int8_dense_tops", &gpu.int8_dense_tops),
    ] {
        if peak.as_ref().is_some_and(|peak| peak.value <= 0.0) {
            return Err(format!("{}: {field} must be above 0; leave it out if there is none", gpu.name));
        }
    }
    let f = &gpu.fractions;
    for (peak, share, field) in
        [(&gpu.fp8_dense_tflops, &f.gemm_mfu_fp8, "fp8"), (&gpu.fp4_dense_tflops, &f.gemm_mfu_fp4, "fp4")]
    {
        if peak.is_some() != share.is_some() {
            return Err(format!(
                "{}: {field}_dense_tflops and fractions.gemm_mfu_{field} belong together: give both or none",
                gpu.name
            ));
        }
    }
    let power = &gpu.power;
    let mut shares = vec![
        ("fractions.gemm_mfu_bf16", &f.gemm_mfu_bf16),
        ("fractions.weight_mbu", &f.weight_mbu),
        ("fractions.expert_mfu_factor", &f.expert_mfu_factor),
        ("fractions.attn_mbu", &f.attn_mbu),
        ("fractions.absorbed_attn_mfu", &f.absorbed_attn_mfu),
        ("fractions.prefill_attn_mfu", &f.prefill_attn_mfu),
        ("power.min_clock", &power.min_clock),
        ("power.memory_clock_knee", &power.memory_clock_knee),
    ];
    shares.extend(f.gemm_mfu_fp8.iter().map(|share| ("fractions.gemm_mfu_fp8", share)));
    shares.extend(f.gemm_mfu_fp4.iter().map(|share| ("fractions.gemm_mfu_fp4", share)));
    for (field, share) in shares {
        if share.value <= 0.0 || share.value > 1.0 {
            return Err(format!("{}: {field} is {}, a share: above 0, at most 1", gpu.name, share.value));
        }
    }
    let tdp_w = gpu.tdp_w.value;
    let ladder = [
        ("empty_w", power.empty_w.value),
        ("idle_loaded_w", power.idle_loaded_w.value),
        ("p0_tdp", power.p0_tdp.value * tdp_w),
        ("pmax_tdp", power.pmax_tdp.value * tdp_w),
    ];
    for pair in ladder.windows(2) {
        if pair[0].1 > pair[1].1 {
            return Err(format!(
                "{}: power.{} ({} W) must not exceed power.{} ({} W)",
                gpu.name, pair[0].0, pair[0].1, pair[1].0, pair[1].1
            ));
        }
    }
    if power.p0_tdp.value > 1.0 {
        return Err(format!(
            "{}: power.p0_tdp is {}, a share of the TDP: at most 1",
            gpu.name, power.p0_tdp.value
        ));
    }
    Ok(())
}

fn check_model(model: &Model) -> Result<(), String> {
    let mut positive = vec![
        ("layers", model.layers),
        ("hidden", model.hidden),
        ("heads", model.heads),
        ("kv_heads", model.kv_heads),
        ("head_dim", model.head_dim),
        ("ffn", model.ffn),
        ("ffn_matrices", model.ffn_matrices),
        ("vocab", model.vocab),
    ];
    if let Some(moe) = &model.moe {
        positive.extend([
            ("moe.experts", moe.experts),
            ("moe.experts_per_tok", moe.experts_per_tok),
            ("moe.ffn", moe.ffn),
        ]);
        if moe.experts_per_tok > moe.experts {
            return Err(format!("{}: moe.experts_per_tok exceeds moe.experts", model.name));
        }
        if moe.dense_layers > model.layers {
            return Err(format!("{}: moe.dense_layers exceeds layers", model.name));
        }
    }
    if let Some(mla) = &model.mla {
        positive.extend([
            ("mla.q_lora_rank", mla.q_lora_rank),
            ("mla.kv_lora_rank", mla.kv_lora_rank),
            ("mla.qk_nope", mla.qk_nope),
            ("mla.qk_rope", mla.qk_rope),
            ("mla.v_head", mla.v_head),
        ]);
    }
    if let Some(sliding) = &model.sliding {
        positive.push(("sliding.window_tok", sliding.window_tok));
        if sliding.layers > model.layers {
            return Err(format!("{}: sliding.layers exceeds layers", model.name));
        }
    }
    if let Some(sparse) = &model.sparse {
        positive.extend([
            ("sparse.top_k_tok", sparse.top_k_tok),
            ("sparse.index_heads", sparse.index_heads),
            ("sparse.index_head_dim", sparse.index_head_dim),
        ]);
        for (field, share) in [
            ("decode_gather_mfu", &sparse.decode_gather_mfu),
            ("prefill_gather_mfu", &sparse.prefill_gather_mfu),
            ("index_mfu", &sparse.index_mfu),
            ("index_mbu", &sparse.index_mbu),
        ] {
            if !(share.value > 0.0 && share.value <= 1.0) {
                return Err(format!("{}: sparse.{field} is a share: above 0, at most 1", model.name));
            }
        }
        let other = match (&model.sliding, &model.mla) {
            (Some(_), _) => Some("sliding windows"),
            (_, Some(mla)) if mla.expanded => Some("an expanded cache"),
            _ => None,
        };
        if let Some(other) = other {
            return Err(format!("{}: sparse attention beside {other} is not known", model.name));
        }
    }
    match positive.iter().find(|(_, value)| *value == 0 || *value > 100_000_000) {
        Some((field, value)) => Err(format!("{}: {field} is {value}; expected 1 to 100,000,000", model.name)),
        None => Ok(()),
    }
}

pub(super) fn check_node(node: &Node) -> Result<(), String> {
    if node.gpus.value == 0 {
        return Err(format!("{}: gpus must be at least 1", node.name));
    }
    if node.gpu_factor.value < 1.0 {
        return Err(format!("{}: gpu_factor is at least 1: a watt of GPU is a watt at the wall", node.name));
    }
    if let Some(network) = &node.network {
        if network.port_gb_s.value <= 0.0 {
            return Err(format!("{}: network.port_gb_s must be above 0", node.name));
        }
        if !(network.port_fraction.value > 0.0 && network.port_fraction.value <= 1.0) {
            return Err(format!("{}: network.port_fraction is a share: above 0, at most 1", node.name));
        }
    }
    if let Some(over) = &node.overrides {
        for (field, share) in [("min_clock", &over.min_clock), ("memory_clock_knee", &over.memory_clock_knee)]
        {
            if share.as_ref().is_some_and(|share| share.value <= 0.0 || share.value > 1.0) {
                return Err(format!("{}: overrides.{field} is a share: above 0, at most 1", node.name));
            }
        }
        if over.clock_exponent.as_ref().is_some_and(|exponent| exponent.value <= 0.0) {
            return Err(format!("{}: overrides.clock_exponent must be above 0", node.name));
        }
    }
    Ok(())
}

pub(super) fn check_engine(engine: &Engine) -> Result<(), String> {
    let spread = engine.expert_spread.value;
    if spread <= 0.0 || spread > 1.0 {
        return Err(format!("{}: expert_spread is {spread}, a share: above 0, at most 1", engine.name));
    }
    Ok(())
}
