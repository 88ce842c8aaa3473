//! Path validation by the cases of a published suite.

mod published;
