//! What a host answers, and where its name leads.

use super::*;

#[tokio::test]
async fn every_other_answer_is_refused_for_its_own_reason() {
    let login = Login::new(KIND, "hello");
    let other = nonce(&Login::new(KIND, "another hello"));
    let good = nonce(&login);
    let unpadded = good.trim_end_matches('=').to_owned();
    let head = "HTTP/1.1 200 OK\r\n";
    for (pieces, expected) in [
        (served(&other), "nonce"),
        (served(""), "nonce-malformed"),
        (served(&unpadded), "nonce-malformed"),
        (served(&format!("{good}x")), "nonce-malformed"),
        (served(&format!("{good} {good}")[..64]), "nonce-malformed"),
        (served(&format!("{CANARY:-<44}")), "nonce"),
        (served(&format!("{CANARY:.<44}")), "nonce-malformed"),
        (served(&" ".repeat(64)), "nonce-malformed"),
        (
            served(&format!("{good}{}", "\n".repeat(64))),
            "answer-too-large",
        ),
        (say(&format!("HTTP/1.1 204 {CANARY}\r\n\r\n")), "status"),
        (
            say(&format!(
                "HTTP/1.1 206 OK\r\ncontent-length: 44\r\n\r\n{good}"
            )),
            "status",
        ),
        (
            say(&format!(
                "HTTP/1.1 404 no\r\ncontent-length: 44\r\n\r\n{good}"
            )),
            "status",
        ),
        (
            say(&format!(
                "HTTP/1.1 302 {CANARY}\r\nlocation: http://node.assay.test/\r\ncontent-length: 44\r\n\r\n{good}"
            )),
            "redirect",
        ),
        (say(&format!("{CANARY}\r\n")), "answer-malformed"),
        (
            say(&format!("{head}content-length: 44\r\n\r\n{}", &good[..43])),
            "answer-malformed",
        ),
        (
            say(&format!(
                "{head}content-encoding: gzip\r\ncontent-length: 44\r\n\r\n{good}"
            )),
            "answer-malformed",
        ),
    ] {
        let shown = format!("{pieces:?}");
        let host = host(pieces).await;
        let result = claims(&login, &*allowed(), &payload("node.assay.test", host.port)).await;
        assert_eq!(check(result), expected, "{shown}");
    }
}

#[tokio::test]
async fn names_that_lead_where_they_may_not_are_refused() {
    let login = Login::new(KIND, "hello");
    let names = json!([
        "loop.assay.test",
        "link.assay.test",
        "mixed.assay.test",
        "private.assay.test",
        "nobody.assay.test"
    ]);
    let strict = entry(&json!({"allowedHostnames": names}));
    let network = Network(dns::shared().client(false));
    for (name, expected) in [
        ("loop.assay.test", "address-refused"),
        ("link.assay.test", "address-refused"),
        ("mixed.assay.test", "address-refused"),
        ("private.assay.test", "address-refused"),
        ("nobody.assay.test", "name-not-found"),
    ] {
        let result = login.claims(&*strict, &payload(name, 80), &network).await;
        let error = result.unwrap_err();
        assert_eq!(
            (error.check, error.fault),
            (expected, Fault::Refused),
            "{name}"
        );
    }
    // The switch opens private addresses and nothing else; that nobody is there is another matter.
    let opened = entry(&json!({"allowedHostnames": names, "allowPrivateAddresses": true}));
    for name in ["loop.assay.test", "link.assay.test", "mixed.assay.test"] {
        let result = login.claims(&*opened, &payload(name, 80), &network).await;
        assert_eq!(check(result), "address-refused", "{name}");
    }
}

#[tokio::test]
async fn an_answer_that_was_kept_is_good_for_its_host_and_login_only() {
    let login = Login::new(KIND, "hello");
    let host = host(served(&nonce(&login))).await;
    let own = payload("node.assay.test", host.port);
    let network = Network(dns::shared().client(true));
    let errand = login.errand(&*allowed(), &own).unwrap();
    let answer = errand.run(&network, &login.context).await.unwrap();
    assert!(login.decide(&*allowed(), &own, &answer).is_ok());
    let again = Login::new(KIND, "another hello").decide(&*allowed(), &own, &answer);
    assert_eq!(check(again), "nonce");
    for other in [
        payload("n1.nodes.assay.test", host.port),
        payload("node.assay.test", 1),
    ] {
        assert_eq!(
            check(login.decide(&*allowed(), &other, &answer)),
            "answer-kept"
        );
    }
    for cut in 0..answer.len() {
        assert_eq!(
            check(login.decide(&*allowed(), &own, &answer[..cut])),
            "answer-kept"
        );
    }
    let offline = login
        .claims(&*allowed(), &own, &assay_host_verifier::outside::NoOutside)
        .await;
    assert_eq!(check(offline), "offline");
}
