use core::time::Duration;

use assay_host_verifier::policy::rego::{Dialect, MAX_MODULE, Module, ModuleOutcome, Source};
use serde_json::json;

use super::{NOW, ask, load, now, outcome, source};

fn v1(rules: &str) -> String {
    format!("package t\nimport rego.v1\n{rules}\n")
}

#[test]
fn only_true_allows() {
    let nothing = json!({});
    for (rules, expected) in [
        ("allow := true", ModuleOutcome::Allow),
        ("allow := false", ModuleOutcome::Deny),
        ("default allow := false", ModuleOutcome::Deny),
        ("allow if input.missing", ModuleOutcome::Undefined),
        ("allow if not input.missing", ModuleOutcome::Allow),
    ] {
        assert_eq!(outcome(&v1(rules), &nothing), expected, "{rules}");
    }
    // What is not a boolean is an error, however true it may look.
    for value in [
        "1",
        "\"true\"",
        "{\"allow\": true}",
        "[true]",
        "null",
        "{true}",
    ] {
        let text = v1(&format!(
            "default allow := false\nallow := {value} if input.go"
        ));
        let verdict = ask(&text, &json!({"go": true}));
        assert_eq!(verdict.outcome, ModuleOutcome::Error, "{value}");
        assert!(verdict.detail.unwrap().contains("not a boolean"), "{value}");
    }
}

#[test]
fn a_deny_that_is_not_empty_denies_and_its_texts_are_kept_within_bounds() {
    let text = v1("allow := true\ndeny contains m if { some m in input.why }");
    assert_eq!(outcome(&text, &json!({"why": []})), ModuleOutcome::Allow);
    let verdict = ask(&text, &json!({"why": ["b", "a"]}));
    assert_eq!(verdict.outcome, ModuleOutcome::Deny);
    assert_eq!(verdict.reasons, ["a", "b"]);
    let many: Vec<_> = (0..100)
        .map(|i| format!("{i:03}\u{1b}[31m{}", "x".repeat(1000)))
        .collect();
    let verdict = ask(&text, &json!({"why": many}));
    assert_eq!(verdict.reasons.len(), 16);
    for reason in &verdict.reasons {
        assert!(
            reason.chars().count() < 300 && !reason.contains('\u{1b}'),
            "{reason}"
        );
    }
    // `reasons` explains, and does not decide.
    let text = v1("default allow := false\nallow if input.ok\nreasons contains \"said\" if true");
    let verdict = ask(&text, &json!({"ok": true}));
    assert_eq!(
        (verdict.outcome, verdict.reasons.len()),
        (ModuleOutcome::Allow, 0)
    );
    assert_eq!(ask(&text, &json!({})).reasons, ["said"]);
}

#[test]
fn both_dialects_are_read_and_the_right_one_is_found() {
    let old = "package t.old\n\nallow {\n  input.name in [\"a\"]\n  contains(\"abc\", \"b\")\n}\n";
    let new = v1("allow if input.name in [\"a\"]");
    for (text, dialect) in [(old, Dialect::V0), (new.as_str(), Dialect::V1)] {
        let module = load(text).unwrap();
        assert_eq!(module.dialect(), dialect);
        let verdict = module.evaluate(&json!({"name": "a"}), now());
        assert_eq!(verdict.outcome, ModuleOutcome::Allow);
    }
    let forced = |text, dialect| {
        Module::load(&Source {
            dialect,
            ..source(text)
        })
    };
    let error = forced(old, Dialect::V1).unwrap_err();
    assert_eq!((error.line, error.column), (3, 7));
    assert!(error.message.contains("`if`"), "{error}");
    assert!(forced(&new, Dialect::V0).is_ok());
    // The place of an error is that in the text as it was given, keywords or not.
    let broken = "# first\npackage t # behind\nallow { true }\n\n)\n";
    let error = forced(broken, Dialect::V0).unwrap_err();
    assert_eq!(error.line, 5, "{error:?}");
}

