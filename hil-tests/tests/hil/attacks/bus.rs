//! Somebody between the FIFO and the TPM.

use super::*;

/// CVE-2024-29039: the digests that PCR_Read gives are exchanged between PCRs. The agent compares them with the quote
/// before it sends anything.
#[test]
fn a02_pcr_values_that_are_exchanged_on_the_bus_reach_no_verifier() {
    let lab = Lab::new();
    let tpm = Interposer {
        tpm: lab.power(0),
        tamper: |tpm: &mut SwtpmBackend, code, command: &[u8]| {
            let mut response = run(tpm, command);
            if code == PCR_READ {
                // The last digest is that of PCR 7: not zeros any more.
                *response.last_mut().unwrap() ^= 0x80;
            }
            response
        },
    };
    let loopback = lab.node_with(tpm);
    stopped(
        &loopback,
        &mut loopback.node().unwrap(),
        TroubleCode::PCR_UNSTABLE,
    );
}

/// CVE-2022-0317: the command is changed on the bus so that the TPM quotes no PCR at all, and the values of the policy
/// are told beside it.
#[test]
fn a03_a_quote_over_fewer_pcrs_than_asked_for_is_no_proof_of_them() {
    let lab = Lab::new();
    for mask in [0x00, 0x7F] {
        let tpm = Interposer {
            tpm: lab.power(0),
            tamper: move |tpm: &mut SwtpmBackend, code, command: &[u8]| {
                let mut command = command.to_vec();
                if code == QUOTE {
                    // … sizeofSelect 3, PCRs 0 to 7, none, none.
                    let at = command.len() - 3;
                    assert_eq!(command[at - 1..], [3, 0xFF, 0, 0]);
                    command[at] = mask;
                }
                run(tpm, &command)
            },
        };
        let loopback = lab.node_with(tpm);
        // The agent sees that the quote is over something else than what it read.
        stopped(
            &loopback,
            &mut loopback.node().unwrap(),
            TroubleCode::PCR_UNSTABLE,
        );
    }
}

/// GHSA-gwfg-w3jr-xh66: another structure that the AK signs as readily (TPM2_GetTime) in place of the quote.
#[test]
fn a06_a_signed_time_is_not_taken_for_a_quote() {
    let lab = Lab::new();
    let tpm = Interposer {
        tpm: lab.power(0),
        tamper: |tpm: &mut SwtpmBackend, code, command: &[u8]| {
            if code != QUOTE {
                return run(tpm, command);
            }
            // Quote: header 10, key 4, authorization 13, qualifyingData 2 + 32, …
            let (key, nonce) = (&command[10..14], &command[27..61]);
            let mut time = vec![0x80, 0x02, 0, 0, 0, 0, 0, 0, 0x01, 0x4C, 0x40, 0, 0, 0x0B];
            time.extend_from_slice(key);
            time.extend_from_slice(&[0, 0, 0, 18]);
            for _ in 0..2 {
                time.extend_from_slice(&[0x40, 0, 0, 0x09, 0, 0, 0x01, 0, 0]);
            }
            time.extend_from_slice(nonce);
            time.extend_from_slice(&[0, 0x10]);
            time[5] = u8::try_from(time.len()).unwrap();
            let mut response = run(tpm, &time);
            assert_eq!(response[6..10], [0; 4], "the TPM signed the time");
            // One authorization fewer in the response, as after a quote.
            let len = response.len() - 5;
            response.truncate(len);
            response[2..6].copy_from_slice(&u32::try_from(len).unwrap().to_be_bytes());
            response
        },
    };
    let loopback = lab.node_with(tpm);
    // It says nothing of PCRs, so it does not agree with those that were read.
    stopped(
        &loopback,
        &mut loopback.node().unwrap(),
        TroubleCode::PCR_UNSTABLE,
    );
}

/// An interposer answers with the quote of an earlier login.
#[test]
fn a17_a_quote_that_is_replayed_on_the_bus_is_refused() {
    let lab = Lab::new();
    let loopback = lab.node_with(lab.power(0));
    let mut node = loopback.node().unwrap();
    node.attempt().unwrap();
    loopback
        .tpm
        .with(|model| model.set_faults("replay@execution/Quote/once".parse().unwrap()));
    refused(&loopback, &mut node, "nonce");
    node.attempt().unwrap();
}

