//! `assay config` on clusters: what it prints, and how it exits.

use crate::fake_tpm::FakeTpm;
use crate::processes::text;
use crate::site::Site;

use super::{issuance, one_hash};

/// Runs a command; what it printed with the times, names and digests of this run struck out.
fn run(site: &Site, arguments: &[&str], status: i32) -> String {
    let output = site.assay(arguments);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{stdout}{stderr}");
    let user = String::from_utf8(
        std::process::Command::new("id")
            .arg("-un")
            .output()
            .unwrap()
            .stdout,
    );
    let mut told = format!("{stdout}{stderr}")
        .replace(&format!("local:{}", user.unwrap().trim()), "local:ME")
        .replace(&site.dir.path().display().to_string(), "DIR");
    for line in told.clone().lines() {
        for word in line.split([' ', ',']) {
            if word.starts_with("20") && word.ends_with('Z') {
                // The column is as wide as the time.
                told = told.replace(word, "TIME");
            }
        }
    }
    told
}

#[test]
fn a_cluster_is_set_shown_compared_and_rolled_back() {
    let site = Site::new(&[&FakeTpm::new()]);
    let config = |arguments: &[&str], status: i32| {
        let (verb, rest) = arguments.split_first().unwrap();
        let all = [&["config", verb, "cluster", "--id", "lab"], rest].concat();
        run(&site, &all, status)
    };
    std::fs::write(site.path("one.yaml"), one_hash('1')).unwrap();
    std::fs::write(site.path("two.yaml"), one_hash('2')).unwrap();
    std::fs::write(
        site.path("wrong.yaml"),
        one_hash('2').replace("rack", "\"\""),
    )
    .unwrap();
    std::fs::write(
        site.path("path.yaml"),
        issuance("/n/{{tpm_ek.public_hash}}"),
    )
    .unwrap();
    let told = config(&["set", "one.yaml"], 1);
    assert!(told.contains("no database yet"), "{told}");
    assert_eq!(site.serve().terminate().0.code(), Some(0));

    let digest = |file: &str| {
        let output = std::process::Command::new("sha256sum")
            .arg(site.path(file))
            .output()
            .unwrap();
        text(&output.stdout)[..64].to_owned()
    };
    let (one, two, path) = (digest("one.yaml"), digest("two.yaml"), digest("path.yaml"));
    assert_eq!(
        config(&["get"], 0),
        format!(
            "lab: version 0\n\nAgentAttestation: from DIR/lab.yaml\n{}",
            std::fs::read_to_string(site.path("lab.yaml"))
                .unwrap()
                .lines()
                .map(|l| format!("  {l}\n"))
                .collect::<String>()
        )
    );
    assert_eq!(config(&["history"], 0), "none\n");
    assert_eq!(
        config(
            &[
                "set",
                "one.yaml",
                "path.yaml",
                "--expect",
                "0",
                "--comment",
                "as agreed",
                "--dry-run"
            ],
            0
        ),
        format!(
            "lab: would be version 1\n  AgentAttestation: sha256 {one}\n  SVIDIssuancePolicy: sha256 {path}\n"
        )
    );
    assert_eq!(
        config(
            &[
                "set",
                "one.yaml",
                "path.yaml",
                "--expect",
                "0",
                "--comment",
                "as agreed"
            ],
            0
        ),
        format!(
            "lab: version 1\n  AgentAttestation: sha256 {one}\n  SVIDIssuancePolicy: sha256 {path}\n"
        )
    );
    assert_eq!(
        config(&["set", "one.yaml"], 0),
        format!("lab: version 1, nothing to change\n  AgentAttestation: sha256 {one}\n")
    );
    assert_eq!(
        config(&["set", "two.yaml", "--expect", "0"], 1),
        "error: cluster `lab` is at version 1, not 0\nhint: look at what changed (`assay config diff cluster`, GET /v1/clusters/{id}/config), then say so with the present version\n"
    );
    assert_eq!(
        config(&["set", "wrong.yaml"], 2),
        "error: wrong.yaml:5:11: policy without a name\nhint: give the policy a name; logs and sessions show it\n"
    );
    assert_eq!(
        config(&["set", "two.yaml"], 0),
        format!("lab: version 2\n  AgentAttestation: sha256 {two}\n")
    );
    assert_eq!(
        config(&["get", "--section", "AgentAttestation"], 0),
        one_hash('2')
    );
    assert_eq!(
        config(
            &["get", "--section", "AgentAttestation", "--version", "1"],
            0
        ),
        one_hash('1')
    );
    let hunk = |sign: char, digit: &str| {
        format!(
            "{sign}      config: {{allowedHashes: [\"{}\"]}}\n",
            digit.repeat(64)
        )
    };
    assert_eq!(
        config(&["diff", "--from", "1"], 0),
        format!(
            "--- lab/AgentAttestation 1\n+++ lab/AgentAttestation in force\n@@ -5,4 +5,4 @@\n   - name: rack\n     requiredAttestors:\n     - type: tpm_ek\n{}{}",
            hunk('-', "1"),
            hunk('+', "2")
        )
    );
    assert_eq!(config(&["diff", "--from", "2"], 0), "no difference\n");
    assert_eq!(
        config(
            &[
                "remove",
                "--section",
                "AgentAttestation",
                "--comment",
                "oops"
            ],
            0
        ),
        "lab: version 3\n  AgentAttestation: removed\nnote: the AgentAttestation of the service's own configuration is in force again: DIR/lab.yaml\n"
    );
    assert_eq!(
        config(
            &["rollback", "--to", "1", "--section", "AgentAttestation"],
            0
        ),
        format!("lab: version 4\n  AgentAttestation: sha256 {one}\n")
    );
    let (short, short2, short3) = (&one[..12], &two[..12], &path[..12]);
    let history = config(&["history"], 0);
    let columns: Vec<Vec<&str>> = history
        .lines()
        .map(|line| {
            line.split("  ")
                .map(str::trim)
                .filter(|c| !c.is_empty())
                .collect()
        })
        .collect();
    assert_eq!(
        columns,
        [
            vec![
                "VERSION", "SECTION", "WHAT", "SHA-256", "WHEN", "BY", "COMMENT"
            ],
            vec![
                "4",
                "AgentAttestation",
                "back to 1",
                short,
                "TIME",
                "local:ME"
            ],
            vec![
                "3",
                "AgentAttestation",
                "removed",
                "-",
                "TIME",
                "local:ME",
                "oops"
            ],
            vec!["2", "AgentAttestation", "set", short2, "TIME", "local:ME"],
            vec![
                "1",
                "AgentAttestation",
                "set",
                short,
                "TIME",
                "local:ME",
                "as agreed"
            ],
            vec![
                "1",
                "SVIDIssuancePolicy",
                "set",
                short3,
                "TIME",
                "local:ME",
                "as agreed"
            ],
        ],
        "{history}"
    );
    assert_eq!(
        config(&["get"], 0),
        format!(
            "lab: version 4\n\nAgentAttestation: version 4, TIME, local:ME\n{}\nSVIDIssuancePolicy: version 1, TIME, local:ME: as agreed\n{}",
            one_hash('1')
                .lines()
                .map(|l| format!("  {l}\n"))
                .collect::<String>(),
            issuance("/n/{{tpm_ek.public_hash}}")
                .lines()
                .map(|l| format!("  {l}\n"))
                .collect::<String>(),
        )
    );
    assert_eq!(
        run(&site, &["config", "list", "clusters"], 0),
        "CLUSTER  VERSION  SECTIONS\nlab      4        AgentAttestation (4), SVIDIssuancePolicy (1)\n"
    );
    assert_eq!(
        config(&["rollback", "--to", "9"], 1),
        "error: cluster `lab` has no version 9; its last is 4\nhint: `assay config history cluster` and GET /v1/clusters/{id}/config/history show what was set\n"
    );
    let told = config(&["get", "--section", "AgentAtestation"], 2);
    assert!(told.contains("did you mean `AgentAttestation`?"), "{told}");
    assert_eq!(
        run(&site, &["config", "history", "cluster", "--id", "none"], 1),
        "error: cluster `none` is not configured\nhint: `assay config list clusters` and GET /v1/clusters show those that are\n"
    );

    let json = site.json(&["config", "get", "cluster", "--id", "lab"]);
    assert_eq!(json["version"], 4);
    assert_eq!(json["sections"][0]["origin"], "store");
    assert_eq!(json["sections"][0]["document"], one_hash('1'));
    assert_eq!(json["sections"][0]["rollbackOf"], 1);
    let json = site.json(&[
        "config", "history", "cluster", "--id", "lab", "--limit", "1",
    ]);
    assert_eq!(
        (&json[0]["version"], &json[0]["sha256"]),
        (&4.into(), &one.into())
    );
    assert_eq!(json.as_array().unwrap().len(), 1);
}

#[test]
fn a_node_is_provisioned_for_a_cluster_that_is_only_in_the_store() {
    let site = Site::new(&[&FakeTpm::new()]);
    assert_eq!(site.serve().terminate().0.code(), Some(0));
    std::fs::write(site.path("one.yaml"), one_hash('1')).unwrap();
    let record = ["provision", "record", "--cluster", "new", "--out", "r"];
    let output = site.assay(&record);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("cluster `new` is not configured"),
        "{output:?}"
    );
    site.json(&["config", "set", "cluster", "--id", "new", "one.yaml"]);
    assert_eq!(site.json(&record)["cluster"], "new");
}
