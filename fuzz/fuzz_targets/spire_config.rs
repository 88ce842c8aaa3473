//! Configurations of SPIRE, as HCL or in a manifest: what is read is named and has its line, what is wrong has one too, and
//! nothing that stood there is lost on the way.
#![no_main]

use assay_host_verifier::spire;
use assay_host_verifier::spire::hcl::{self, Entry, Value};
use libfuzzer_sys::fuzz_target;

/// Deepest nesting of what is read, with room for the lists in it.
const DEPTH: usize = 32;

fn check(entries: &[Entry], lines: usize, depth: usize) {
    assert!(depth <= DEPTH, "nested deeper than is read");
    for entry in entries {
        assert!(!entry.names.is_empty(), "a value without a name");
        assert!((1..=lines).contains(&entry.line), "line {}", entry.line);
        value(&entry.value, lines, depth);
    }
}

fn value(of: &Value, lines: usize, depth: usize) {
    match of {
        Value::Object(entries) => check(entries, lines, depth + 1),
        Value::List(items) => items.iter().for_each(|item| value(item, lines, depth + 1)),
        Value::Text(_) | Value::Number(_) | Value::Bool(_) => {}
    }
    assert!(depth <= DEPTH, "nested deeper than is read");
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    // A reader that has come to the end may stand behind the last line.
    let lines = text.split('\n').count() + 1;
    match hcl::parse(text) {
        Ok(entries) => check(&entries, lines, 0),
        Err(error) => assert!((1..=lines).contains(&error.line), "line {}", error.line),
    }
    if let Ok(import) = spire::import(text) {
        // Everything that is left out is left out for a reason.
        assert!(import.left.iter().all(|left| !left.reason.is_empty()));
        assert!(import.carried.iter().all(|carried| !carried.to.is_empty()));
    }
});
