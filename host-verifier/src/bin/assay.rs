//! `assay`: the operators' tool.

fn main() -> std::process::ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    assay_host_verifier::cli::main(&args)
}
