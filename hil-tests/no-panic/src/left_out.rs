//! What can panic as far as the compiler sees, and why it does not.
//!
//! The image of the proof has none of it. With the feature `left-out` it has, does not link, and the test holds the places
//! that it names against this list: one that is not here, and one that is here for nothing, fail it.

use crate::{Prover, firmware};

/// Places that stay in an image with what is left out.
#[derive(Debug)]
pub struct Place {
    /// A file; of a dependency with its version, so that another version is looked at again.
    pub file: &'static str,
    /// Why none of them is reached.
    pub reason: &'static str,
}

/// All that is left out: the settings' log, `Debug`, and the feature `secure-bus`, since its cipher does.
pub const PLACES: &[Place] = &[
    Place {
        file: "firmware/src/settings/flash.rs",
        reason: "the panic of a future that is polled again after it was ready; each is polled once, by `now`, and dropped",
    },
    Place {
        file: "sequential-storage-8.0.2/src/lib.rs",
        reason: "the same panic in futures that are awaited once; and an assertion of a feature for its own tests",
    },
    Place {
        file: "sequential-storage-8.0.2/src/map.rs",
        reason: "the same panic; slices as long as the item that was read into them",
    },
    Place {
        file: "sequential-storage-8.0.2/src/item.rs",
        reason: "the same panic; slices and fixed parts of an eight-byte header; an item's bytes, whose length was held \
                 against the buffer's first",
    },
    Place {
        file: "aes-0.9.4/src/backends/fixslice/utils.rs",
        reason: "the key schedule of AES: steps of fixed size through an array of fixed length, whatever the key",
    },
    Place {
        file: "core/src/fmt/mod.rs",
        reason: "`Debug` of a text, which is cut at its own characters; and of more than five fields, as many as names",
    },
    Place {
        file: "core/src/unicode/printable.rs",
        reason: "`Debug` of a character, which is looked up in core's own table",
    },
];

/// Shows `prover` what is left out, but for `Debug`, which has a call of its own: [`Prover::debug`].
pub fn all(prover: &mut impl Prover) {
    firmware::settings::prove_log(prover);
}
