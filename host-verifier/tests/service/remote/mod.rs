//! The command line as a client of a running verifier: the real programs, over TLS on loopback.

mod client;
mod commands;
mod refusals;

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use serde_json::Value;

use crate::api::pki;
use crate::api::programs::Service;
use crate::fake_tpm::FakeTpm;
use crate::processes::text;
use crate::site::Site;

/// A verifier with an API, and a token of role admin in a file.
struct Office {
    site: Site,
    service: Service,
    url: String,
}

impl Office {
    fn new(tpms: &[&FakeTpm]) -> Self {
        let site = Site::new(tpms);
        for name in ["server.crt", "server.key", "ca.crt"] {
            std::fs::copy(pki().join(name), site.path(name)).unwrap();
        }
        let config = std::fs::read_to_string(site.path("assayd.yaml")).unwrap();
        let api = "listeners:\n  api: {address: 127.0.0.1:0, tls: {certificate: server.crt, key: server.key}}\n";
        std::fs::write(
            site.path("assayd.yaml"),
            config.replace("listeners:\n", api),
        )
        .unwrap();
        let mut service = Service::of(
            site.dir.path(),
            site.path("assayd.yaml").to_str().unwrap(),
            &[],
        );
        let port = service
            .address("api")
            .rsplit_once(':')
            .unwrap()
            .1
            .to_owned();
        let office = Self {
            site,
            service,
            url: format!("https://localhost:{port}"),
        };
        office.token("admin");
        office
    }

    /// A token of this role in a file of this name.
    fn token(&self, role: &str) -> String {
        let made = self.beside(&["token", "create", "--role", role, "--name", role]);
        assert!(made.status.success(), "{made:?}");
        let path = self.site.path(role);
        std::fs::write(&path, &made.stdout).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        text(&made.stdout).trim().to_owned()
    }

    /// A command beside the store.
    fn beside(&self, arguments: &[&str]) -> Output {
        self.site.assay(arguments)
    }

    /// A command that knows nothing but this.
    fn bare(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_assay"))
            .args(arguments)
            .envs(environment.iter().copied())
            .current_dir(self.site.dir.path())
            .output()
            .unwrap()
    }

    /// A command over the API, by options.
    fn over(&self, arguments: &[&str]) -> Output {
        let access = [
            "--server",
            &self.url,
            "--token-file",
            "admin",
            "--ca",
            "ca.crt",
        ];
        self.bare(&[arguments, &access].concat(), &[])
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.over(&[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}
