//! What an entry says: every number with unit, source and quality, and what follows from them.

use serde::Serialize;
use serde_json::Value;

use super::alias::Aliases;
use super::attention::Sparse;
use super::entry::Quality;
use super::fit::{Coefficient, FittedOn};
use super::model::{Model, Precision};
use super::quality::{Difficulty, QualityTier};
use super::{Catalog, Engine, Gpu, Node, weakest};

/// A kind of entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// GPUs and other accelerators.
    Gpus,
    /// Models.
    Models,
    /// Nodes.
    Nodes,
    /// Serving engines.
    Engines,
    /// Quality tiers.
    Quality,
    /// Coefficients that were fitted together.
    Fit,
}

impl Kind {
    /// All, in the order of listings.
    pub const ALL: [Self; 6] =
        [Self::Gpus, Self::Models, Self::Nodes, Self::Engines, Self::Quality, Self::Fit];

    /// As on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gpus => "gpus",
            Self::Models => "models",
            Self::Nodes => "nodes",
            Self::Engines => "engines",
            Self::Quality => "quality",
            Self::Fit => "fit",
        }
    }
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sheet {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Whether the user's own files give it.
    pub own: bool,
    /// What else it is called.
    pub aliases: Vec<String>,
    /// The weakest quality among its numbers.
    pub quality: Quality,
    /// Which numbers have it, and why.
    pub weakest: String,
    /// Where the entry as a whole is from; absent where each number has its own source.
    pub source: Option<String>,
    /// Fields that are words.
    pub words: Vec<(String, String)>,
    /// Its numbers.
    pub numbers: Vec<Number>,
    /// What follows from them.
    pub derived: Vec<Derived>,
}

/// A number of an entry.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Number {
    /// Path of its field.
    pub field: String,
    /// The number.
    pub value: f64,
    /// Its unit; empty: none.
    pub unit: &'static str,
    /// How much it can be trusted; absent where the entry has one quality as a whole.
    pub quality: Option<Quality>,
    /// Where it is from; absent where the entry has one source as a whole.
    pub source: Option<String>,
    /// The coefficient of the fit that it follows.
    pub follows: Option<Follows>,
}

/// A coefficient that a number follows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Follows {
    /// Its name.
    pub coefficient: String,
    /// The number over the coefficient.
    pub times: f64,
    /// The interval of the number that holds it with 95 % by the fit's own account.
    pub low95: f64,
    /// Its upper end.
    pub high95: f64,
}

/// A value that follows from the numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Derived {
    /// What it is.
    pub name: String,
    /// The value.
    pub value: f64,
    /// Its unit; empty: none.
    pub unit: &'static str,
}

impl Derived {
    fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit }
    }
}

impl Catalog {
    /// All entries of a kind, in the order of the files.
    #[must_use]
    pub fn sheets(&self, kind: Kind) -> Vec<Sheet> {
        match kind {
            Kind::Gpus => self.gpus.iter().map(|gpu| self.gpu_sheet(gpu)).collect(),
            Kind::Models => self.models.iter().map(|model| self.model_sheet(model)).collect(),
            Kind::Nodes => self.nodes.iter().map(|node| self.node_sheet(node)).collect(),
            Kind::Engines => self.engines.iter().map(|engine| self.engine_sheet(engine)).collect(),
            Kind::Quality => {
                let tiers = self.quality_tiers.iter().map(|tier| self.tier_sheet(tier));
                let retentions = self.retentions.iter().map(|r| self.sheet(kind, &r.name, r));
                let repeat = self.repeat_correlation.iter().map(|number| {
                    let name = "repeat_correlation";
                    self.sheet(kind, name, &serde_json::json!({ "correlation": number }))
                });
                tiers.chain(retentions).chain(repeat).collect()
            }
            Kind::Fit => self.fit.coefficients.iter().map(|c| self.coefficient_sheet(c)).collect(),
        }
    }

