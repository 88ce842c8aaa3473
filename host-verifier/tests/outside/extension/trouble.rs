//! Webhooks that do not answer as they should, and answers that were kept.

use super::*;

#[tokio::test]
async fn a_webhook_that_is_out_of_order_denies_for_its_own_reason() {
    let login = Login::new(KIND, "hello");
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let allow = r#"{"allow":true}"#;
    for (pieces, expected) in [
        (
            say("HTTP/1.1 401 no\r\ncontent-length: 0\r\n\r\n"),
            "webhook-status",
        ),
        (
            say("HTTP/1.1 500 no\r\ncontent-length: 0\r\n\r\n"),
            "webhook-status",
        ),
        (
            say(&format!(
                "HTTP/1.1 201 OK\r\ncontent-type: application/json\r\ncontent-length: 14\r\n\r\n{allow}"
            )),
            "webhook-status",
        ),
        (
            say(
                "HTTP/1.1 307 no\r\nlocation: https://node.assay.test/\r\ncontent-length: 0\r\n\r\n",
            ),
            "webhook-redirect",
        ),
        (
            say(&format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 14\r\n\r\n{allow}"
            )),
            "webhook-content-type",
        ),
        (
            say(&format!("{head}content-length: 15\r\n\r\n{allow}")),
            "webhook-broken",
        ),
        (
            say(&format!("{head}content-length: 49153\r\n\r\n")),
            "webhook-answer-too-large",
        ),
        (vec![Piece::Hang], "webhook-timeout"),
    ] {
        let shown = format!("{pieces:?}");
        let hook = Upstream::tls(Arc::new(move |_| pieces.clone())).await;
        let attestor = entry(&hook, &json!({"timeout": "1s"}), Path::new(""));
        let error = ask(&login, &*attestor, b"").await.unwrap_err();
        assert_eq!(
            (error.check, error.fault),
            (expected, Fault::Unavailable),
            "{shown}"
        );
    }
    let hook = says(allow).await;
    let other = says(allow).await;
    let pinned = entry(&hook, &json!({"caCerts": &*other.authority}), Path::new(""));
    assert_eq!(check(ask(&login, &*pinned, b"").await), "webhook-tls");
    let system = json!({"webhookURL": hook.url("/"), "maxRetries": 0});
    let system = attestor(KIND, &system, Path::new("")).unwrap();
    assert_eq!(check(ask(&login, &*system, b"").await), "webhook-tls");
    // Beside the verifier only where the operator of the machine says so.
    let network = Network(dns::shared().client(false));
    let attestor = entry(&hook, &json!({}), Path::new(""));
    let refused = login.claims(&*attestor, b"", &network).await;
    assert_eq!(check(refused), "webhook-address");
    assert!(hook.requests().is_empty());
}

#[tokio::test]
async fn a_question_is_repeated_under_one_name_while_nobody_is_there() {
    let login = Login::new(KIND, "hello");
    let tries = Arc::new(Mutex::new(0));
    let count = tries.clone();
    let hook = Upstream::tls(Arc::new(move |_| {
        let mut tries = count.lock().unwrap();
        *tries += 1;
        match *tries {
            1 | 2 => say("HTTP/1.1 503 no\r\ncontent-length: 0\r\n\r\n"),
            _ => answer("application/json", r#"{"allow":true}"#),
        }
    }))
    .await;
    ask(
        &login,
        &*entry(&hook, &json!({"maxRetries": 2}), Path::new("")),
        b"",
    )
    .await
    .unwrap();
    let requests: BTreeSet<_> = hook.requests().into_iter().collect();
    assert_eq!(
        (requests.len(), *tries.lock().unwrap()),
        (1, 3),
        "the same, three times"
    );
    *tries.lock().unwrap() = 0;
    let once = entry(&hook, &json!({"maxRetries": 1}), Path::new(""));
    assert_eq!(check(ask(&login, &*once, b"").await), "webhook-status");
    // Not after a refusal, nor when the time is over.
    let refuses = Upstream::tls(Arc::new(|_| {
        say("HTTP/1.1 403 no\r\ncontent-length: 0\r\n\r\n")
    }))
    .await;
    let thrice = entry(&refuses, &json!({"maxRetries": 3}), Path::new(""));
    assert_eq!(check(ask(&login, &*thrice, b"").await), "webhook-status");
    assert_eq!(refuses.connections.load(Ordering::SeqCst), 1);
    let hangs = Upstream::tls(Arc::new(|_| vec![Piece::Hang])).await;
    let thrice = entry(
        &hangs,
        &json!({"maxRetries": 3, "timeout": "500ms"}),
        Path::new(""),
    );
    assert_eq!(check(ask(&login, &*thrice, b"").await), "webhook-timeout");
    assert_eq!(hangs.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_answer_that_was_kept_is_good_for_its_webhook_only() {
    let login = Login::new(KIND, "hello");
    let hook = says(r#"{"allow":true,"attributes":{"a":"x"}}"#).await;
    let own = entry(&hook, &json!({}), Path::new(""));
    let errand = login.errand(&*own, b"").unwrap();
    let network = Network(dns::shared().client(true));
    let kept = errand.run(&network, &login.context).await.unwrap();
    assert_eq!(login.decide(&*own, b"", &kept).unwrap().attributes.len(), 1);
    let other = entry(
        &hook,
        &json!({"webhookURL": hook.url("/other")}),
        Path::new(""),
    );
    assert_eq!(
        check(login.decide(&*other, b"", &kept)),
        "webhook-answer-kept"
    );
    for cut in 0..kept.len() {
        assert_eq!(
            check(login.decide(&*own, b"", &kept[..cut])),
            "webhook-answer-kept"
        );
    }
    let denied = String::from_utf8(kept).unwrap().replace("true", "false");
    assert_eq!(
        check(login.decide(&*own, b"", denied.as_bytes())),
        "webhook-denied"
    );
    let offline = login
        .claims(&*own, b"", &assay_host_verifier::outside::NoOutside)
        .await;
    assert_eq!(check(offline), "offline");
}
