//! Tells the tests whether there is material of others to judge: a test can be ignored by a `cfg` only, so the environment
//! is looked at here.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for (variable, cfg) in [
        ("ASSAY_CLOUD_SAMPLES", "assay_cloud_samples"),
        ("ASSAY_CORPUS", "assay_corpus"),
        ("ASSAY_LIMBO", "assay_limbo"),
        ("ASSAY_SPIRE", "assay_spire"),
    ] {
        println!("cargo::rerun-if-env-changed={variable}");
        println!("cargo::rustc-check-cfg=cfg({cfg})");
        if std::env::var_os(variable).is_some() {
            println!("cargo::rustc-cfg={cfg}");
        }
    }
}
