//! `wattmill validate`: synthetic measurements of a server known in closed form, names, broken tables, results.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::close;

/// A server whose GPU costs no time: a step takes 10 ms and 0.1 ms per sequence, at 100 W; idle at 40 W. Its node
/// holds 2 GPUs and draws 300 W and 1.5 times their watts.
const CATALOG: &str = "\
gpus:
  - name: Swift
    node: swift-node
    gpus_per_node: { value: 2, source: test, quality: guess }
    bf16_dense_tflops: { value: 1.0e+9, source: test, quality: guess }
    hbm_gb: { value: 80, source: test, quality: guess }
    hbm_tb_s: { value: 1.0e+9, source: test, quality: guess }
    tdp_w: { value: 100, source: test, quality: guess }
    link_gb_s: { value: 1.0e+9, source: test, quality: guess }
    fractions:
      gemm_mfu_bf16: { value: 1, source: test, quality: guess }
      weight_mbu: { value: 1, source: test, quality: guess }
      expert_mfu_factor: { value: 1, source: test, quality: guess }
      attn_mbu: { value: 1, source: test, quality: guess }
      absorbed_attn_mfu: { value: 1, source: test, quality: guess }
      prefill_attn_mfu: { value: 1, source: test, quality: guess }
      prefill_attn_overhead_tok: { value: 0, source: test, quality: guess }
    comm:
      one_shot_us: { value: 0, source: test, quality: guess }
      latency_us: { value: 0, source: test, quality: guess }
      link_fraction: { value: 1, source: test, quality: guess }
    power:
      empty_w: { value: 40, source: test, quality: guess }
      idle_loaded_w: { value: 40, source: test, quality: guess }
      p0_tdp: { value: 1, source: test, quality: guess }
      pmax_tdp: { value: 1, source: test, quality: guess }
      mbu_weight: { value: 1, source: test, quality: guess }
      mfu_weight: { value: 1, source: test, quality: guess }
      clock_exponent: { value: 1, source: test, quality: guess }
      min_clock: { value: 0.5, source: test, quality: guess }
      memory_clock_knee: { value: 0.5, source: test, quality: guess }
nodes:
  - name: swift-node
    gpus: { value: 2, source: test, quality: guess }
    overhead_w: { value: 300, source: test, quality: guess }
    gpu_factor: { value: 1.5, source: test, quality: guess }
engines:
  - name: plain-1.0
    per_step_us: { value: 10000, source: test, quality: guess }
    per_seq_us: { value: 100, source: test, quality: guess }
    per_moe_layer_us: { value: 0, source: test, quality: guess }
    per_layer_us: { value: 0, source: test, quality: guess }
    per_fp8_moe_layer_us: { value: 0, source: test, quality: guess }
    per_fp4_moe_layer_us: { value: 0, source: test, quality: guess }
    expert_spread: { value: 1, source: test, quality: guess }
    expert_tile_bf16_tok: { value: 0, source: test, quality: guess }
    expert_tile_fp8_tok: { value: 0, source: test, quality: guess }
    expert_tile_fp4_tok: { value: 0, source: test, quality: guess }
aliases:
  gpus: { Swift: [swift_card] }
  engines: { plain: [Plain Server] }
";

const COLUMNS: &str =
    "id,model,precision,gpu,gpus,tensor_parallel,batch,input_tok,output_tok,engine,engine_version";
/// The set-up of every closed form: one GPU, 8 in flight.
const SET_UP: &str = "Llama-3.1-8B,bf16,Swift,1,1,8,64,64,plain,1.0";
/// A step with 8 sequences [s].
const STEP_S: f64 = 0.0108;

/// A folder with a table and the catalog.
struct Place(tempfile::TempDir);

impl Place {
    fn with(table: &str) -> Self {
        let place = Self(tempfile::tempdir().expect("temporary folder"));
        fs::create_dir(place.path("catalog")).expect("folder");
        fs::write(place.path("catalog/swift.yaml"), CATALOG).expect("catalog");
        fs::write(place.path("m.csv"), table).expect("table");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_wattmill"))
            .current_dir(self.0.path())
            .arg("validate")
            .args(arguments)
            .output()
            .expect("wattmill runs")
    }