    /// The entries of this name, of whatever kind; if there is none, the entry that is also called so.
    #[must_use]
    pub fn sheets_called(&self, name: &str) -> Vec<Sheet> {
        let mut found: Vec<Sheet> = Kind::ALL
            .into_iter()
            .flat_map(|kind| self.sheets(kind))
            .filter(|sheet| sheet.name == name)
            .collect();
        if found.is_empty() {
            // Last of all by engine, whose lookup answers any name with its fallback.
            let gpu = self.gpu_called(name).map(|gpu| self.gpu_sheet(gpu));
            let model = || self.model_called(name).map(|(model, _)| self.model_sheet(model));
            let same = |other: &str| other.eq_ignore_ascii_case(name);
            let spelt =
                || Kind::ALL.into_iter().flat_map(|kind| self.sheets(kind)).find(|sheet| same(&sheet.name));
            found.extend(gpu.or_else(model).or_else(spelt));
        }
        found
    }

    /// Whether the user's own files give this entry.
    #[must_use]
    pub fn is_own(&self, kind: Kind, name: &str) -> bool {
        self.own.iter().any(|(k, n)| *k == kind && n == name) || (kind == Kind::Fit && self.own_fit)
    }

    fn sheet(&self, kind: Kind, name: &str, entry: &impl Serialize) -> Sheet {
        let (quality, weakest) = weakest(entry);
        let mut sheet = Sheet {
            kind,
            name: name.into(),
            own: self.is_own(kind, name),
            aliases: self.aliases.of(kind, name),
            quality,
            weakest,
            source: None,
            words: Vec::new(),
            numbers: Vec::new(),
            derived: Vec::new(),
        };
        if let Ok(Value::Object(fields)) = serde_json::to_value(entry) {
            for (field, value) in &fields {
                // The name is the sheet's own.
                if field != "name" {
                    self.collect(field, value, &mut sheet);
                }
            }
        }
        sheet
    }

    fn collect(&self, field: &str, value: &Value, sheet: &mut Sheet) {
        let number = |value: &Value| value.as_f64();
        match value {
            Value::Object(fields) if fields.contains_key("quality") && fields.contains_key("value") => {
                let text = |key: &str| fields.get(key).and_then(Value::as_str).map(str::to_owned);
                let Some(value) = fields.get("value").and_then(number) else { return };
                let times = fields.get("times").and_then(number).unwrap_or(1.0);
                let coefficient = text("fit").and_then(|name| self.fit.coefficient(&name));
                sheet.numbers.push(Number {
                    field: field.into(),
                    value,
                    unit: unit(field),
                    quality: fields.get("quality").and_then(|q| serde_json::from_value(q.clone()).ok()),
                    source: text("source"),
                    follows: coefficient.map(|c| {
                        let (low, high) = c.interval95();
                        Follows {
                            coefficient: c.name.clone(),
                            times,
                            low95: low * times,
                            high95: high * times,
                        }
                    }),
                });
            }
            Value::Object(fields) => {
                for (inner, value) in fields {
                    self.collect(&format!("{field}.{inner}"), value, sheet);
                }
            }
            Value::Number(_) => {
                let Some(value) = number(value) else { return };
                let unit = unit(field);
                sheet.numbers.push(Number {
                    field: field.into(),
                    value,
                    unit,
                    quality: None,
                    source: None,
                    follows: None,
                });
            }
            Value::String(text) if field == "source" => sheet.source = Some(text.clone()),
            Value::String(text) if field != "quality" => sheet.words.push((field.into(), text.clone())),
            _ => {}
        }
    }

