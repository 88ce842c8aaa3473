//! Private keys, in memory and on disk.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use assay_host_verifier::crypto::{Legacy, verify};
use assay_host_verifier::random::SystemRandom;
use assay_host_verifier::svid::keys::{DiskKeys, KeyError, KeyManager, KeyType, key_id};

use super::{Folder, memory_keys, open_keys as open};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// The names of the directory's files, sorted.
fn names(dir: &Path) -> Vec<String> {
    let files = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

async fn keys_are_made_listed_used_and_removed(manager: &dyn KeyManager) {
    assert!(manager.keys().await.unwrap().is_empty());
    for kind in KeyType::ALL {
        let key = manager.create(kind).await.unwrap();
        assert_eq!(key.key_type(), kind);
        assert_eq!(KeyType::of(key.public_key()), Some(kind));
        assert_eq!(key.id(), key_id(key.public_key()));
        let signature = key.sign(b"message").await.unwrap();
        let verified = |message: &[u8]| {
            let (public, scheme) = (key.public_key(), kind.scheme());
            verify(public, scheme, message, &signature, Legacy::default())
        };
        assert!(verified(b"message").is_ok(), "{kind}");
        assert!(verified(b"massage").is_err(), "{kind}");
    }
    let all = manager.keys().await.unwrap();
    assert_eq!(all.len(), KeyType::ALL.len());
    let gone = all[0].id();
    assert!(manager.remove(gone).await.unwrap());
    assert!(!manager.remove(gone).await.unwrap());
    let left = manager.keys().await.unwrap();
    assert_eq!(left.len(), all.len() - 1);
    assert!(left.iter().all(|key| key.id() != gone));
}

#[tokio::test]
async fn memory_makes_lists_uses_and_removes_keys() {
    keys_are_made_listed_used_and_removed(memory_keys().as_ref()).await;
}

#[tokio::test]
async fn disk_makes_lists_uses_and_removes_keys_and_finds_them_again() {
    let folder = Folder::new();
    let dir = folder.path("a/b");
    let keys = open(&dir).unwrap();
    keys_are_made_listed_used_and_removed(&keys).await;
    let ids = |keys: Vec<std::sync::Arc<dyn assay_host_verifier::svid::keys::Signer>>| {
        let mut ids: Vec<_> = keys.iter().map(|key| format!("{key:?}")).collect();
        ids.sort();
        ids
    };
    let before = ids(keys.keys().await.unwrap());
    let replica = keys.replica().to_owned();
    drop(keys);
    let keys = open(&dir).unwrap();
    assert_eq!(ids(keys.keys().await.unwrap()), before);
    assert_eq!(keys.replica(), replica);
    assert_ne!(memory_keys().replica(), memory_keys().replica());
}

#[tokio::test]
async fn key_files_are_pkcs8_that_openssl_reads_and_nobody_else_can() {
    let folder = Folder::new();
    let dir = folder.path("keys");
    let keys = open(&dir).unwrap();
    assert_eq!(mode(&dir), 0o700);
    for kind in KeyType::ALL {
        let key = keys.create(kind).await.unwrap();
        let name = format!("keys/{}.p8", key.id());
        folder.openssl(&format!(
            "pkey -inform DER -in {name} -pubout -outform DER -out public"
        ));
        assert_eq!(folder.read("public"), key.public_key().spki_der(), "{kind}");
        assert_eq!(mode(&folder.path(&name)), 0o600);
        let shown = format!("{key:?} {keys:?}");
        let file = folder.read(&name);
        let middle = &file[file.len() / 2..][..16];
        assert!(
            !shown.contains(&hex::encode(middle)),
            "no secret in debug output"
        );
    }
    assert!(names(&dir).iter().all(|name| !name.ends_with(".new")));
}

#[tokio::test]
async fn what_others_can_read_is_refused() {
    let folder = Folder::new();
    let dir = folder.path("keys");
    let keys = open(&dir).unwrap();
    let key = keys.create(KeyType::EcP256).await.unwrap();
    let file = dir.join(format!("{}.p8", key.id()));
    drop(keys);
    for (path, exposed) in [
        (&file, 0o640),
        (&file, 0o604),
        (&file, 0o620),
        (&dir, 0o750),
        (&dir, 0o701),
        (&dir.join("replica"), 0o644),
    ] {
        let right = mode(path);
        set_mode(path, exposed);
        let refused = open(&dir).unwrap_err();
        assert!(
            matches!(&refused, KeyError::Exposed { mode, .. } if *mode == exposed),
            "{refused}"
        );
        assert!(refused.hint().is_some());
        set_mode(path, right);
        open(&dir).unwrap();
    }
}

#[tokio::test]
async fn a_damaged_key_is_reported_and_left_as_it_is() {
    let folder = Folder::new();
    let dir = folder.path("keys");
    let keys = open(&dir).unwrap();
    let (one, other) = (
        keys.create(KeyType::EcP256).await.unwrap(),
        keys.create(KeyType::EcP256).await.unwrap(),
    );
    let path = |id: &str| dir.join(format!("{id}.p8"));
    let (whole, another) = (
        std::fs::read(path(one.id())).unwrap(),
        std::fs::read(path(other.id())).unwrap(),
    );
    drop(keys);
    let mut damaged: Vec<Vec<u8>> = (0..whole.len()).map(|end| whole[..end].to_vec()).collect();
    damaged.push([whole.as_slice(), b"x"].concat());
    // A whole key, but another one.
    damaged.push(another);
    damaged.push(vec![0; 20_000]);
    for bytes in damaged {
        std::fs::write(path(one.id()), &bytes).unwrap();
        let refused = open(&dir).unwrap_err();
        assert!(matches!(refused, KeyError::Invalid { .. }), "{refused}");
        assert_eq!(std::fs::read(path(one.id())).unwrap(), bytes);
    }
    std::fs::write(path(one.id()), &whole).unwrap();
    assert_eq!(open(&dir).unwrap().keys().await.unwrap().len(), 2);
    std::fs::write(dir.join("replica"), "somebody").unwrap();
    assert!(matches!(open(&dir), Err(KeyError::Invalid { .. })));
}

/// A process that is killed while it writes leaves a part of a key aside; one that is killed before it cleans up leaves all of
/// it there beside the linked one. Neither is a key under a key's name.
#[tokio::test]
async fn what_a_killed_process_leaves_aside_is_cleared_away() {
    let folder = Folder::new();
    let dir = folder.path("keys");
    let keys = open(&dir).unwrap();
    let key = keys.create(KeyType::EcP256).await.unwrap();
    let name = format!("{}.p8", key.id());
    drop(keys);
    let whole = std::fs::read(dir.join(&name)).unwrap();
    for left in [&whole[..0], &whole[..40], &whole[..]] {
        let aside = "0123456789abcdef0123456789abcdef01234567.p8.new";
        std::fs::write(dir.join(aside), left).unwrap();
        std::fs::write(dir.join(format!("{name}.new")), left).unwrap();
        let keys = open(&dir).unwrap();
        assert_eq!(keys.keys().await.unwrap().len(), 1);
        assert_eq!(names(&dir), [name.as_str(), "lock", "replica"]);
    }
}

#[tokio::test]
async fn one_process_uses_a_directory() {
    let folder = Folder::new();
    let keys = open(&folder.path("keys")).unwrap();
    assert!(matches!(
        DiskKeys::open(&folder.path("keys"), &SystemRandom),
        Err(KeyError::Locked(_))
    ));
    drop(keys);
    open(&folder.path("keys")).unwrap();
}

#[tokio::test]
async fn a_key_that_cannot_be_written_is_no_key() {
    let folder = Folder::new();
    let dir = folder.path("keys");
    let keys = open(&dir).unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    let refused = keys.create(KeyType::EcP256).await;
    assert!(matches!(refused, Err(KeyError::File { .. })), "{refused:?}");
    assert!(keys.keys().await.unwrap().is_empty());
}