    /// The summary of `m.csv` on the test's catalog.
    #[track_caller]
    fn summary(&self, extra: &[&str]) -> Value {
        let output = self.run(&[&["m.csv", "--catalog", "catalog", "--json"], extra].concat());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        let printed = String::from_utf8(output.stdout).expect("UTF-8");
        serde_json::from_str(&printed).expect("JSON")
    }
}

fn number(value: &Value, path: &str) -> f64 {
    value.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("no number at {path}: {value}"))
}

#[test]
fn a_server_known_in_closed_form() {
    // All alike: 64 tokens of 10.8 ms, the first from the prompt's step; 8 at once.
    let table = format!(
        "{COLUMNS},output_tok_per_s,gpu_power_w,j_per_output_token,itl_ms,itl_p50_ms,ttft_ms,tpot_ms,e2e_ms\n\
         exact,{SET_UP},740.7407407,100,0.135,10.8,10.8,10.8,10.8,691.2\n\
         off,{SET_UP},814.8148148,80,,10.8,,5.4,,\n"
    );
    let summary = Place::with(&table).summary(&[]);
    let row = &summary["rows"][0];
    for (metric, value) in [
        ("output_tok_per_s", 8.0 / STEP_S),
        ("gpu_power_w", 100.0),
        ("j_per_output_token", 100.0 * STEP_S / 8.0),
        ("itl_ms", STEP_S * 1e3),
        ("ttft_ms", STEP_S * 1e3),
        ("tpot_ms", STEP_S * 1e3),
        ("e2e_ms", 64.0 * STEP_S * 1e3),
    ] {
        close(metric, number(row, &format!("/simulated/{metric}")), value, 1e-4);
        assert!(number(row, &format!("/errors/{metric}")).abs() < 1e-4, "{metric}: {row}");
    }
    // The histogram's cells have a width.
    close("median itl", number(row, "/simulated/itl_p50_ms"), STEP_S * 1e3, 5e-3);

    let errors = &summary["rows"][1]["errors"];
    close("10 % more was measured", number(errors, "/output_tok_per_s"), 1.0 / 1.1 - 1.0, 1e-3);
    close("20 W less", number(errors, "/gpu_power_w"), 0.25, 1e-3);
    close("half the time", number(errors, "/ttft_ms"), 1.0, 1e-3);
    assert!(errors.get("j_per_output_token").is_none(), "not measured: {errors}");

    // Errors of ttft: 0 and 1. Median 0.5, 90th percentile 0.9, bias 0.5.
    let ttft = &summary["metrics"]["ttft_ms"];
    assert_eq!(ttft["n"], 2);
    close("median", number(ttft, "/median_abs_err"), 0.5, 1e-3);
    close("p90", number(ttft, "/p90_abs_err"), 0.9, 1e-3);
    close("bias", number(ttft, "/bias"), 0.5, 1e-3);
    let nothing = &summary["metrics"]["node_power_w"];
    assert_eq!(nothing["n"], 0);
    for field in ["median_abs_err", "p90_abs_err", "bias"] {
        assert!(nothing[field].is_null(), "{nothing}");
    }
}

#[test]
fn rates_do_not_hang_on_the_spread_where_steps_do_not() {
    // Each slot emits a token a step, whatever the lengths: 8 in a step of 10.8 ms.
    let mut table = format!("{COLUMNS},output_sigma,output_tok_per_s\n");
    for sigma in ["0", "0.3", "0.8", "1.1"] {
        table += &format!("s{sigma},Llama-3.1-8B,bf16,Swift,1,1,8,30,400,plain,1.0,{sigma},740.7407407\n");
    }
    let summary = Place::with(&table).summary(&[]);
    for row in summary["rows"].as_array().expect("rows") {
        assert!(number(row, "/errors/output_tok_per_s").abs() < 2e-4, "{row}");
    }
}