    fn gpu_sheet(&self, gpu: &Gpu) -> Sheet {
        let mut sheet = self.sheet(Kind::Gpus, &gpu.name, gpu);
        let byte_s = gpu.hbm_tb_s.value * 1e12;
        let fractions = &gpu.fractions;
        let formats = [
            ("bf16", Some(&gpu.bf16_dense_tflops), Some(&fractions.gemm_mfu_bf16)),
            ("fp8", gpu.fp8_dense_tflops.as_ref(), fractions.gemm_mfu_fp8.as_ref()),
            ("fp4", gpu.fp4_dense_tflops.as_ref(), fractions.gemm_mfu_fp4.as_ref()),
        ];
        for (format, peak, mfu) in formats {
            let (Some(peak), Some(mfu)) = (peak, mfu) else { continue };
            let flop_s = peak.value * 1e12;
            sheet.derived.push(Derived::new(
                format!("ridge point {format}, peaks"),
                flop_s / byte_s,
                "FLOP/byte",
            ));
            sheet.derived.push(Derived::new(
                format!("ridge point {format}, reached"),
                flop_s * mfu.value / (byte_s * fractions.weight_mbu.value),
                "FLOP/byte",
            ));
        }
        let per_j = gpu.bf16_dense_tflops.value / gpu.tdp_w.value;
        sheet.derived.push(Derived::new("peak bf16 over TDP", per_j, "TFLOP/J"));
        sheet
    }

    fn model_sheet(&self, model: &Model) -> Sheet {
        let mut sheet = self.sheet(Kind::Models, &model.name, model);
        sheet.quality = model.quality;
        sheet.weakest = format!("all: {}", model.source);
        if let Some((quality, why)) = model.sparse.as_ref().map(weakest)
            && quality > model.quality
        {
            (sheet.quality, sheet.weakest) = (quality, why);
        }
        let mut put = |name: &str, value: f64, unit| sheet.derived.push(Derived::new(name, value, unit));
        put("parameters", model.total_params() * 1e-9, "1e9");
        put("parameters a token passes", model.active_params() * 1e-9, "1e9");
        put("weights as published", model.weight_bytes(model.native()) * 1e-9, "GB");
        put("KV cache per token, 16 bit", model.kv_bytes_per_tok(Precision::Bf16), "byte");
        if model.sliding.is_some() {
            put(
                "KV cache per token beyond the windows, 16 bit",
                model.kv_bytes_per_further_tok(Precision::Bf16),
                "byte",
            );
        }
        if model.mla.is_some() {
            put(
                "KV cache per token without latent attention, 16 bit",
                model.kv_bytes_per_tok_uncompressed(Precision::Bf16),
                "byte",
            );
        }
        // Two per parameter; the embedding is looked up, the head is not.
        let flop = 2.0 * (model.active_body_params() + model.head_params());
        put("FLOP per decoded token, without attention", flop * 1e-9, "GFLOP");
        // Beyond what sparse attention chooses, its indexer alone goes on.
        let per_layer = model.sparse.as_ref().map_or(model.decode_flop_per_layer(), Sparse::index_flop);
        let attention = model.global_layers() * per_layer;
        put("FLOP per decoded token and token of context, beyond windows", attention * 1e-6, "MFLOP");
        if let Some(tier) = self.default_quality_tier(model) {
            sheet.words.push(("default quality tier".into(), tier.name.clone()));
        }
        sheet
    }

    fn node_sheet(&self, node: &Node) -> Sheet {
        let mut sheet = self.sheet(Kind::Nodes, &node.name, node);
        for gpu in self.gpus.iter().filter(|gpu| gpu.node == node.name) {
            let gpus = f64::from(node.gpus.value);
            let wall = |w: f64| node.overhead_w.value + node.gpu_factor.value * gpus * w;
            sheet.derived.push(Derived::new(
                format!("wall, {} at TDP", gpu.name),
                wall(gpu.tdp_w.value),
                "W",
            ));
            let idle = wall(node.idle_loaded_w(gpu));
            sheet.derived.push(Derived::new(format!("wall, {} idle with weights", gpu.name), idle, "W"));
        }
        sheet
    }

    fn engine_sheet(&self, engine: &Engine) -> Sheet {
        self.sheet(Kind::Engines, &engine.name, engine)
    }