#[test]
fn what_reaches_out_or_is_not_the_same_every_time_is_refused_with_its_place() {
    for (call, why) in [
        (
            "http.send({\"method\": \"GET\", \"url\": \"http://127.0.0.1/\"})",
            "reaches the network",
        ),
        ("net.lookup_ip_addr(\"example.org\")", "reaches the network"),
        ("opa.runtime()", "reads the environment"),
        ("rand.intn(\"x\", 2)", "is random"),
        ("uuid.rfc4122(\"x\")", "is random"),
        ("trace(\"x\")", "writes to the log"),
        ("print(\"x\")", "writes to the log"),
        ("time.add_date(0, 0, 0, 0)", "time zone"),
        ("numbers.range(1, 1000000000)", "not for policies"),
        ("net.cidr_expand(\"10.0.0.0/8\")", "not for policies"),
        ("startwith(\"a\", \"b\")", "there is no function"),
    ] {
        for body in [
            format!("allow if {call}"),
            format!("allow if {{ x := [1 | {call}]; count(x) > 0 }}"),
            format!("f(x) := y if y := {call}\nallow if f(1)"),
            format!("allow if {{ every x in [1] {{ {call} }} }}"),
            format!("default allow := false\nallow if {{ not {call} }}"),
            format!("allow if input.x[{call}]"),
        ] {
            let error = load(&v1(&body)).unwrap_err();
            assert!(error.message.contains(why), "{body}: {error:?}");
            let line = if body.starts_with("default") { 4 } else { 3 };
            assert_eq!(error.line, line, "{body}: {error:?}");
            assert!(
                error.column > 1 && !error.hint.is_empty(),
                "{body}: {error:?}"
            );
        }
    }
    let swapped = v1("f(x) := x\nallow if f(1) == 1 with f as rand.intn");
    assert!(load(&swapped).unwrap_err().message.contains("is random"));
    assert_eq!(
        load(&v1("allow if startwith(\"a\", \"a\")"))
            .unwrap_err()
            .hint,
        "did you mean `startswith`?"
    );
    // A function of its own may have any name that is free.
    let own = v1("lookup(x) := x\nallow if lookup(true)\nother if data.t.lookup(1)");
    assert_eq!(outcome(&own, &json!({})), ModuleOutcome::Allow);
}

#[test]
fn time_is_the_logins_and_in_utc() {
    let text = v1(&format!(
        "allow if {{\n time.now_ns() == {NOW}000000000\n time.date(time.now_ns()) == [2026, 1, 1]\n time.clock(time.now_ns()) == [0, 0, 0]\n time.weekday(time.now_ns()) == \"Thursday\"\n}}"
    ));
    let module = load(&text).unwrap();
    assert_eq!(
        module.evaluate(&json!({}), now()).outcome,
        ModuleOutcome::Allow
    );
    let later = now()
        .checked_add(jiff::SignedDuration::from_nanos(1))
        .unwrap();
    assert_eq!(
        module.evaluate(&json!({}), later).outcome,
        ModuleOutcome::Undefined
    );
    // A time zone by name, or the machine's own.
    let zone = v1("default allow := false\nallow if time.clock([input.at, \"Local\"])[0] >= 0");
    assert_eq!(outcome(&zone, &json!({"at": 0})), ModuleOutcome::Error);
}

