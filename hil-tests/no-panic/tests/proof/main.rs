//! The proof that `common` and `firmware` cannot panic: complete, by their sources, and true, by the linker.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests stop at the first surprise"
)]

mod image;
mod names;
mod places;
mod scan;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use assay_no_panic::{Prover, left_out};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Keeps the names of all that it is shown.
#[derive(Default)]
struct Names(BTreeSet<String>);

impl Names {
    /// Whether it is there; `From<_>` is there with any type.
    fn has(&self, name: &str) -> bool {
        match name.split_once("<_>") {
            None => self.0.contains(name),
            Some((head, tail)) => self
                .0
                .iter()
                .any(|own| own.starts_with(head) && own.ends_with(tail)),
        }
    }
}

impl Prover for Names {
    fn function<F>(&mut self, function: &F, _: *const ()) {
        let name = std::any::type_name_of_val(function);
        self.0.insert(names::of_compiler(name));
    }

    fn debug<F>(&mut self, function: &F, address: *const ()) {
        self.function(function, address);
    }

    fn walked<F>(&mut self, function: &F, _: *const ()) {
        let name = std::any::type_name_of_val(function);
        self.0
            .insert(format!("{} (walked)", names::of_compiler(name)));
    }

    fn dropped<T>(&mut self, _: *const ()) {
        let name = format!("<{} as Drop>::drop", std::any::type_name::<T>());
        self.0.insert(names::of_compiler(&name));
    }
}

#[test]
fn every_public_function_is_in_the_image_or_left_out() {
    let mut proven = Names::default();
    assay_no_panic::all(&mut proven);
    left_out::all(&mut proven);
    let mut missing = Vec::new();
    for (name, folder) in [
        ("assay_common", "common/src"),
        ("assay_firmware", "firmware/src"),
    ] {
        let public = scan::public_names(name, &workspace().join(folder));
        assert!(
            public.len() > 300,
            "{name}: only {} functions found",
            public.len()
        );
        missing.extend(public.into_iter().filter(|name| !proven.has(name)));
    }
    assert!(
        missing.is_empty(),
        "public functions that the proof does not have; add them to hil-tests/no-panic/src:\n{}",
        missing.join("\n")
    );
}

#[test]
fn the_image_links() {
    let linked = image::build(&[]);
    assert!(
        linked.is_ok(),
        "a panic is reachable, at one of:\n{}\n\n{}",
        image::places_of(&["explain"])
            .into_iter()
            .collect::<Vec<_>>()
            .join("\n"),
        linked.unwrap_err()
    );
}

/// Sessions are left out of the image that links for their cipher alone: with them, and with all that the image has, no place is
/// left but the cipher's key schedule.
#[test]
fn with_sessions_nothing_can_panic_but_the_key_schedule_of_their_cipher() {
    let found: BTreeSet<String> = image::places_of(&["secure-bus", "explain"])
        .into_iter()
        .map(|place| place.split(':').next().unwrap().to_owned())
        .collect();
    let cipher = |place: &&left_out::Place| place.file.starts_with("aes-");
    let cipher = left_out::PLACES.iter().filter(cipher);
    let listed: BTreeSet<String> = cipher.map(|place| place.file.to_owned()).collect();
    assert_eq!(found, listed);
}

#[test]
fn with_what_is_left_out_it_does_not_link() {
    let error = image::build(&["left-out"]).expect_err("nothing need be left out any more");
    assert!(
        error.contains("undefined symbol: assay_a_panic_is_reachable"),
        "{error}"
    );
}

#[test]
fn what_is_left_out_panics_in_the_listed_files_and_no_others() {
    let found: BTreeSet<String> = image::places_of(&["left-out", "explain"])
        .into_iter()
        .map(|place| place.split(':').next().unwrap().to_owned())
        .collect();
    let listed: BTreeSet<String> = left_out::PLACES
        .iter()
        .map(|place| place.file.to_owned())
        .collect();
    assert_eq!(found, listed);
}
