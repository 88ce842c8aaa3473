//! The SPIFFE Workload API: the node's identity for the processes that are meant to have it, over a Unix socket.
//!
//! SPIFFE's Workload API and its five calls, as gRPC. Who calls is told by the kernel ([`peer`]) and matched with the
//! configuration ([`admission`]); what is answered comes from the session and the bundle as they are at that moment, and
//! streams are told when they change.
//!
//! Written over HTTP/2 and nothing more: five calls of a few fields each do not need a gRPC framework in a process that is
//! to stay small (`grpc`, `wire`).

pub mod admission;
mod calls;
mod grpc;
mod jwt;
pub mod peer;
mod serve;
mod status;
mod tokens;
mod wire;

pub(crate) use serve::{Api, open, serve};
