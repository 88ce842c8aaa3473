//! Sessions with a software TPM: what they guard, and that whatever happens on the bus is seen.

mod commands;
mod lies;
mod login;

use assay_common::tpm::public::templates::EkTemplate;
use assay_firmware::keys::{Ek, EkIndices};
use assay_firmware::tpm::Tpm;

use crate::swtpm::Bus;

/// Starts the TPM, makes an EK and begins a session with it.
pub fn protected(bus: &Bus, template: EkTemplate) -> (Tpm<Bus>, Ek) {
    let mut tpm = bus.tpm();
    tpm.drbg().stir(&[b"nobody knows"]);
    tpm.start().unwrap();
    let (ek, public) = ek(&mut tpm, template);
    tpm.protect(ek.handle(), &public).unwrap();
    (tpm, ek)
}

/// An EK and its public area.
pub fn ek(tpm: &mut Tpm<Bus>, template: EkTemplate) -> (Ek, Vec<u8>) {
    let mut public = Vec::new();
    let ek = Ek::create(tpm, &EkIndices::default(), &[template], &mut |area| {
        public = area.to_vec();
    });
    (ek.unwrap(), public)
}