#[test]
fn an_evaluation_that_spins_ends_in_time_and_denies() {
    let text = v1(
        "default allow := false\nallow if {\n some a in input.n\n some b in input.n\n some c in input.n\n some d in input.n\n \
         some e in input.n\n a + b + c + d + e < 0\n}",
    );
    let timeout = Duration::from_millis(20);
    let module = Module::load(&Source {
        timeout,
        ..source(&text)
    })
    .unwrap();
    let input = json!({"n": (0..300).collect::<Vec<_>>()});
    assert_eq!(
        module.evaluate(&input, now()).outcome,
        ModuleOutcome::Timeout
    );
    // `not` does not turn it into an answer, and a function does not hide it.
    let text = v1(
        "default allow := false\nallow if not spins(input.n)\nspins(n) if {\n some a in n\n some b in n\n some c in n\n some d in n\n \
         some e in n\n a + b + c + d + e < 0\n}",
    );
    let module = Module::load(&Source {
        timeout,
        ..source(&text)
    })
    .unwrap();
    assert_eq!(
        module.evaluate(&input, now()).outcome,
        ModuleOutcome::Timeout
    );
}

#[test]
fn what_is_built_is_bounded() {
    let doubled: String = (1..40)
        .map(|i| format!("s{i} := concat(\"\", [s{0}, s{0}]) if input.go\n", i - 1))
        .collect();
    let chain = format!(
        "default allow := false\ns0 := \"0123456789abcdef\" if input.go\n{doubled}allow if count(s39) > 0"
    );
    let shared: String = (1..40)
        .map(|i| format!("v{i} := [v{0}, v{0}] if input.go\n", i - 1))
        .collect();
    for rules in [
        chain.as_str(),
        &format!(
            "default allow := false\nv0 := 1 if input.go\n{shared}allow if json.marshal(v39) != \"\""
        ),
        "default allow := false\nallow if sprintf(\"%999999999d\", [input.go]) != \"\"",
        "default allow := false\nallow if replace(input.long, \"a\", input.long) != \"\"",
        "default allow := false\nallow if concat(input.long, split(input.long, \"\")) != \"\"",
    ] {
        let input = json!({"go": 1, "long": "a".repeat(10_000)});
        let verdict = ask(&v1(rules), &input);
        assert_eq!(
            verdict.outcome,
            ModuleOutcome::Error,
            "{rules:.60}: {verdict:?}"
        );
        assert!(
            verdict.detail.unwrap().contains("would make more"),
            "{rules:.60}"
        );
    }
    let fine =
        v1("allow if sprintf(\"%s-%03d\", [concat(\",\", [\"a\", \"b\"]), 7]) == \"a,b-007\"");
    assert_eq!(outcome(&fine, &json!({})), ModuleOutcome::Allow);
    let long = json!({"x": "a".repeat(300_000)});
    assert_eq!(
        outcome(&v1("default allow := false\nallow if input.x"), &long),
        ModuleOutcome::Error
    );
}

#[test]
fn a_module_that_cannot_work_is_not_loaded() {
    for (text, why) in [
        (v1("allowed := true"), "there is no rule `data.t.allow`"),
        (v1("allow(x) := x"), "there is no rule `data.t.allow`"),
        (v1("default allow := false\nallow := 1"), "not a boolean"),
        (v1("allow if 1 / 0 == 1"), "test.rego"),
        (v1("allow if other\nother if allow"), "test.rego"),
        ("allow := true".to_owned(), "package"),
        (String::new(), "package"),
        (
            v1(&format!("allow := true # {}", "x".repeat(MAX_MODULE))),
            "longer than",
        ),
        (v1(&"r if false\n".repeat(600)), "more than 512 rules"),
    ] {
        let error = load(&text).unwrap_err();
        assert!(error.message.contains(why), "{text:.60}: {error:?}");
        assert!(!error.hint.is_empty());
    }
    let hint = load(&v1("allowd := true")).unwrap_err().hint;
    assert_eq!(hint, "did you mean `data.t.allowd`?");
}

/// Rules that each stand at the deepest point of the one before; `inner` has `$` in place of that one.
fn chain(rules: usize, inner: &str) -> String {
    let mut text = "default allow := false\nr0 := 1 if input.go\n".to_owned();
    for i in 1..rules {
        text += &format!(
            "r{i} := x if {{ x := {} }}\n",
            inner.replace('$', &format!("r{}", i - 1))
        );
    }
    v1(&format!("{text}allow if r{}", rules - 1))
}