#[test]
fn replicas_share_the_batch_and_nodes_are_settled() {
    // Two replicas of 8 each. Both GPUs of the node: 300 W + 1.5 · 200 W. Idle: 300 W + 1.5 · 80 W.
    let table = format!(
        "{COLUMNS},data_parallel,output_tok_per_s,gpu_power_w,node_power_w,throughput_ratio,relative_to\n\
         two,Llama-3.1-8B,bf16,Swift,2,1,16,64,64,plain,1.0,2,1481.481481,200,600,2,one\n\
         one,{SET_UP},1,740.7407407,100,,,\n\
         idle,Llama-3.1-8B,bf16,Swift,2,1,0,,,plain,1.0,2,,80,420,,\n\
         wrong,Llama-3.1-8B,bf16,Swift,2,1,16,64,64,plain,1.0,4,1,,,,\n"
    );
    let summary = Place::with(&table).summary(&[]);
    let two = &summary["rows"][0]["errors"];
    for metric in ["output_tok_per_s", "gpu_power_w", "node_power_w", "throughput_ratio"] {
        assert!(number(two, &format!("/{metric}")).abs() < 1e-4, "{metric}: {two}");
    }
    let idle = &summary["rows"][2]["errors"];
    for metric in ["gpu_power_w", "node_power_w"] {
        assert!(number(idle, &format!("/{metric}")).abs() < 1e-9, "{metric}: {idle}");
    }
    let wrong = summary["rows"][3]["error"].as_str().expect("an error");
    assert!(wrong.contains("2 GPUs hold 2 replicas of 1, the row says data_parallel 4"), "{wrong}");
}

#[test]
fn names_are_looked_up_and_what_cannot_be_is_said_in_the_row() {
    let mut table = format!("{COLUMNS},note,output_tok_per_s\n");
    for (id, cells) in [
        ("hub", "meta-llama/Llama-3.1-8B-Instruct,bfloat16,swift_card,1,1,8,64,64,Plain Server,1.0.3"),
        ("newer", "Llama-3.1-8B,BF16,SWIFT,1,1,8,64,64,plain,3.1"),
        ("model", "acme/Gadget-7B,bf16,Swift,1,1,8,64,64,plain,1.0"),
        ("gpu", "Llama-3.1-8B,bf16,Swoft,1,1,8,64,64,plain,1.0"),
        ("format", "Llama-3.1-8B,fp6,Swift,1,1,8,64,64,plain,1.0"),
        ("memory", "Llama-3.1-405B,bf16,Swift,2,2,8,64,64,plain,1.0"),
        ("split", "Llama-3.1-8B,bf16,Swift,4,4,8,64,64,plain,1.0"),
        ("long", "Llama-3.1-8B,bf16,Swift,1,1,8,900000,64,plain,1.0"),
    ] {
        table += &format!("{id},{cells},as it is,740\n");
    }
    let place = Place::with(&table);
    let summary = place.summary(&[]);
    assert_eq!(summary["counts"], serde_json::json!({ "rows": 8, "simulated": 2, "failed": 6 }));
    let rows = summary["rows"].as_array().expect("rows");
    assert_eq!(rows[0]["simulated_as"]["gpu"], "Swift");
    assert_eq!(rows[0]["simulated_as"]["model"], "Llama-3.1-8B");
    assert_eq!(rows[0]["copied"]["note"], "as it is");
    let remarks = |i: usize| rows[i]["remarks"].to_string();
    assert!(!remarks(0).contains("simulated as"), "{}", remarks(0));
    assert!(remarks(1).contains("plain 3.1 is simulated as plain-1.0"), "{}", remarks(1));
    for (i, words) in [
        (2, "unknown model 'acme/Gadget-7B'"),
        (3, "unknown GPU 'Swoft'; did you mean 'Swift'?"),
        (4, "unknown precision 'fp6'"),
        (5, "needs 4"),
        (6, "a replica over 4 GPUs does not fit a node of 2"),
        (7, "a prompt of 900000 tokens does not fit"),
    ] {
        let error = rows[i]["error"].as_str().unwrap_or_default();
        assert!(error.contains(words), "{i}: {error}");
        assert!(rows[i]["errors"].as_object().is_some_and(serde_json::Map::is_empty));
    }
    assert_eq!(summary["warnings"][0], "not understood, copied as it is: `note`");
    let csv = fs::read_to_string(place.path("output/validate-m/rows.csv")).expect("rows.csv");
    assert_eq!(csv.lines().count(), 9);
    assert!(csv.lines().next().is_some_and(|header| header.ends_with("error,remarks,source,note")), "{csv}");
}