    fn tier_sheet(&self, tier: &QualityTier) -> Sheet {
        let mut sheet = self.sheet(Kind::Quality, &tier.name, tier);
        for difficulty in Difficulty::ALL {
            for budget_tok in [1024.0, 8192.0] {
                sheet.derived.push(Derived::new(
                    format!("P(right), {}, {budget_tok} tokens of thought", difficulty.name()),
                    tier.p_right(difficulty, budget_tok),
                    "",
                ));
            }
        }
        sheet
    }

    fn coefficient_sheet(&self, coefficient: &Coefficient) -> Sheet {
        let Coefficient { name, value, sd_ln, on, prior, prior_sd_ln, prior_source, at_most } = coefficient;
        let unit = unit(name);
        let (low, high) = coefficient.interval95();
        let mut numbers = vec![("value", *value, unit), ("95 % from", low, unit), ("95 % to", high, unit)];
        numbers.extend([("sd_ln", *sd_ln, ""), ("prior", *prior, unit), ("prior_sd_ln", *prior_sd_ln, "")]);
        numbers.extend(at_most.map(|most| ("at_most", most, unit)));
        let number = |(field, value, unit): (&str, f64, &'static str)| Number {
            field: field.into(),
            value,
            unit,
            quality: None,
            source: None,
            follows: None,
        };
        let on = match on {
            FittedOn::Links => "links",
            FittedOn::Time => "time",
            FittedOn::Watts => "watts",
            FittedOn::Caps => "caps",
        };
        let followers = Kind::ALL[..4].iter().flat_map(|kind| self.sheets(*kind)).filter(|sheet| {
            sheet.numbers.iter().any(|n| n.follows.as_ref().is_some_and(|f| f.coefficient == *name))
        });
        let followers: Vec<String> = followers.map(|sheet| sheet.name).collect();
        Sheet {
            kind: Kind::Fit,
            name: name.clone(),
            own: self.is_own(Kind::Fit, name),
            aliases: Vec::new(),
            quality: Quality::Fitted,
            weakest: self.fit.source.clone(),
            source: Some(self.fit.source.clone()),
            words: vec![
                ("fitted on".into(), on.into()),
                ("prior_source".into(), prior_source.clone()),
                ("followed by".into(), followers.join(", ")),
            ],
            numbers: numbers.into_iter().map(number).collect(),
            derived: Vec::new(),
        }
    }
}

impl Aliases {
    /// What else an entry is called.
    fn of(&self, kind: Kind, name: &str) -> Vec<String> {
        let listed = match kind {
            Kind::Gpus => self.gpus.get(name),
            Kind::Models => self.models.get(name),
            // Engines are called by family and version.
            Kind::Engines => name.rsplit_once('-').and_then(|(family, _)| self.engines.get(family)),
            Kind::Nodes | Kind::Quality | Kind::Fit => None,
        };
        listed.cloned().unwrap_or_default()
    }
}

/// The unit that a field's name ends in.
fn unit(field: &str) -> &'static str {
    const BY_END: [(&str, &str); 23] = [
        // A count, not a length.
        ("_per_tok", ""),
        ("_tflops", "TFLOP/s"),
        ("_tops", "TOP/s"),
        ("_k_per_w", "K/W"),
        ("_tb_s", "TB/s"),
        ("_gb_s", "GB/s"),
        ("_gb", "GB"),
        ("_us", "us"),
        ("_tok", "tokens"),
        ("_tdp", "of TDP"),
        ("_up_to_b", "1e9 parameters"),
        ("_w", "W"),
        ("_c", "degC"),
        ("mfu_bf16", "of peak"),
        ("mfu_fp8", "of peak"),
        ("mfu_fp4", "of peak"),
        ("_mfu", "of peak"),
        ("_mbu", "of peak"),
        ("link_fraction", "of link"),
        ("min_clock", "of full clock"),
        ("memory_clock_knee", "of full clock"),
        (".a0", "probability"),
        (".a1", "probability"),
    ];
    BY_END.iter().find(|(end, _)| field.ends_with(end)).map_or("", |(_, unit)| unit)
}