#[test]
fn the_deepest_module_that_is_let_in_does_not_run_out_of_stack() {
    let nested = "[a | a := [b | b := [c | c := [d | d := $][_]][_]][_]][_]";
    let called = "f1(f1(f1(f1(f1(f1(f1(f1($))))))))";
    for inner in [
        "$ + 0",
        nested,
        called,
        "((((((($ + 0) + 0) + 0) + 0) + 0) + 0) + 0)",
    ] {
        let functions = "\nf1(x) := f2(x)\nf2(x) := f3(x)\nf3(x) := x\n";
        let text = |rules| chain(rules, inner) + functions;
        let (mut longest, mut too_long) = (1, 501);
        while too_long - longest > 1 {
            let middle = usize::midpoint(longest, too_long);
            match load(&text(middle)) {
                Ok(_) => longest = middle,
                Err(_) => too_long = middle,
            }
        }
        assert!(longest >= 60, "{inner}: {longest}");
        let verdict = ask(&text(longest), &json!({"go": true}));
        assert_eq!(
            verdict.outcome,
            ModuleOutcome::Allow,
            "{inner}: {verdict:?}"
        );
    }
    let error = load(&chain(500, nested)).unwrap_err();
    assert!(error.message.contains("nested too deep"), "{error:?}");
}

#[test]
fn functions_that_call_themselves_are_refused() {
    for rules in [
        "f(x) := f(x + 1)\nallow if f(input.n)",
        "f(x) := g(x)\ng(x) := data.t.h(x)\nh(x) := f(x)\nallow if f(input.n)",
    ] {
        let error = load(&v1(rules)).unwrap_err();
        assert!(error.message.contains("calls itself"), "{rules}: {error:?}");
    }
    let not = v1("f(x) := g(g(x))\ng(x) := x\nallow if f(f(true))");
    assert_eq!(outcome(&not, &json!({})), ModuleOutcome::Allow);
    // Through a rule it is found when it happens.
    let through = v1("default allow := false\nf(x) := r if x\nr := f(input.n)\nallow if r");
    assert_eq!(outcome(&through, &json!({"n": 1})), ModuleOutcome::Error);
}

#[test]
fn an_entry_point_is_any_rule_of_the_module() {
    let text = v1("allow := false\nnode.allow if input.x\nok if input.x");
    let with = |entrypoint| {
        Module::load(&Source {
            entrypoint: Some(entrypoint),
            ..source(&text)
        })
    };
    for entrypoint in ["data.t.ok", "data.t.node.allow"] {
        let module = with(entrypoint).unwrap();
        let verdict = module.evaluate(&json!({"x": true}), now());
        assert_eq!(
            (verdict.outcome, verdict.entrypoint.as_str()),
            (ModuleOutcome::Allow, entrypoint)
        );
    }
    for wrong in [
        "ok",
        "data.other.ok",
        "data.t",
        "data.t.ok; true",
        "input.x",
    ] {
        assert!(with(wrong).is_err(), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_runtime_with_one_thread_goes_on_while_a_module_runs() {
    let text = v1(
        "default allow := false\nallow if {\n some a in input.n\n some b in input.n\n some c in input.n\n some d in input.n\n a + b + c + d < 0\n}",
    );
    let module = load(&text).unwrap();
    let input = json!({"n": (0..1000).collect::<Vec<_>>()});
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let (ran, runs) = tokio::sync::oneshot::channel::<()>();
    let spinning = tokio::spawn(async move {
        let _ = sender.send(());
        let verdict = module.evaluate(&input, now());
        (verdict.outcome, ran.is_closed())
    });
    receiver.await.unwrap();
    // Another task of the same thread ends while the module is running: it drops what the first one then finds closed.
    tokio::spawn(async move { drop(runs) }).await.unwrap();
    assert_eq!(spinning.await.unwrap(), (ModuleOutcome::Timeout, true));
}
