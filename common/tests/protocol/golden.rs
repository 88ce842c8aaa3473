//! Golden bytes of every protocol version. When a test here fails the code is wrong: do not change the bytes. A new
//! version gets its own file, with what it brought.

use crate::messages::{
    agent_messages, agent_messages_v2, bytes, challenge, grant, measured_quote, renewal,
    svid_grant, svid_key_payloads, svid_key_request, verifier_messages, verifier_messages_v2,
};

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

#[test]
fn version_2_bytes_never_change() {
    let mut lines = String::new();
    for message in agent_messages_v2() {
        lines += &format!("agent {}\n", hex(&bytes(&message)));
    }
    for message in verifier_messages_v2() {
        lines += &format!("verifier {}\n", hex(&bytes(&message)));
    }
    lines += &format!("svid_grant {}\n", hex(&bytes(&svid_grant())));
    lines += &format!("renewal {}\n", hex(&bytes(&renewal())));
    lines += &format!("svid_key_request {}\n", hex(&bytes(&svid_key_request())));
    for payload in svid_key_payloads() {
        lines += &format!("svid_key_payload {}\n", hex(&bytes(&payload)));
    }
    assert_eq!(lines, include_str!("golden/v02.txt"));
}

#[test]
fn version_3_bytes_never_change() {
    let line = format!("measured_quote {}\n", hex(&bytes(&measured_quote())));
    assert_eq!(line, include_str!("golden/v03.txt"));
}
