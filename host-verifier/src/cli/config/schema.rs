//! `assay config schema`.

use std::process::ExitCode;

use crate::cli::report::say;
use crate::config::schema;
use crate::document::nearest;
use crate::policy::Section;

const KINDS: [Section; 4] = [
    Section::Service,
    Section::AgentAttestation,
    Section::SvidIssuancePolicy,
    Section::Agent,
];

/// A kind of document on the command line.
pub(super) fn kind(name: &str) -> Result<Section, String> {
    let known = KINDS.iter().find(|kind| kind.name() == name).copied();
    known.ok_or_else(|| {
        let names = KINDS.map(Section::name);
        match nearest(name, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", names.join(", ")),
        }
    })
}

/// Prints it: one JSON document, whichever way the answer is asked for.
pub(super) fn run(kind: Section) -> ExitCode {
    say(&format!("{:#}", schema::of(kind).to_value()));
    ExitCode::SUCCESS
}
