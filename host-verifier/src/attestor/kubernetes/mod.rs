//! Kubernetes' API, as far as `k8s_psat` and `k8s_sat` ask it: `TokenReview`, pods, nodes.
//!
//! * [`config`]: where an API server is and as whom it is asked; kubeconfig files.
//! * [`api`]: the questions. Answers are read into the few fields that count, and nothing else of them is kept.
//! * [`glance`]: what a token says against itself, before anybody is asked; pure.
//! * [`review`]: what a review says of a token; pure.

pub mod api;
pub mod config;
pub mod glance;
pub mod kubeconfig;
pub mod review;
