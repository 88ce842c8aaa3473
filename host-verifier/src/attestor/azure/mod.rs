//! What the methods of Azure share: the lists that restrict which virtual machines are let in.

pub mod glob;
pub mod lists;
