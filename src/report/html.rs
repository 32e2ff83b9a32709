//! `report.html`: the whole result on one page that loads nothing from elsewhere.

use std::fmt::Write as _;

use super::figures::{Figure, escape};
use super::numbers::{count, percent, quantity, short, short_time, significant, span, time_of_day};
use super::{bands, palette};
use crate::ledger::outcome::{Constraint, Outcome, PerBoundary, Quantiles, Shares, Summary};

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1a1c20;--soft:#4a4f57;--page:#fbfbfa;--card:#fff;--line:#d9dce1}
@media(prefers-color-scheme:dark){:root{--ink:#e8e9eb;--soft:#a9aeb6;--page:#16181b;--card:#1f2226;--line:#3a3f46}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:68rem;padding:2rem 1.2rem 4rem;background:var(--page);color:var(--ink);
font:1rem/1.5 system-ui,-apple-system,'Segoe UI',sans-serif}
h1{font-size:1.9rem;margin:0}h2{font-size:1.25rem;margin:2.4rem 0 .6rem}
p{margin:.4rem 0;max-width:46rem}.soft,figcaption{color:var(--soft)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(10rem,1fr));gap:.8rem;margin:1.4rem 0}
.cards div{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.7rem .9rem}
.cards b{display:block;font-size:1.5rem;font-variant-numeric:tabular-nums}
figure{margin:1rem 0;background:#fff;border:1px solid var(--line);border-radius:.5rem;padding:.4rem;break-inside:avoid}
figure svg{display:block;width:100%;height:auto}
svg .tip:hover{fill:#1a1c20;fill-opacity:.18}
.table{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .7rem;border-bottom:1px solid var(--line);text-align:right;vertical-align:top}
th:first-child,td:first-child,.words th,.words td{text-align:left}
th{font-weight:600;color:var(--soft)}.words td:first-child{min-width:9rem}
pre{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.8rem;font-size:.85rem}
summary{cursor:pointer;font-weight:600}
@page{margin:14mm}
@media print{:root{color-scheme:light;--ink:#000;--soft:#333;--page:#fff;--card:#fff;--line:#bbb}
body{max-width:none;padding:0;font-size:10pt}.screen{display:none}h2{break-after:avoid;margin-top:1.6rem}
.cards{grid-template-columns:repeat(3,1fr)}.cards div,.table,tr{break-inside:avoid}.table,pre{overflow:visible}
details::details-content{display:block;content-visibility:visible;height:auto}
.table:has(.words){break-inside:auto}summary{list-style:none}th,td{padding:.25rem .45rem}
pre{white-space:pre-wrap;columns:3;font-size:7.5pt;line-height:1.3;border:0;padding:0}}
";

/// The page with its figures inside; the same outcome gives the same bytes.
pub(super) fn page(outcome: &Outcome, resolved_yaml: &str, figures: &[Figure]) -> String {
    let summary = &outcome.summary;
    let name = escape(&summary.scenario.name);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{name} · wattmill</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n"
    );
    head(&mut out, summary, &name);
    for figure in figures {
        let (title, svg) = figure.svg();
        let _ = writeln!(out, "<figure aria-label=\"{}\">\n{svg}</figure>", escape(title));
    }
    energy(&mut out, summary);
    accounts(&mut out, summary);
    service(&mut out, summary);
    binding(&mut out, summary);
    uncertainty(&mut out, outcome);
    pools(&mut out, summary);
    boundaries(&mut out, summary);
    notes(&mut out, summary);
    let _ = write!(
        out,
        "<h2>Scenario</h2>\n<p class=\"soft\">SHA-256 {}</p>\n<details><summary>As resolved, with every default</summary>\n\
         <pre>{}</pre>\n</details>\n</body>\n</html>\n",
        escape(&summary.scenario.hash),
        lines(resolved_yaml)
    );
    out
}

/// Several lines of text as they stand in HTML.
fn lines(text: &str) -> String {
    text.lines().map(escape).collect::<Vec<_>>().join("\n")
}

fn number(value: Option<f64>) -> String {
    value.map_or("–".to_string(), |v| significant(v, 3))
}

/// A table; rows of words are aligned to the left.
fn table(out: &mut String, words: bool, heads: &[&str], rows: &[Vec<String>]) {
    let class = if words { " class=\"words\"" } else { "" };
    let cells = |tag: &str, cells: &mut dyn Iterator<Item = String>| {
        cells.fold(String::from("<tr>"), |row, c| row + &format!("<{tag}>{}</{tag}>", escape(&c))) + "</tr>\n"
    };
    let _ = write!(out, "<div class=\"table\"><table{class}>\n<thead>");
    out.push_str(cells("th", &mut heads.iter().map(|h| h.to_string())).trim_end());
    out.push_str("</thead>\n<tbody>\n");
    for row in rows {
        out.push_str(&cells("td", &mut row.iter().cloned()));
    }
    out.push_str("</tbody></table></div>\n");
}

fn head(out: &mut String, summary: &Summary, name: &str) {
    let info = &summary.scenario;
    let gpus: u64 = summary.per_site.iter().map(|s| s.gpus).sum();
    let warm_up = match info.warm_up_s {
        s if s > 0.0 => format!("; rates leave out the first {}", span(s)),
        _ => String::new(),
    };
    let facts = format!(
        "{} GPUs, {} from {} local time{warm_up} · seed {} · wattmill {}",
        count(gpus),
        span(info.duration_s),
        time_of_day(info.start_at_h, 0.0),
        info.seed,
        env!("CARGO_PKG_VERSION")
    );
    let met =
        summary.slo_attainment.map_or("–".to_string(), |s| format!("{} %", significant(s * 100.0, 3)));
    let cards = [
        (short(summary.throughput.output_tok_per_s), "output tok/s"),
        (short(summary.throughput.useful_tok_per_s), "useful tok/s"),
        (number(summary.j_per_useful_token.facility), "J per useful token at the meter"),
        (quantity(summary.power_w.facility.mean, "W"), "mean draw at the meter"),
        (significant(summary.pue.mean, 3), "mean PUE"),
        (met, "of requests met their SLO"),
    ];
    let _ = writeln!(out, "<h1>{name}</h1>\n<p class=\"soft\">{}</p>\n<div class=\"cards\">", escape(&facts));
    for (value, what) in cards {
        let _ = writeln!(out, "<div><b>{}</b>{what}</div>", escape(&value));
    }
    out.push_str("</div>\n<h2>Figures</h2>\n<p class=\"soft screen\">Rest the pointer on a figure to read its values; each is also in <code>figures/</code> as SVG, PNG and CSV.</p>\n");
}

/// Name, joules of the whole run, and where its joules per token are.
type Boundary = (&'static str, f64, fn(&PerBoundary) -> Option<f64>);

fn energy(out: &mut String, summary: &Summary) {
    out.push_str("<h2>Energy and power</h2>\n");
    let j = [&summary.j_per_output_token, &summary.j_per_useful_token, &summary.j_per_accepted_answer];
    let boundaries: [Boundary; 3] = [
        ("GPU", summary.energy_j.gpu, |p| p.gpu),
        ("IT", summary.energy_j.it, |p| p.it),
        ("facility", summary.energy_j.facility, |p| p.facility),
    ];
    let rows: Vec<Vec<String>> = boundaries
        .into_iter()
        .map(|(name, joules, of)| {
            let start = [name.to_string(), significant(joules / 3.6e6, 4)];
            start.into_iter().chain(j.iter().map(|p| number(of(p)))).collect()
        })
        .collect();
    let heads = ["boundary", "kWh, whole run", "J/output token", "J/useful token", "J/accepted answer"];
    table(out, false, &heads, &rows);
    let by = &summary.energy_j.by;
    let fixed = [
        ("GPU active", by.gpu_active),
        ("GPU idle", by.gpu_idle),
        ("node overhead", by.node_overhead),
        ("losses and cooling by static PUE", by.pue_overhead),
    ];
    let parts = fixed.into_iter().map(|(n, j)| (n.to_string(), j)).chain(by.building.iter().cloned());
    let rows: Vec<Vec<String>> = parts
        .filter(|p| p.1 > 0.0)
        .map(|(name, joules)| {
            let name = name.strip_prefix("loss_").map_or(name.clone(), |device| format!("loss in {device}"));
            vec![name, significant(joules / 3.6e6, 4), percent(joules / summary.energy_j.facility)]
        })
        .collect();
    out.push_str("<p></p>\n");
    table(out, false, &["where it goes", "kWh", "share of the facility"], &rows);
    let power = &summary.power_w;
    let cap = power
        .cap_facility_mean
        .map_or("no cap".to_string(), |c| format!("cap {} on average", quantity(c, "W")));
    let _ = writeln!(
        out,
        "<p>Draw at the meter: mean {}, 99th percentile {}, peak {}; {cap}. Above the cap for {} ({}). PUE {} to {}.</p>",
        quantity(power.facility.mean, "W"),
        quantity(power.facility.p99, "W"),
        quantity(power.facility.max, "W"),
        short_time(power.overshoot_s),
        quantity(power.overshoot_j, "J"),
        significant(summary.pue.min, 3),
        significant(summary.pue.max, 3)
    );
}

/// Ratios of efficiency, and money, carbon and water, as far as the scenario knows them.
fn accounts(out: &mut String, summary: &Summary) {
    out.push_str("<h2>Accounts</h2>\n");
    let a = &summary.accounts;
    let window = [
        ("PUE", Some(summary.pue.mean), "facility over IT energy"),
        ("partial PUE, power chain", a.ppue.power_chain, "1 + losses over IT energy"),
        ("partial PUE, cooling", a.ppue.cooling, "1 + fans, pumps and chillers over IT energy"),
        ("ITUE", a.itue, "IT over GPU energy"),
        ("TUE", a.tue, "ITUE · PUE"),
        ("WUE [l/kWh]", a.wue_l_per_kwh, "water over IT energy"),
        ("CUE [kg/kWh]", a.cue_kg_per_kwh, "carbon over IT energy"),
        ("$ per million useful tokens", summary.cost_usd_per_million_useful_tok, "electricity and water"),
        ("g CO2 per million useful tokens", summary.carbon_g_per_million_useful_tok, "of the grid"),
    ];
    let whole = [
        ("cost, whole run [$]", a.cost_usd, "electricity and water, of those with a price"),
        ("carbon, whole run [kg CO2]", a.carbon_kg, "of the grid"),
        ("water, whole run [l]", a.water_l, "evaporated and bled by cooling"),
    ];
    let rows: Vec<Vec<String>> = window
        .into_iter()
        .chain(whole)
        .filter(|row| row.1.is_some())
        .map(|(name, value, what)| {
            vec![name.into(), value.map_or(String::new(), |v| significant(v, 4)), what.into()]
        })
        .collect();
    table(out, true, &["account", "value", "what it is"], &rows);
}

fn service(out: &mut String, summary: &Summary) {
    out.push_str("<h2>Service</h2>\n");
    let l = &summary.latency_s;
    let row = |name: &str, q: &Quantiles| {
        let values = [q.mean, q.p50, q.p90, q.p99].map(|v| v.map_or("–".to_string(), short_time));
        std::iter::once(name.to_string()).chain(values).collect::<Vec<_>>()
    };
    let rows = [
        row("time to first token (TTFT)", &l.ttft),
        row("time per output token (TPOT)", &l.tpot),
        row("between tokens (ITL)", &l.itl),
        row("waiting", &l.queue),
        row("whole request", &l.e2e),
    ];
    table(out, false, &["latency", "mean", "p50", "p90", "p99"], &rows);
    let r = &summary.requests;
    let _ = writeln!(
        out,
        "<p>{} requests arrived: {} completed, {} shed ({} out of patience, {} by a full queue, {} too long, {} overheated, {} lost with their replica, {} with no replica up), {} in flight; {} retried.</p>",
        count(r.arrived),
        count(r.completed),
        count(r.shed),
        count(r.shed_by.patience),
        count(r.shed_by.queue_full),
        count(r.shed_by.too_long),
        count(r.shed_by.overheated),
        count(r.shed_by.lost),
        count(r.shed_by.unavailable),
        count(r.in_flight),
        count(r.retried)
    );
    let Some(quality) = &summary.quality else { return };
    let rows: Vec<Vec<String>> = quality
        .by_class
        .iter()
        .map(|(name, c)| {
            let share =
                |v: Option<f64>| v.map_or("–".to_string(), |v| format!("{} %", significant(v * 100.0, 3)));
            vec![
                name.clone(),
                count(c.answered),
                share(c.accuracy),
                share(c.target),
                count(c.accepted_answers),
                number(c.mean_thinking_tok),
            ]
        })
        .collect();
    table(out, false, &["class", "answered", "right", "target", "accepted", "thinking tokens"], &rows);
}

fn listed(share: &Shares) -> [(Constraint, f64); 7] {
    let s = share;
    let values = [s.demand, s.compute, s.memory_bandwidth, s.kv_capacity, s.power, s.cooling, s.operations];
    std::array::from_fn(|k| (Constraint::ALL[k], values[k]))
}

fn binding(out: &mut String, summary: &Summary) {
    out.push_str("<h2>What binds</h2>\n");
    let s = &summary.staves_tok_per_s;
    let staves = [s.demand, s.compute, s.memory_bandwidth, s.kv_capacity, s.power, s.cooling, None];
    let rows: Vec<Vec<String>> = listed(&summary.binding.share)
        .into_iter()
        .zip(staves)
        .filter(|((_, share), stave)| *share > 0.0 || stave.is_some())
        .map(|((constraint, share), stave)| {
            let rate = stave.map_or("–".to_string(), |v| format!("{} tok/s", short(v)));
            vec![palette::name(constraint).to_string(), percent(share), rate]
        })
        .collect();
    table(out, false, &["limit", "share of GPU time", "would allow alone"], &rows);
}

fn uncertainty(out: &mut String, outcome: &Outcome) {
    let summary = &outcome.summary;
    let Some(uncertainty) = &summary.uncertainty else { return };
    let _ = writeln!(out, "<h2>{}</h2>", escape(&bands::heading(uncertainty)));
    let (changes, more) = bands::changes(summary, uncertainty);
    let rows: Vec<Vec<String>> = bands::figures(summary, uncertainty)
        .into_iter()
        .chain(changes)
        .map(|line| {
            let start = [line.what, line.run];
            start.into_iter().chain(line.band).chain([line.remark]).collect()
        })
        .collect();
    table(out, false, &["", "run", "5 %", "50 %", "95 %", "of the draws"], &rows);
    if more > 0 {
        let _ = writeln!(out, "<p>And {more} more changes of what binds.</p>");
    }
    if let Some(failed) = bands::failed(outcome, uncertainty) {
        let _ = writeln!(out, "<p>{}.</p>", escape(&failed));
    }
    let _ = writeln!(
        out,
        "<p class=\"soft\">{} Drawn: {}.</p>",
        escape(bands::LIMITS),
        escape(&uncertainty.coefficients.join(", "))
    );
}

fn pools(out: &mut String, summary: &Summary) {
    out.push_str("<h2>Pools</h2>\n");
    let rows: Vec<Vec<String>> = summary
        .per_pool
        .iter()
        .map(|p| {
            vec![
                p.name.clone(),
                format!("{} × {}", count(p.replicas), p.model),
                format!("{} × {}", count(p.gpus), p.gpu),
                short(p.output_tok_per_s),
                percent(p.busy_share),
                p.mean_clock.map_or("–".to_string(), percent),
                count(p.preemptions),
            ]
        })
        .collect();
    let heads = ["pool", "replicas", "GPUs", "output tok/s", "busy", "mean clock", "preemptions"];
    table(out, false, &heads, &rows);
}

fn boundaries(out: &mut String, summary: &Summary) {
    let around = if summary.energy_j.by.building.is_empty() {
        "losses and cooling, here as a static PUE times IT energy"
    } else {
        "losses of each power device and the draw of fans, pumps and chillers"
    };
    let _ = writeln!(
        out,
        "<h2>What is counted</h2>\n<p><b>GPU</b>: the accelerators' own draw, working and idle. <b>IT</b>: GPU plus the \
         rest of the nodes. <b>Facility</b>: IT plus {around}, as a utility meter would read it.</p>\n\
         <p>Counts and energies cover the whole run; rates, percentiles, shares and per-token figures cover the measured \
         window, warm-up excluded. A token is useful if its request met its SLO and, where its class has difficulty, \
         was answered right.</p>"
    );
}

fn notes(out: &mut String, summary: &Summary) {
    if !summary.notes.is_empty() {
        out.push_str("<h2>Notes</h2>\n<ul>\n");
        for note in &summary.notes {
            let _ = writeln!(out, "<li>{}</li>", escape(note));
        }
        out.push_str("</ul>\n");
    }
    out.push_str("<h2>Sources</h2>\n");
    let rows: Vec<Vec<String>> =
        summary.sources.iter().map(|s| vec![s.entry.clone(), s.quality.clone(), s.source.clone()]).collect();
    table(out, true, &["entry", "quality, weakest number", "source"], &rows);
}
