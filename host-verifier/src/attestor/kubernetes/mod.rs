//! Kubernetes' API, as far as `k8s_psat` and `k8s_sat` ask it: `TokenReview`, pods, nodes.
//!
//! * [`config`]: where an API server is and as whom it is asked; kubeconfig files.
//! * [`api`]: the questions. Answers are read into the few fields that count, and nothing else of them is kept.
//! * [`review`]: what a review says of a token; pure.

pub mod api;
pub mod config;
pub mod kubeconfig;
pub mod review;
