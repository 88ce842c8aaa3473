//! YAML documents: as every program of Assay reads them ([`assay_host::document`]), and the files that one may name.

mod files;

pub use assay_host::document::*;
pub use files::{FileError, Files};
