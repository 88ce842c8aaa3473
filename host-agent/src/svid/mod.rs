//! What a session brings: the SVID, its key, and the bundle; and how they come into files.

pub mod bundle;
pub mod files;
pub mod kept;
pub mod key;
pub mod store;
