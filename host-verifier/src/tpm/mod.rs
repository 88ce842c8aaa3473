//! TPM structures as the verifier uses them.
