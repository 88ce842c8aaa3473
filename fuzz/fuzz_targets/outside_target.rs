//! URLs as they stand in settings, discovery documents and payloads: one reading, and nothing else in them than was written.
#![no_main]

use assay_host_verifier::outside::{AddressClass, Host, MAX_NAME, Reach, Target, parse_name};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    if let Ok(name) = parse_name(text) {
        assert!(name.len() <= MAX_NAME && name.is_ascii());
        assert_eq!(parse_name(&name).as_ref(), Ok(&name));
        // What looks like an address to anybody is no name.
        assert!(name.parse::<core::net::IpAddr>().is_err());
    }
    let Ok(target) = Target::parse(text) else {
        return;
    };
    assert!(text.is_ascii() && !text.contains(['@', '\\', '#', ' ']) || target.path.contains('@'));
    assert_eq!(Target::parse(&target.url()).as_ref(), Ok(&target));
    assert!(target.port != 0 && target.path.starts_with('/'));
    match &target.host {
        Host::Name(name) => assert_eq!(parse_name(name).as_ref(), Ok(name)),
        Host::Address(address) => {
            // The strictest rule lets public addresses pass and no others.
            let _: (AddressClass, Reach) = (AddressClass::of(*address), Reach::PUBLIC);
        }
    }
});