/// CVE-2022-1053: the AK that was named is replaced in the TPM, under its handle, before it is used.
#[test]
fn a19_an_ak_that_is_exchanged_between_the_rounds_opens_no_credential() {
    let lab = Lab::new();
    let handles = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&handles);
    let tpm = Interposer {
        tpm: lab.power(0),
        tamper: move |tpm: &mut SwtpmBackend, code, command: &[u8]| {
            let response = run(tpm, command);
            let mut handles = seen.lock().unwrap();
            if code == 0x131 {
                handles.push(response[10..14].to_vec());
            }
            if code == START_AUTH_SESSION {
                let ak = handles.last().unwrap().clone();
                run(
                    tpm,
                    &[&[0x80, 0x01, 0, 0, 0, 14, 0, 0, 0x01, 0x65][..], &ak].concat(),
                );
                let other = run(tpm, &create_primary(&AK_RSA2048));
                assert_eq!(other[10..14], ak, "under the same handle");
            }
            response
        },
    };
    let loopback = lab.node_with(tpm);
    stopped(
        &loopback,
        &mut loopback.node().unwrap(),
        TroubleCode::TPM_COMMAND,
    );
    assert_eq!(handles.lock().unwrap().len(), 2);
}

/// TPM2_CreatePrimary in the endorsement hierarchy, empty authorization.
fn create_primary(template: &[u8]) -> Vec<u8> {
    let mut command = vec![0x80, 0x02, 0, 0, 0, 0, 0, 0, 0x01, 0x31, 0x40, 0, 0, 0x0B];
    command.extend_from_slice(&[0, 0, 0, 9, 0x40, 0, 0, 0x09, 0, 0, 0x01, 0, 0]);
    command.extend_from_slice(&[0, 4, 0, 0, 0, 0]);
    command.extend_from_slice(&u16::try_from(template.len()).unwrap().to_be_bytes());
    command.extend_from_slice(template);
    command.extend_from_slice(&[0, 0, 0, 0, 0, 0]);
    let len = u32::try_from(command.len()).unwrap();
    command[2..6].copy_from_slice(&len.to_be_bytes());
    command
}

/// The cuckoo in the node: A's agent itself is made to believe that B's AK is its own. The credential is for A's EK
/// and the Name of B's AK, and opens in neither TPM.
#[test]
fn a23_the_ak_of_another_node_cannot_be_named_as_ones_own() {
    let lab = Lab::new();
    let mut twin = lab.power(1);
    let mut keys = 0;
    let tpm = Interposer {
        tpm: lab.power(0),
        tamper: move |tpm: &mut SwtpmBackend, code, command: &[u8]| {
            let (own, theirs) = (run(tpm, command), twin.execute(command, 0).unwrap());
            keys += u32::from(code == 0x131);
            if code == 0x131 && keys == 2 {
                assert_ne!(own, theirs);
                return theirs;
            }
            own
        },
    };
    let loopback = lab.node_with(tpm);
    stopped(
        &loopback,
        &mut loopback.node().unwrap(),
        TroubleCode::TPM_COMMAND,
    );
}

/// The cuckoo on the bus: from one command on, another genuine TPM answers, which has done all that the first one has,
/// so that its keys have the same handles.
#[test]
fn a23_another_tpm_that_answers_from_the_middle_of_a_login_on_proves_nothing() {
    for (from, session) in [("the second round", true), ("the quote", false)] {
        let lab = Lab::new();
        let mut twin = lab.power(1);
        let swapped = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&swapped);
        let tpm = Interposer {
            tpm: lab.power(0),
            tamper: move |tpm: &mut SwtpmBackend, code, command: &[u8]| {
                if code == (if session { START_AUTH_SESSION } else { QUOTE }) {
                    flag.store(true, Ordering::Relaxed);
                }
                // The twin hears everything from the start, and so holds an EK and an AK of its own.
                let other = twin.execute(command, 0).unwrap();
                if flag.load(Ordering::Relaxed) {
                    other
                } else {
                    run(tpm, command)
                }
            },
        };
        let loopback = lab.node_with(tpm);
        let mut node = loopback.node().unwrap();
        if session {
            // The secret is sealed to the first one's EK.
            stopped(&loopback, &mut node, TroubleCode::TPM_COMMAND);
        } else {
            refused(&loopback, &mut node, "signature");
        }
        assert!(swapped.load(Ordering::Relaxed), "{from}");
    }
}
