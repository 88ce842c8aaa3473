//! Tells the tests whether there is vendor material to judge: a test can be ignored by a `cfg` only, so the environment
//! is looked at here.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=ASSAY_CORPUS");
    println!("cargo::rustc-check-cfg=cfg(assay_corpus)");
    if std::env::var_os("ASSAY_CORPUS").is_some() {
        println!("cargo::rustc-cfg=assay_corpus");
    }
}
