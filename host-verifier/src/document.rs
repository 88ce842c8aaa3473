//! YAML documents: as every program of Assay reads them ([`assay_host::document`]), and the files that one may name.

mod files;
mod watched;

pub use assay_host::document::*;
pub use files::{FileError, Files, Provided};
pub use watched::Watched;
