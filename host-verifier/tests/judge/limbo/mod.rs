//! Path validation by the cases of a published suite.

mod built;
mod forge;
mod published;
