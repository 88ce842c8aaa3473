//! How commands fail, and what they tell about it.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::Office;
use crate::api::pki;
use crate::fake_tpm::FakeTpm;
use crate::processes::text;

#[test]
fn what_keeps_a_command_from_the_server_is_said_with_what_to_do() {
    let office = Office::new(&[&FakeTpm::new()]);
    let path = |name: &str| office.site.path(name).display().to_string();
    std::fs::copy(pki().join("other.crt"), path("other.crt")).unwrap();
    std::fs::write(path("empty"), "").unwrap();
    std::fs::write(path("unknown"), format!("assay_{}", "A".repeat(43))).unwrap();
    for file in ["empty", "unknown"] {
        std::fs::set_permissions(path(file), PermissionsExt::from_mode(0o600)).unwrap();
    }
    let nobody = {
        // Closed again, so that nobody listens there.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!(
            "https://localhost:{}",
            listener.local_addr().unwrap().port()
        )
    };
    let by_address = office.url.replace("localhost", "127.0.0.2");
    let plain = office.url.replace("https", "http");
    let url = office.url.as_str();
    for (server, token, ca, status, said, hint) in [
        (
            url,
            "admin",
            "other.crt",
            1,
            "TLS: invalid peer certificate",
            "--ca FILE",
        ),
        (by_address.as_str(), "admin", "ca.crt", 1, "127.0.0.2", ""),
        (
            nobody.as_str(),
            "admin",
            "ca.crt",
            1,
            "onnection refused",
            "does assayd run there",
        ),
        (
            plain.as_str(),
            "admin",
            "ca.crt",
            2,
            "begins with https://",
            "https://",
        ),
        (
            "localhost",
            "admin",
            "ca.crt",
            2,
            "begins with https://",
            "https://",
        ),
        (
            "https://me:pw@localhost/",
            "admin",
            "ca.crt",
            2,
            "a host and a port",
            "https://",
        ),
        (
            "https://localhost/v1",
            "admin",
            "ca.crt",
            2,
            "a host and a port",
            "https://",
        ),
        (url, "none", "ca.crt", 2, "none: ", ""),
        (
            url,
            "empty",
            "ca.crt",
            2,
            "empty: no token",
            "assay token create",
        ),
        (
            url,
            "ca.crt",
            "ca.crt",
            2,
            "ca.crt: no token",
            "assay token create",
        ),
        (
            url,
            "unknown",
            "ca.crt",
            1,
            "the token is not known",
            "--token-file FILE",
        ),
        (url, "admin", "none", 2, "none: ", "PEM"),
        (url, "admin", "empty", 2, "empty: no certificate", "PEM"),
    ] {
        let access = ["--server", server, "--token-file", token, "--ca", ca];
        let output = office.bare(&[&["node", "list", "--json"], &access[..]].concat(), &[]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{access:?}: {told}");
        let lines = told.split_once('\n').unwrap();
        assert!(
            lines.0.starts_with("error: ") && lines.0.contains(said),
            "{access:?}: {told}"
        );
        assert!(lines.1.contains(hint), "{access:?}: {told}");
        assert!(!told.contains("pw"), "{told}");
        let object: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(object["error"].as_str().unwrap().contains(said), "{object}");
    }
    office.service.stop();
}

#[test]
fn where_the_verifier_is_comes_from_the_command_line_before_the_environment() {
    let office = Office::new(&[&FakeTpm::new()]);
    let path = |name: &str| office.site.path(name).display().to_string();
    let (config, token, ca) = (path("assayd.yaml"), path("admin"), path("ca.crt"));
    let server = ("ASSAY_SERVER", office.url.as_str());
    let (with_token, with_ca) = (
        ("ASSAY_TOKEN_FILE", token.as_str()),
        ("ASSAY_CA", ca.as_str()),
    );
    let beside = ("ASSAYD_CONFIG", config.as_str());
    // Who made a token says where it was made.
    let maker = |arguments: &[&str], environment: &[(&str, &str)]| -> String {
        let create = [
            "token", "create", "--role", "viewer", "--name", "x", "--json",
        ];
        let output = office.bare(&[&create, arguments].concat(), environment);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        let made: Value = serde_json::from_slice(&output.stdout).unwrap();
        // Beside the store names have underscores, and so they have over the API.
        made["created_by"].as_str().unwrap().to_owned()
    };
    let all = [server, with_token, with_ca, beside];
    assert!(maker(&[], &all).starts_with("token "), "the server");
    assert_eq!(maker(&["--config", &config], &all), "command line");
    assert_eq!(maker(&[], &[beside, with_token]), "command line");
    let named = [
        "--server",
        &office.url,
        "--token-file",
        "admin",
        "--ca",
        "ca.crt",
    ];
    assert!(maker(&named, &[beside, ("HTTPS_PROXY", "http://127.0.0.1:1")]).starts_with("token "));

    let list = |arguments: &[&str], environment: &[(&str, &str)]| {
        let output = office.bare(&[&["node", "list"], arguments].concat(), environment);
        (output.status.code(), text(&output.stderr).to_owned())
    };
    let (status, said) = list(&["--config", &config, "--server", &office.url], &[]);
    assert!(
        status == Some(2) && said.contains("cannot be used with"),
        "{said}"
    );
    let (status, said) = list(&[], &[]);
    assert!(
        status == Some(2) && said.contains("no verifier is named\nhint: --config FILE"),
        "{said}"
    );
    let (status, said) = list(&[], &[server, with_ca]);
    assert!(
        status == Some(2) && said.contains("--token-file FILE"),
        "{said}"
    );

    // Others that can read the token are spoken of, and it works.
    std::fs::set_permissions(&token, PermissionsExt::from_mode(0o640)).unwrap();
    let (status, said) = list(&[], &[server, with_token, with_ca]);
    assert_eq!(status, Some(0));
    assert!(
        said.starts_with("warning: ")
            && said.contains("others can read this token\nhint: chmod 600"),
        "{said}"
    );
    office.service.stop();
}
