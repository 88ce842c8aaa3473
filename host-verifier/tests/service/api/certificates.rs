//! TLS: versions, protocols, client certificates, resumption, and certificates that change.

use std::process::Stdio;

use super::{Api, Served, pki};

/// What openssl's client says of a connection, with these options and `input` on its stdin.
async fn s_client(served: &Served, options: &[&str]) -> String {
    let mut command = tokio::process::Command::new("openssl");
    command
        .args(["s_client", "-connect", &served.address.to_string()])
        .args(["-servername", "localhost", "-CAfile", "ca.crt"])
        .args(options)
        .current_dir(pki())
        .stdin(Stdio::null());
    let output = command.output().await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_2_and_http_1_are_chosen_by_alpn() {
    let served = Api::new().serve().await;
    for (option, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let (_, words) = served.get("/v1/bundle", &[option]).await;
        assert_eq!(words, format!("{version} 200"));
    }
    let (_, words) = served.get("/v1/bundle", &["--no-alpn"]).await;
    assert_eq!(words, "1.1 200", "without ALPN it is HTTP/1.1");
    let none = s_client(&served, &["-alpn", "h3"]).await;
    assert!(none.contains("no application protocol"), "{none}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_1_3_and_1_2_are_spoken_and_what_is_older_is_refused() {
    let served = Api::new().serve().await;
    // openssl itself offers the old versions at security level 0 only.
    for (options, spoken) in [
        (&["-tls1_3"][..], Some("TLSv1.3")),
        (&["-tls1_2"], Some("TLSv1.2")),
        (&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], None),
        (&["-tls1", "-cipher", "ALL:@SECLEVEL=0"], None),
        (&["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"], None),
    ] {
        let text = s_client(&served, options).await;
        match spoken {
            Some(version) => {
                assert!(
                    text.contains(&format!("New, {version}")),
                    "{options:?}: {text}"
                );
                assert!(text.contains("Verify return code: 0 (ok)"), "{text}");
            }
            None => {
                assert!(text.contains("alert"), "{options:?}: {text}");
                assert!(text.contains("Cipher is (NONE)"), "{options:?}: {text}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_gives_the_role_that_its_name_has() {
    let served = Api::new().serve().await;
    let status = async |name: &str, method: &str, path: &str| {
        let (certificate, key) = (format!("{name}.crt"), format!("{name}.key"));
        let arguments = ["--cert", &certificate, "--key", &key, "--request", method];
        served.get(path, &arguments).await.1
    };
    let session = format!("/v1/sessions/{}", "ab".repeat(16));
    assert_eq!(status("operator", "GET", "/v1/nodes").await, "2 200");
    assert_eq!(status("operator", "DELETE", &session).await, "2 404");
    assert_eq!(status("operator", "GET", "/v1/tokens").await, "2 403");
    assert_eq!(status("viewer", "GET", "/v1/nodes").await, "2 200");
    assert_eq!(status("viewer", "DELETE", &session).await, "2 403");
    assert_eq!(status("stranger", "GET", "/v1/nodes").await, "2 403");
    assert_eq!(status("stranger", "GET", "/v1/bundle").await, "2 200");
    // The same name by an authority that is not trusted does not get through the handshake.
    let foreign = ["--cert", "foreign.crt", "--key", "foreign.key"];
    let output = served.curl("/v1/bundle", &foreign).await;
    assert!(!output.status.success(), "{output:?}");
    // A server's certificate is no client's.
    let server = ["--cert", "server.crt", "--key", "server.key"];
    let output = served.curl("/v1/bundle", &server).await;
    assert!(!output.status.success(), "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a51_where_clients_have_certificates_no_session_is_resumed() {
    for (tls, resumed) in [("", true), (", clientCAs: ca.crt", false)] {
        let served = Api::with(tls, "", &[]).serve().await;
        let text = s_client(&served, &["-tls1_2", "-reconnect"]).await;
        assert!(text.contains("New, TLSv1.2"), "{text}");
        assert_eq!(text.contains("Reused, TLSv1.2"), resumed, "{text}");
        // In TLS 1.3 the tickets come behind the handshake: an answer is waited for.
        let file = served.api.path("session");
        let name = file.to_str().unwrap();
        let url = format!("localhost:{}", served.address.port());
        let script = format!(
            "printf 'GET /v1/bundle HTTP/1.1\\r\\nhost: localhost\\r\\nconnection: close\\r\\n\\r\\n' | \
             openssl s_client -connect {url} -tls1_3 -ign_eof -CAfile ca.crt -sess_out {name} 2>&1; \
             [ ! -e {name} ] || openssl s_client -connect {url} -tls1_3 -CAfile ca.crt -sess_in {name} </dev/null 2>&1"
        );
        let mut shell = tokio::process::Command::new("sh");
        let output = shell
            .args(["-c", &script])
            .current_dir(pki())
            .output()
            .await
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            text.contains("New, TLSv1.3") && text.contains("trustDomain"),
            "{text}"
        );
        assert_eq!(text.contains("Reused, TLSv1.3"), resumed, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_served_at_once_and_a_pair_that_does_not_fit_never() {
    let served = Api::new().serve().await;
    let names = async || s_client(&served, &["-showcerts"]).await;
    let put = |from: &str, to: &str| {
        std::fs::copy(pki().join(from), served.api.path(to)).unwrap();
    };
    assert!(names().await.contains("CN = server"));
    assert!(!served.tls.reload().unwrap(), "nothing has changed");

    // Half of a replacement, by hand and before anybody looks by itself.
    put("renewed.crt", "server.crt");
    let error = served.tls.reload().unwrap_err();
    assert!(error.to_string().contains("server.key"), "{error}");
    assert!(names().await.contains("CN = server"), "the old one goes on");
    std::fs::write(served.api.path("server.crt"), "no certificate").unwrap();
    assert!(served.tls.reload().is_err());
    std::fs::remove_file(served.api.path("server.crt")).unwrap();
    assert!(served.tls.reload().is_err());
    assert!(names().await.contains("CN = server"));

    // The other half: whoever looks first, the watcher or this call, serves it.
    put("renewed.crt", "server.crt");
    put("renewed.key", "server.key");
    served.tls.reload().unwrap();
    assert!(names().await.contains("CN = renewed"));

    // Another authority of clients: who was let in before is not any more.
    let operator = ["--cert", "operator.crt", "--key", "operator.key"];
    assert_eq!(served.get("/v1/nodes", &operator).await.1, "2 200");
    put("other.crt", "ca.crt");
    served.tls.reload().unwrap();
    assert!(!served.curl("/v1/nodes", &operator).await.status.success());
    let foreign = ["--cert", "foreign.crt", "--key", "foreign.key"];
    assert_eq!(served.get("/v1/nodes", &foreign).await.1, "2 200");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_watcher_sees_a_new_certificate_by_itself() {
    let served = Api::new().serve().await;
    for file in ["crt", "key"] {
        let to = served.api.path(&format!("server.{file}"));
        std::fs::copy(pki().join(format!("renewed.{file}")), to).unwrap();
    }
    let began = std::time::Instant::now();
    while !s_client(&served, &[]).await.contains("CN = renewed") {
        assert!(began.elapsed().as_secs() < 60, "never reloaded");
    }
}

#[test]
fn a_key_that_everybody_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let api = Api::new();
    let files = &api.config.http.api.as_ref().unwrap().tls;
    let key = api.path("server.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o604)).unwrap();
    let error = assay_host_verifier::api::Tls::load(files).unwrap_err();
    assert!(error.to_string().contains("mode 604"), "{error}");
    assert!(error.hint().contains("chmod 600"));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    assay_host_verifier::api::Tls::load(files).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_two_identities_is_nobodys() {
    let served = Api::new().serve().await;
    for (name, words) in [("operator", "2 200"), ("twofold", "2 403")] {
        let (certificate, key) = (format!("{name}.crt"), format!("{name}.key"));
        let with = ["--cert", &certificate, "--key", &key];
        assert_eq!(served.get("/v1/nodes", &with).await.1, words, "{name}");
    }
}
