//! `assay_firmware::keys`.

use assay_firmware::evidence::EvidenceError;
use assay_firmware::keys::KeyError;
use assay_firmware::keys::activate::Secret;
use assay_firmware::keys::ak::{Ak, AkTemplate};
use assay_firmware::keys::certificate::Certificate;
use assay_firmware::keys::ek::{Ek, EkIndices};
#[cfg(feature = "secure-bus")]
use assay_firmware::keys::mcu::{DerivedKey, McuKey};
#[cfg(feature = "secure-bus")]
use assay_firmware::keys::page::{self, PageError};
#[cfg(feature = "secure-bus")]
use assay_firmware::keys::protect;
use assay_firmware::keys::quote::AgreedQuote;
use assay_firmware::keys::svid_key::{SvidKey, SvidKeyTemplate};
use assay_firmware::keys::{activate, csr, quote};
use assay_firmware::tpm::TpmError;

use crate::Prover;
use crate::macros::{derived, dropped, functions, methods, walks};
use crate::wire::Driver;
#[cfg(feature = "secure-bus")]
use crate::wire::Wire;

/// Every public function of `assay_firmware::keys`.
pub(crate) fn prove(prover: &mut impl Prover) {
    #[cfg(feature = "secure-bus")]
    prove_derived(prover);
    methods! { prover;
        KeyError: is_unreadable;
        Secret: as_bytes;
        Ak: handle template;
        AkTemplate: hash;
        Certificate: index;
        Ek: handle template;
        EkIndices: chain has_certificate;
        SvidKey: handle template;
        SvidKeyTemplate: from_algorithm;
    }
    derived! { prover;
        KeyError: Clone Debug Display PartialEq;
        Secret: Debug;
        Ak: Debug;
        AkTemplate: Clone Debug PartialEq;
        Certificate: Clone Debug;
        Ek: Debug;
        EkIndices: Clone Debug Default PartialEq;
        AgreedQuote: Clone Debug PartialEq;
        SvidKey: Debug;
        SvidKeyTemplate: Clone Debug PartialEq;
    }
    functions! { prover;
        Ak::create::<Driver>,
        Ak::flush::<Driver>,
        Certificate::next::<Driver>,
        Certificate::open::<Driver>,
        Certificate::open_chain::<Driver>,
        Certificate::stream::<Driver, KeyError>,
        Certificate::stream::<Driver, EvidenceError>,
        Ek::certificate::<Driver>,
        Ek::create::<Driver>,
        Ek::flush::<Driver>,
        EkIndices::read::<Driver>,
        SvidKey::create::<Driver>,
        SvidKey::flush::<Driver>,
        SvidKey::sign::<Driver>,
        <KeyError as From<TpmError>>::from,
        activate::<Driver>,
        csr::p256_info,
        csr::write::<Driver>,
        csr::write_p256,
        quote::<Driver>,
    }
    dropped! { prover;
        Secret;
    }
    walks! { prover;
        EkIndices::chain, &EkIndices;
    }
}

/// The microcontroller's own key, which is there with the sessions' cryptography.
#[cfg(feature = "secure-bus")]
fn prove_derived(prover: &mut impl Prover) {
    derived! { prover;
        DerivedKey: Debug;
        PageError: Clone Debug Display PartialEq;
    }
    functions! { prover;
        DerivedKey::of,
        page::key::<Wire>,
        protect::<Driver>,
        <DerivedKey as McuKey>::public,
        <DerivedKey as McuKey>::sign,
    }
    dropped! { prover;
        DerivedKey;
    }
}
