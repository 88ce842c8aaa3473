//! `tpm`: not a node attestor of SPIRE's own, but one that is written about.

use super::Method;
use crate::spire::Import;
use crate::spire::hcl::Value;
use crate::spire::out::Node;
use crate::spire::paths::Naming;
use crate::spire::settings::{Settings, node_of, texts};

pub(super) fn entries(data: &mut Settings, import: &mut Import) -> Vec<Method> {
    let mut quote = Node::map();
    data.carry("hash_algorithm", &["bank"], &mut quote, import);
    let values = data.take("expected_pcr_values", "pcrs", import);
    let valued: Vec<String> = match &values {
        Some(Value::Object(entries)) => entries.iter().map(|entry| entry.names.join(".")).collect(),
        _ => Vec::new(),
    };
    if let Some(Value::Object(entries)) = values {
        let pcrs = entries
            .iter()
            .map(|entry| (entry.names.join("."), node_of(&entry.value)));
        quote.put(&["pcrs"], Node::Map(pcrs.collect()));
    }
    if let Some(mut selection) = data.block("pcr_selections") {
        selection.carry("hash_alg", &["bank"], &mut quote, import);
        if let Some(ids) = selection.take("pcr_ids", "anyValue", import) {
            let others = texts(&ids).into_iter().filter(|id| !valued.contains(id));
            let others: Vec<_> = others.map(Node::Plain).collect();
            if !others.is_empty() {
                quote.put(&["anyValue"], Node::List(others));
                let note = "tpm_quote.anyValue: these PCRs are quoted and may have any value; write the values that you expect into `pcrs`";
                import.note(note);
            }
        }
        selection.finish(import);
    }
    // A hash that no key has: nobody is let in until the operator says who.
    let nobody = Node::List(vec![Node::Text("0".repeat(64))]);
    let mut ek = Node::map();
    ek.put(&["allowedHashes"], nobody);
    let note = "tpm_ek.allowedHashes lets nobody in: replace it by the hashes of your nodes' EKs (`assay ek show`), or by `manufacturerCAs`";
    import.note(note);
    let path = ("tpm", "/{{tpm_ek.public_hash}}");
    let naming = Naming::of(data, path, &[], import);
    let mut methods = vec![Method {
        kind: "tpm_ek",
        config: ek,
        naming: Some(naming),
    }];
    if !quote.is_empty() {
        methods.push(Method {
            kind: "tpm_quote",
            config: quote,
            naming: None,
        });
    }
    methods
}
