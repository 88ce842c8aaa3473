//! The service from outside: logins, attacks, stores, documents, transports, commands.
//!
//! The agent and the TPM here are written from the specification for these tests and share no code with the
//! firmware; one test uses a software TPM that is not ours.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

mod acts;
mod agent;
mod api;
mod askers;
mod attacks;
mod audit_commands;
mod audit_export;
mod audit_rotation;
mod audit_trail;
mod bearer_proofs;
mod clusters;
mod config_versions;
mod counters;
mod datastores;
mod decisions;
mod desk;
mod documents;
mod event_details;
mod fake_tpm;
mod faults;
mod firmware;
mod first_use_logins;
mod first_uses;
mod health;
mod join_token_proofs;
mod join_tokens;
mod known_nodes;
mod later_records;
mod lifecycle;
mod lifecycle_commands;
mod links;
mod logins;
mod measured_boot;
mod metrics;
mod ops;
mod overlays;
mod pairs;
mod postgres;
mod processes;
mod readiness;
mod refused_evidence;
mod remote;
mod renewals;
mod replicas;
mod requests;
mod schemas;
mod screens;
mod seam;
mod shared_store;
mod site;
mod slow_chips;
mod sources;
mod state_keys;
mod stored_logins;
mod stores;
mod svid;
mod svid_keys;
mod swtpm;
mod transport_security;
mod vendor;
mod ways_in;
mod without_tpm;
