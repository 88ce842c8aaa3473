//! What the methods of Azure share: how a tenant is asked, and the lists that restrict which virtual machines are let in.

pub mod access;
pub mod glob;
pub mod lists;
