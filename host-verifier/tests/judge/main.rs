//! Everything that judges foreign material, tested as a caller sees it.
//!
//! * `azure`: Azure's methods.
//! * `chains`: the path validator, over certificates made by openssl.
//! * `aws_iid`: instance identity documents, signed by keys of our own.
//! * `cms`: documents that clouds sign, made by openssl.
//! * `cloud_tokens`: methods whose proof is a token that a cloud signs.
//! * `conformance`: what holds for every method.
//! * `corpus`: real vendors' certificates, when `ASSAY_CORPUS` names them.
//! * `credential`: `MakeCredential` against a TPM that opens it.
//! * `issuers`: methods whose proof is a token that somebody else vouches for.
//! * `jwt`: tokens of other issuers.
//! * `policy`: the rules of a policy, over attestors that accept whatever they are shown.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

mod attacks;
mod aws_iid;
mod azure;
mod chains;
mod cli;
mod cloud_tokens;
mod cms;
mod conformance;
mod corpus;
mod credential;
mod devid;
mod documents;
mod ek;
mod issuers;
mod jwt;
mod limbo;
mod method_documents;
mod pki;
mod policy;
mod possession;
mod quote;
mod quote_rules;
mod soft;
mod swtpm;
