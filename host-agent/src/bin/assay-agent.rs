//! `assay-agent`: the agent of a Linux node. `assay agent` is the same.

fn main() -> std::process::ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    assay_host_agent::cli::main(&args)
}
