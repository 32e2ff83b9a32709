//! `wattmill trace info`: numbers worked out by hand, bad rows with their places.

use std::fs;
use std::process::Command;

use wattmill::workload::describe::{DescribeOptions, Description, describe};

use crate::support::close;

fn described(text: &str, window_s: f64) -> Description {
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("t.csv");
    fs::write(&path, text).expect("trace");
    let options = DescribeOptions { window_s, ..DescribeOptions::default() };
    describe(&path, &options).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn five_requests_by_hand() {
    // Gaps 1, 1, 0, 4 s: mean 1.5, variance (0.25 + 0.25 + 2.25 + 6.25)/4 = 2.25, so a CV of 1.
    let d = described(
        "arrival_s,prompt_tok,output_tok,class,difficulty,thinking_tok,session\n\
         2,10,40,a,easy,0,x\n3,20,30,b,hard,5,x\n4,30,20,a,easy,1,y\n4,40,10,a,hard,2,y\n8,50,100,b,medium,90,z\n",
        2.0,
    );
    assert_eq!((d.format, d.requests, d.bad_rows.count), ("wattmill", 5, 0));
    let all = &d.all;
    assert_eq!((all.first_s, all.last_s, all.span_s), (2.0, 8.0, 6.0));
    assert_eq!(all.rate_per_s.mean, Some(4.0 / 6.0));
    // From 2 s on by twos: 2, 2, 0, 1 requests; the first of the two fullest counts.
    assert_eq!((all.rate_per_s.peak, all.rate_per_s.peak_at_s), (1.0, 2.0));
    let gaps = all.gaps.expect("gaps");
    close("CV", gaps.cv.expect("a CV"), 1.0, 1e-12);
    assert_eq!((gaps.mean_s, gaps.simultaneous), (1.5, 0.25));
    let p = &all.prompt_tok;
    assert_eq!((p.mean, p.min, p.p50, p.p90, p.p99, p.max), (30.0, 10, 30, 50, 50, 50));
    close("sd", p.sd, 200_f64.sqrt(), 1e-12);
    let ln: Vec<f64> = [10.0_f64, 20.0, 30.0, 40.0, 50.0].iter().map(|x| x.ln()).collect();
    let mean = ln.iter().sum::<f64>() / 5.0;
    let sigma = (ln.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 5.0).sqrt();
    close("sigma", p.sigma_ln, sigma, 1e-12);
    // Prompts −20 … 20 about their mean, outputs 0, −10, −20, −30, 60: Σ = 100 + 0 − 300 + 1200 = 1000.
    close(
        "correlation",
        all.correlation.expect("both vary").tokens,
        200.0 / (200_f64.sqrt() * 1000_f64.sqrt()),
        1e-12,
    );
    assert_eq!(all.thinking_tok.expect("thought").max, 90);
    assert_eq!(d.difficulty, Some([2, 1, 2]));
    let classes: Vec<(&str, u64)> = d.classes.iter().map(|c| (c.name.as_str(), c.requests)).collect();
    assert_eq!(classes, [("a", 3), ("b", 2)]);
    assert_eq!(d.classes[1].profile.span_s, 5.0);
    assert_eq!(d.columns_not_read, ["session"]);
}

#[test]
fn dispersion_counts_whole_windows_with_empty_ones() {
    // Three requests at the start of every second minute, for an hour: 3 and 0 in turns over 60 s.
    let mut text = String::from("arrival_s,prompt_tok,output_tok\n");
    for minute in (0..=60).step_by(2) {
        for _ in 0..3 {
            text += &format!("{},5,5\n", minute * 60);
        }
    }
    let d = described(&text, 60.0);
    let at = |window_s: f64| d.all.dispersion.iter().find(|w| w.window_s == window_s).expect("windows");
    assert_eq!((at(60.0).windows, at(60.0).index), (60, 1.5));
    // One second in 120 has 3: mean 1/40, variance 9/120 − 1/1600.
    close("1 s", at(1.0).index, 3.0 - 1.0 / 40.0, 1e-9);
    assert!(d.all.dispersion.iter().all(|w| w.window_s < 600.0), "fewer than ten whole windows");
    assert_eq!(d.all.gaps.expect("gaps").simultaneous, 62.0 / 92.0);
    assert_eq!(d.all.correlation, None);
}

#[test]
fn bad_rows_are_listed_and_left_out() {
    let d = described(
        "arrival_s,prompt_tok,output_tok\n1,10,10\nx,10,10\n2,0,10\n3,10\n\n1.5,10,10\n4,30,\"10\n5,30,10\n",
        60.0,
    );
    assert_eq!((d.requests, d.bad_rows.count), (2, 5));
    let places: Vec<_> = d.bad_rows.first.iter().map(|row| (row.line, row.column)).collect();
    // The row at 3 s has two fields only; that at 1.5 s comes after one at 2 s that is bad for another reason.
    assert_eq!(
        places,
        [(3, 1), (4, 3), (5, 1), (7, 1), (8, 6)].map(|(line, column)| (Some(line), Some(column)))
    );
    assert_eq!(d.all.prompt_tok.mean, 20.0);

    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("t.csv");
    fs::write(&path, "arrival_s,prompt_tok,output_tok\n1,0,10\n2,0,1\n").expect("trace");
    let error = describe(&path, &DescribeOptions::default()).expect_err("no good row").to_string();
    assert!(
        error.contains("t.csv:2:3: `prompt_tok` = `0`") && error.contains("none of its 2 rows"),
        "{error}"
    );
}

#[test]
fn stamps_give_the_time_of_day() {
    let d = described(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:30:00,374,44\n2023-11-16 18:31:00.5,396,109\n",
        60.0,
    );
    assert_eq!((d.start_at_h, d.starts_utc.as_deref()), (Some(18.5), Some("2023-11-16T18:30:00Z")));
    assert_eq!((d.all.first_s, d.all.last_s), (0.0, 60.5));
}

#[test]
fn a_truncated_gzip_is_described_as_far_as_it_goes() {
    use std::io::Write;
    let dir = tempfile::tempdir().expect("temporary folder");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    writeln!(encoder, "arrival_s,prompt_tok,output_tok").expect("gzip");
    for i in 0..50_000 {
        writeln!(encoder, "{i},{},7", i % 997 + 1).expect("gzip");
    }
    let whole = encoder.finish().expect("gzip");
    let path = dir.path().join("t.csv.gz");
    fs::write(&path, &whole[..whole.len() / 2]).expect("trace");
    let d = describe(&path, &DescribeOptions::default()).expect("half of it");
    assert!(d.requests > 1000 && d.requests < 50_000, "{}", d.requests);
    assert_eq!(d.bad_rows.count, 1);
    assert!(d.bad_rows.first[0].message.contains("cannot be read on from here"), "{:?}", d.bad_rows);
}

#[test]
fn the_command_prints_a_table_or_json_and_head_is_no_error() {
    let path = format!("{}/traces/azure-2023-conversation-synth.csv", env!("CARGO_MANIFEST_DIR"));
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_wattmill"))
            .args(["trace", "info", &path])
            .args(arguments)
            .output()
            .expect("wattmill runs");
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let table = run(&[]);
    for part in ["wattmill, 6,000 requests", "CV 1.0", "p99", "bad rows    0"] {
        assert!(table.contains(part), "{table}");
    }
    let json: serde_json::Value = serde_json::from_str(&run(&["--json", "--window-s", "10"])).expect("JSON");
    assert_eq!(json["requests"], 6000);
    assert_eq!(json["rate_per_s"]["window_s"], 10.0);
    assert_eq!(json["prompt_tok"]["max"], 11_933);
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!("'{}' trace info '{path}' --json | head -n 1", env!("CARGO_BIN_EXE_wattmill")))
        .output()
        .expect("sh runs");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
