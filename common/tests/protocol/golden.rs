//! Golden bytes of protocol version 1. When a test here fails the code is wrong: do not change the bytes. A new
//! version gets its own file.

use crate::messages::{agent_messages, bytes, challenge, grant, verifier_messages};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn version_1_bytes_never_change() {
    let mut lines = String::new();
    for message in agent_messages() {
        lines += &format!("agent {}\n", hex(&bytes(&message)));
    }
    for message in verifier_messages() {
        lines += &format!("verifier {}\n", hex(&bytes(&message)));
    }
    lines += &format!("challenge {}\n", hex(&bytes(&challenge())));
    lines += &format!("grant {}\n", hex(&bytes(&grant())));
    assert_eq!(lines, include_str!("golden/v01.txt"));
}
