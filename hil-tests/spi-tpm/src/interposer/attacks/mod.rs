//! The attacks, by the stage that they strike in. What most stages share is in [`common`].

mod activate;
mod common;
pub mod extend;
mod keys;
mod nv;
mod own_key;
mod quote;
mod renewal;
mod session;
mod start;
mod whole;
mod witness;

pub(super) use activate::ACTIVATE;
pub(super) use extend::EXTEND;
pub(super) use keys::{AK, EK, SVID_KEY};
pub(super) use nv::CERTIFICATE;
pub(super) use quote::{PCRS, QUOTE};
pub(super) use renewal::RENEWAL;
pub(super) use session::SESSION;
pub(super) use start::{RANDOM, START};
pub(super) use whole::WHOLE;
pub(super) use witness::WITNESS;

const STARTUP: u32 = 0x144;
const GET_CAPABILITY: u32 = 0x17A;
const GET_RANDOM: u32 = 0x17B;
const CREATE_PRIMARY: u32 = 0x131;
const NV_READ: u32 = 0x14E;
const NV_READ_PUBLIC: u32 = 0x169;
const CERTIFY: u32 = 0x148;
const SIGN: u32 = 0x15D;
const START_AUTH_SESSION: u32 = 0x176;
const ACTIVATE_CREDENTIAL: u32 = 0x147;
const PCR_EXTEND: u32 = 0x182;
const PCR_READ: u32 = 0x17E;
const QUOTE_CODE: u32 = 0x158;
const READ_CLOCK: u32 = 0x181;
const FLUSH_CONTEXT: u32 = 0x165;
