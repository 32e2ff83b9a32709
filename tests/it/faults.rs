//! Mistakes planted into the oracle: comparing the engines finds each, and shrinks it to a few requests.

use wattmill::SimOptions;
use wattmill::engine::{PlantedFault, simulate_with_fault};

use crate::engines::{difference, equal};
use crate::random_fleets::{Counterexample, first_different, shrink};
use crate::support;
use crate::windows::llama_window;

/// Two replicas with more work than slots and KV blocks.
const CROWDED: &str = "\
name: crowded
duration_s: 4
workload:
  classes:
    - name: a
      arrivals: { constant: { rate_per_s: 100 } }
      lengths: { prompt: { constant: { tok: 20 } }, answer: { exponential: { mean_tok: 20, max_tok: 60 } } }
fleet:
  sites:
    - pools:
        - model: Llama-3.1-8B
          gpu: H100-SXM-80GB
          node: ideal_linear
          nodes: 2
          parallel: { tensor: 8 }
          batching: { max_seqs: 8, max_step_tok: 64, kv_block_tok: 4, kv_blocks: 70 }
          step_law: { affine: { base_us: 10000, energy: { per_token: { it_j_per_tok: 1 } } } }
";

/// Two replicas that step on one grid; at 1 s the first one gets a second sequence, which the cap has no watts for,
/// at the very instant at which the second one starts its next iteration.
const IN_STEP: &str = "\
name: in-step
duration_s: 3
workload:
  classes:
    - name: long
      arrivals: { closed_loop: { in_flight: 2 } }
      lengths: { prompt: { constant: { tok: 900 } }, answer: { constant: { tok: 1000 } } }
    - name: extra
      arrivals: { constant: { rate_per_s: 1 } }
      lengths: { prompt: { constant: { tok: 50 } }, answer: { constant: { tok: 100 } } }
routing: round_robin
fleet:
  sites:
    - power: { cap_mw: 0.0052, policy: { uniform_clock: { clock_step: 0.05 } } }
      pools:
        - model: Llama-3.1-8B
          gpu: H100-SXM-80GB
          node: ideal_linear
          nodes: 2
          parallel: { tensor: 8 }
          step_law:
            affine:
              base_us: 10000
              energy: { per_state: { idle_w: 500, base_w: 1500, per_seq_w: 1000 } }
";

#[test]
fn planted_faults_are_found() {
    let own_law = CROWDED.lines().find(|line| line.contains("step_law")).expect("a law");
    let roofline = CROWDED.replace(own_law, "").replace("rate_per_s: 100", "rate_per_s: 1000");
    let drafted = roofline.replace("model: Llama-3.1-8B", "model: drafted").replace(
        "fleet:",
        "models:\n  - name: drafted\n    catalog: Llama-3.1-8B\n    speculation: { draft_tok: 4, draft: { head: {} }, \
         acceptance: 0.7 }\nfleet:",
    );
    for (fault, text) in [
        (PlantedFault::AdmissionOffByOne, CROWDED),
        (PlantedFault::KvBlockOffByOne, CROWDED),
        (PlantedFault::ClockChangeOneIterationEarly, IN_STEP),
        (PlantedFault::WindowOffByOne, &roofline),
        (PlantedFault::WindowOffByOne, &drafted),
        (PlantedFault::DraftRoundsUp, &drafted),
    ] {
        let resolved = support::load_with(text, &[], llama_window());
        let (segments, _) = equal("without a fault", &resolved);
        let exercised = match fault {
            PlantedFault::ClockChangeOneIterationEarly => segments.counters.clock_changes,
            _ => segments.counters.preemptions,
        };
        assert!(exercised > 0, "{fault:?}: {:?}", segments.counters);
        let options = SimOptions { keep_requests: true, ..SimOptions::default() };
        let faulty =
            simulate_with_fault(&resolved, &options, fault).unwrap_or_else(|e| panic!("{fault:?}: {e}"));
        let found = difference(&segments, &faulty).unwrap_or_else(|| panic!("{fault:?} was not found"));
        println!("{fault:?} was found: {}", found.lines().nth(1).unwrap_or_default());
    }
}

/// Of one of the first random fleets on which a fault shows, a few requests at a few replicas are left.
#[test]
fn planted_faults_shrink_to_small_fleets() {
    for fault in [
        PlantedFault::AdmissionOffByOne,
        PlantedFault::KvBlockOffByOne,
        PlantedFault::ClockChangeOneIterationEarly,
    ] {
        let mut from = 0;
        let shown = std::iter::from_fn(|| {
            let number = first_different(1, from..1000, Some(fault))?;
            from = number + 1;
            Some(number)
        });
        let small = |found: &(u64, Counterexample)| {
            let Counterexample { replicas, requests, .. } = &found.1;
            (1..=3).contains(replicas) && (1..=10).contains(requests)
        };
        // Some differences hang on a fleet as a whole.
        let shrunk =
            shown.take(12).filter_map(|number| Some((number, shrink(1, number, Some(fault))?))).find(small);
        let (number, Counterexample { told, replicas, requests, shrinks }) = shrunk.unwrap_or_else(|| {
            panic!("{fault:?} shows on none of 12 random fleets that shrinks to a small one")
        });
        println!(
            "{fault:?}: case {number}, in {shrinks} runs to {requests} requests at {replicas} replicas\n{told}"
        );
        assert!(told.contains(" requests differ, first at "), "{fault:?}: no request is named:\n{told}");
    }
}