#[test]
fn known_tables_by_their_header() {
    let ml_energy = "\
task,model_id,weight_precision,gpu_model,num_gpus,tensor_parallel,expert_parallel,data_parallel,max_num_seqs,\
avg_output_len,output_throughput_tokens_per_sec,avg_power_watts,energy_per_token_joules,median_itl_ms,suspect_host_bound
lm-arena-chat,Qwen/Qwen3-30B-A3B-Instruct-2507,bfloat16,B200,2,1,2,1,8,900,1500,700,0.4667,5,0
gpqa,openai/gpt-oss-120b,mxfp4,H100,2,1,2,2,8,1718,900,350,0.7778,9,1
";
    let summary = Place::with(ml_energy).summary(&[]);
    assert_eq!(summary["table"], "ML.ENERGY");
    for metric in ["output_tok_per_s", "gpu_power_w", "j_per_output_token", "itl_p50_ms"] {
        assert_eq!(summary["metrics"][metric]["n"], 2, "{metric}");
    }
    assert_eq!(summary["metrics"]["itl_ms"]["n"], 0);
    let remarks = summary["rows"][1]["remarks"].to_string();
    assert!(remarks.contains("prompts of 300 tokens, by its task"), "{remarks}");
    assert!(remarks.contains("sigma 0.7, by its task"), "{remarks}");
    assert!(remarks.contains("taken 2 times"), "{remarks}");
    // 350 W over 900 tokens/s is half of 0.7778 J: the power of one of the two GPUs.
    assert!(remarks.contains("that of one GPU"), "{remarks}");
    assert_eq!(summary["rows"][1]["suspect_host_bound"], true);

    let inference_x = "\
id,backend,backend_version,model_path,system,precision,isl,osl,concurrency,batch_size,tp_size,pp_size,\
attention_dp_size,moe_tp_size,moe_ep_size,silicon_ttft_ms,silicon_tpot_ms,n_gpus,out_tok_s_est
a,sglang,0.5.9,meta-llama/Llama-3.1-70B,h200_sxm,fp8,1024,1024,4.0,4.0,8.0,1.0,,1.0,1.0,100,8,8.0,480
b,vllm,,meta-llama/Llama-3.1-70B,h200_sxm,fp8,1024,1024,4.0,4.0,4.0,2.0,,1.0,1.0,100,8,8.0,480
c,trtllm,1.0,Qwen/Qwen3-32B,gb200,,1024,1024,4.0,4.0,2.0,1.0,0.0,0.0,0.0,100,8,0.0,480
";
    let summary = Place::with(inference_x).summary(&[]);
    assert_eq!(summary["table"], "InferenceX");
    assert_eq!(summary["rows"][0]["simulated_as"]["precision"], "fp8");
    assert_eq!(summary["rows"][1]["error"], "2 pipeline stages cannot be simulated");
    // Unknown counts: the GPUs of one replica.
    assert_eq!(summary["rows"][2]["gpus"], 2);
    assert_eq!(summary["metrics"]["ttft_ms"]["n"], 2);
}

const REPLAY: &str = "\
request_id,arrival_s,input_tokens,output_tokens,measured_queue_s,measured_ttft_s,measured_e2e_s,measured_tpot_ms
r0,0.0,100,50,0,0.0101,0.505,10.1
r1,10.0,100,50,0,0.0202,0.505,10.1
";
const META: &str = r#"{ "gpu": "Swift", "model": "meta-llama/Llama-3.1-8B", "max_num_seqs": 8,
 "max_num_batched_tokens": 2048, "dtype": "bfloat16", "kv_cache_dtype": "auto", "seed": 42 }"#;

