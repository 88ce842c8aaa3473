//! The microcontroller's key: of a secret in a page of the flash that the board makes once, reads at each boot, and closes
//! before the link is up.
//!
//! The key itself lies in RAM from there on: the core that signs is the core that runs everything else.

use assay_firmware::keys::{DerivedKey, McuKey, page};
use assay_firmware::platform::Platform;

use crate::{access, flash};

/// A key that is there from the start on, or never: then nothing is signed, with no other key either.
pub(crate) struct BoardKey(Option<DerivedKey>);

impl BoardKey {
    /// The key of this board, with its page closed until the next reset. `platform` is asked for noise at the first start.
    pub(crate) fn take(mut platform: impl Platform) -> Self {
        let (mut pages, page_at) = flash::key_page();
        let key = page::key(&mut pages, page_at, &mut |out| platform.noise(out));
        // Whatever came of it: what is there is nobody's to read.
        let is_closed = access::close_key_page();
        #[cfg(feature = "defmt")]
        {
            if let Err(error) = &key {
                defmt::error!("no microcontroller's key: {}", error);
            }
            if !is_closed {
                defmt::error!("no microcontroller's key: its page does not close");
            }
        }
        Self(key.ok().filter(|_| is_closed))
    }
}

impl McuKey for BoardKey {
    fn public(&mut self) -> Option<[u8; 65]> {
        self.0.as_mut()?.public()
    }

    fn sign(&mut self, digest: &[u8; 32]) -> Option<[u8; 64]> {
        self.0.as_mut()?.sign(digest)
    }
}
