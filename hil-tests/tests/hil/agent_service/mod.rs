//! `assay-agent` against `assayd`, both as processes and over HTTPS: what an operator of nodes has.

mod cloud;
mod devid;
mod doctor;
mod kubernetes;
mod login;
mod outside;
mod proofs;
mod run;
mod site;
mod tokens;
mod workloads;