#[test]
fn a_replay_in_closed_form() {
    // Alone, a request takes 50 steps of the host's time; vLLM is what a description means.
    let place = Place::with(REPLAY);
    fs::write(place.path("m_meta.json"), META).expect("description");
    let one = fs::read_to_string(place.path("catalog/swift.yaml")).expect("catalog");
    fs::write(place.path("catalog/swift.yaml"), one.replace("plain-1.0", "vllm-0.19")).expect("catalog");
    let summary = place.summary(&[]);
    assert_eq!(summary["table"], "replay");
    let rows = summary["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 3);
    for metric in ["ttft_ms", "tpot_ms", "e2e_ms"] {
        assert!(number(&rows[0], &format!("/errors/{metric}")).abs() < 1e-4, "{metric}: {}", rows[0]);
    }
    close("half", number(&rows[1], "/errors/ttft_ms"), -0.5, 1e-3);
    // From the first arrival to the last token.
    close("makespan", number(&rows[2], "/simulated/makespan_s"), 10.505, 1e-4);
    close("makespan", number(&rows[2], "/measured/makespan_s"), 10.505, 1e-9);

    let elsewhere = place.path("elsewhere.json");
    fs::rename(place.path("m_meta.json"), &elsewhere).expect("move");
    let missing = place.run(&["m.csv"]);
    assert_eq!(missing.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(stderr.starts_with("m_meta.json: the replay's description cannot be opened"), "{stderr}");
    assert!(stderr.contains("--meta"), "{stderr}");
    let again = place.summary(&["--meta", "elsewhere.json"]);
    assert_eq!(again["rows"], summary["rows"]);

    fs::write(&elsewhere, "{ \"gpu\": \"Swift\",\n  \"model\": 3 }").expect("description");
    let broken = place.run(&["m.csv", "--meta", "elsewhere.json"]);
    assert_eq!(broken.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&broken.stderr).into_owned();
    assert!(stderr.starts_with("elsewhere.json:2:"), "{stderr}");
}

/// Refused with exit 2 at `place`, nothing written.
#[track_caller]
fn refused(table: &str, place: &str, words: &str) {
    let folder = Place::with(table);
    let output = folder.run(&["m.csv", "--catalog", "catalog"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(output.stdout.is_empty());
    assert!(stderr.starts_with(place), "expected {place}: {stderr}");
    assert!(stderr.contains(words), "expected '{words}': {stderr}");
    assert!(!folder.path("output").exists());
}

#[test]
fn broken_tables_with_their_places() {
    refused("", "m.csv: ", "is empty");
    refused("a,b,c\n1,2,3\n", "m.csv:1:1: ", "is of no known table; known are wattmill");
    refused(&format!("{COLUMNS}\nx,{SET_UP}\n"), "m.csv:1:1: ", "nothing was measured");
    refused(&format!("{COLUMNS},ttft_ms\n"), "m.csv: ", "no rows");
    let no_gpus = COLUMNS.replace(",gpus,", ",");
    refused(&format!("{no_gpus},ttft_ms\n"), "m.csv:1:1: ", "there is no column `gpus`");
    let row = |cells: &str| format!("{COLUMNS},ttft_ms\nx,{cells}\n");
    // The columns are those of the cells' first characters.
    for (cells, column, words) in [
        ("Llama-3.1-8B,bf16,Swift,1,1,8,64,64,plain,1.0,ten", 49, "`ttft_ms` = `ten` is not a number"),
        ("Llama-3.1-8B,bf16,Swift,1,1,8,64,64,plain,1.0,nan", 49, "is not a number"),
        ("Llama-3.1-8B,bf16,Swift,1,1,8,64,64,plain,1.0,-3", 49, "must be above 0"),
        ("Llama-3.1-8B,bf16,Swift,1,1,2.5,64,64,plain,1.0,9", 31, "`batch` = `2.5` must be a whole number"),
        ("Llama-3.1-8B,bf16,Swift,1,0,8,64,64,plain,1.0,9", 29, "`tensor_parallel` = `0`"),
        ("Llama-3.1-8B,bf16,Swift,,1,8,64,64,plain,1.0,9", 27, "`gpus` is empty"),
        (",bf16,Swift,1,1,8,64,64,plain,1.0,9", 3, "`model` is empty"),
        ("Llama-3.1-8B,bf16,Swift,1,1,8,0,64,plain,1.0,9", 33, "`input_tok` = `0`"),
        ("Llama-3.1-8B,bf16,Swift,1,1,8,,64,plain,1.0,9", 33, "`input_tok` is empty"),
        ("Llama-3.1-8B,bf16,Swift,1,1,8,64,,plain,1.0,9", 36, "`output_tok` is empty"),
    ] {
        refused(&row(cells), &format!("m.csv:2:{column}: "), words);
    }
    refused(&row("Llama-3.1-8B,bf16"), "m.csv:2:1: ", "the row has 3 fields, the header 12");
    refused(
        &format!("{COLUMNS},ttft_ms,relative_to\nx,{SET_UP},9,y\n"),
        "m.csv:2:51: ",
        "`relative_to` = `y` is no row's id",
    );
}

#[test]
fn the_same_bytes_whatever_the_jobs() {
    let mut table = format!("{COLUMNS},output_sigma,output_tok_per_s,ttft_ms\n");
    for batch in 1..=12 {
        table += &format!("b{batch},Llama-3.1-8B,bf16,Swift,1,1,{batch},64,300,plain,1.0,0.9,700,11\n");
    }
    let place = Place::with(&table);
    let read = |dir: &str| -> Vec<(String, Vec<u8>)> {
        ["rows.csv", "summary.json", "figures/parity.svg", "figures/parity.csv", "figures/parity.png"]
            .map(|name| (name.to_string(), fs::read(place.path(dir).join(name)).expect(name)))
            .to_vec()
    };
    for jobs in ["1", "3"] {
        place.summary(&["--jobs", jobs, "-o", &format!("jobs-{jobs}")]);
    }
    assert!(read("jobs-1") == read("jobs-3"));
}

#[test]
fn results_are_replaced_as_those_of_runs() {
    let table = format!("{COLUMNS},ttft_ms\nx,{SET_UP},10\n");
    let place = Place::with(&table);
    let again = |extra: &[&str]| {
        let output = place.run(&[&["m.csv", "--catalog", "catalog", "-q"], extra].concat());
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(again(&["-o", "r"]).0, Some(0));
    assert_eq!(again(&["-o", "r"]).0, Some(0), "the same result");
    let (code, stderr) = again(&["-o", "r", "--seed", "2"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("holds the result of another validation"), "{stderr}");
    assert_eq!(again(&["-o", "r", "--seed", "2", "--force"]).0, Some(0));
    let (code, stderr) = again(&["-o", "catalog", "--force"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("would be replaced, but holds the input"), "{stderr}");
    let (code, stderr) = again(&["--meta", "x.json"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("--meta describes a replay"), "{stderr}");
}

#[test]
fn published_figures_come_along() {
    let place = Place::with("");
    let output = place.run(&["--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let summary: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(summary["counts"]["failed"], 0, "{summary}");
    for metric in
        ["output_tok_per_s", "gpu_power_w", "j_per_output_token", "node_power_w", "throughput_ratio"]
    {
        assert!(summary["metrics"][metric]["n"].as_u64() > Some(1), "{metric}");
    }
    // Anchors that the catalog is fitted to: caps and wall power.
    assert!(number(&summary, "/metrics/throughput_ratio/median_abs_err") < 0.05, "{summary}");
    assert!(number(&summary, "/metrics/node_power_w/median_abs_err") < 0.05, "{summary}");
    for row in summary["rows"].as_array().expect("rows") {
        assert!(row["source"].as_str().is_some_and(|source| !source.is_empty()), "{row}");
    }
}

#[test]
fn measured_tables_of_the_fit() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/perf");
    if !data.is_dir() {
        println!("SKIPPED: ../shared/data absent; the measured tables were not simulated");
        return;
    }
    for (file, kind, rows, metric, most) in [
        ("mlenergy_llm_calib.csv", "ML.ENERGY", 461, "output_tok_per_s", 0.25),
        ("vllm_replay_RTXPRO6000_Llama-3.1-8B.csv", "replay", 301, "e2e_ms", 0.35),
    ] {
        let place = Place::with("");
        let path = data.join(file);
        let output = place.run(&[path.to_str().expect("UTF-8"), "--json"]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let summary: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(summary["table"], kind);
        assert_eq!(summary["counts"]["rows"], rows);
        let median = number(&summary, &format!("/metrics/{metric}/median_abs_err"));
        assert!(median < most, "{file}: {metric} {median}");
    }
}
