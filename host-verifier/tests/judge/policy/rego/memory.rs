//! How much memory a module may take.

use core::time::Duration;

use assay_host_verifier::policy::rego::{DEFAULT_MEMORY, Module, ModuleOutcome, Source};
use serde_json::json;

use super::{load, now, source};

const MIB: u64 = 1024 * 1024;

/// Time is no matter here: what ends an evaluation is its memory.
const LONG: Duration = Duration::from_secs(300);

fn ask(body: &str, memory: u64) -> (ModuleOutcome, String) {
    let text = format!("package m\ndefault allow := false\n{body}\n");
    let module = Module::load(&Source {
        memory,
        timeout: LONG,
        ..source(&text)
    });
    let module = module.unwrap_or_else(|error| panic!("{body}: {error:?}"));
    let input = json!({"n": (0..400).collect::<Vec<_>>(), "text": "x".repeat(100_000)});
    let verdict = module.evaluate(&input, now());
    (verdict.outcome, verdict.to_string())
}

/// Each collects 400 times what a builtin or an expression makes, which is 40 MB or more.
const COLLECTED: &[&str] = &[
    r#"[concat("", [input.text, sprintf("%d", [i])]) | some i in input.n]"#,
    r#"{concat("", [input.text, sprintf("%d", [i])]) | some i in input.n}"#,
    r#"{i: concat("", [input.text, sprintf("%d", [i])]) | some i in input.n}"#,
    r#"{concat("", [input.text, sprintf("%d", [i])]): i | some i in input.n}"#,
    r#"[sprintf("%s%d", [input.text, i]) | some i in input.n]"#,
    r#"[base64.encode(sprintf("%s%d", [input.text, i])) | some i in input.n]"#,
    r#"[hex.encode(sprintf("%s%d", [input.text, i])) | some i in input.n]"#,
    r#"[json.marshal([input.text, i]) | some i in input.n]"#,
    r#"[replace(input.text, "x", "yz") | some i in input.n]"#,
    r#"[upper(input.text) | some i in input.n]"#,
    r#"[split(substring(input.text, 0, 10000 + i), "") | some i in input.n]"#,
    r#"[array.concat(input.n, array.concat(input.n, [i])) | some i in input.n; some j in [0, 1, 2]]"#,
    r#"[object.union({"text": sprintf("%s%d", [input.text, i])}, {"i": i}) | some i in input.n]"#,
    r#"[same | some i in input.n; same := {[a, i, a, i, a, i, a, i] | some a in input.n}]"#,
    r#"[same | some i in input.n; same := [[a, i, a, i, a, i, a, i] | some a in input.n]]"#,
];

#[test]
fn whatever_a_module_collects_ends_at_its_memory_and_denies() {
    for expression in COLLECTED {
        // Not used up at once but held, and not over what `try_out` has: without `input.n` it is undefined.
        let body = format!("allow if {{\n all := {expression}\n count(all) > 0\n}}");
        let (outcome, said) = ask(&body, 16 * MIB);
        assert_eq!(outcome, ModuleOutcome::Memory, "{expression}: {said}");
        assert!(
            said.ends_with("data.m.allow needs more memory than it may take: the limit is 16 MiB"),
            "{said}"
        );
    }
}

#[test]
fn neither_not_nor_a_function_nor_another_rule_hides_it() {
    let all = r#"count([sprintf("%s%d", [input.text, i]) | some i in input.n])"#;
    for body in [
        format!("allow if not {all} == 0"),
        format!("allow if large(1) > 0\nlarge(_) := {all}"),
        "all contains text if {\n some i in input.n\n text := sprintf(\"%s%d\", [input.text, i])\n}\nallow if count(all) > 0"
            .to_owned(),
        format!("allow := true\ndeny contains \"a\" if {all} < 0"),
        format!("allow := false\nreasons contains \"a\" if {all} > 0"),
    ] {
        let body = body.replace("default allow := false\n", "");
        let (outcome, said) = ask(&body, 16 * MIB);
        assert_eq!(outcome, ModuleOutcome::Memory, "{body}: {said}");
    }
}

#[test]
fn what_a_module_lets_go_of_is_not_counted_and_enough_is_enough() {
    // As much in all, and little at a time.
    let one = r#"allow if {
 every i in input.n { count(sprintf("%s%d", [input.text, i])) > 0 }
}"#;
    assert_eq!(ask(one, 16 * MIB).0, ModuleOutcome::Allow);
    let all = r#"allow if count([sprintf("%s%d", [input.text, i]) | some i in input.n]) > 0"#;
    assert_eq!(ask(all, 16 * MIB).0, ModuleOutcome::Memory);
    assert_eq!(ask(all, DEFAULT_MEMORY).0, ModuleOutcome::Allow);
}

#[test]
fn what_makes_much_of_little_cannot_be_called() {
    for call in [
        "numbers.range(0, 1000000000)",
        r#"strings.replace_n({"a": "b"}, "a")"#,
        "numbers.range_step(0, 1000000000, 1)",
    ] {
        let error = load(&format!("package m\nallow if {call}")).unwrap_err();
        assert!(
            error.message.contains("is not for policies") || error.message.contains("no function"),
            "{error:?}"
        );
    }
}
