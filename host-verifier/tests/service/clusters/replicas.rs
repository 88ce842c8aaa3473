//! The real processes: one command, and every replica serves what it set.

use std::time::{Duration, Instant};

use crate::agent::Answer;
use crate::desk::granted;
use crate::fake_tpm::FakeTpm;
use crate::postgres;
use crate::processes::text;
use crate::site::Site;

/// Logs in until the node is granted, or refused, as it should be. Both may be the case for a moment.
fn until(site: &Site, tpm: &FakeTpm, granted: bool) -> Answer {
    let began = Instant::now();
    loop {
        let answer = site.login(tpm);
        if matches!(answer, Answer::Granted(_)) == granted {
            return answer;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{answer:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_one_command_sets_every_replica_serves_without_a_restart() {
    let database = postgres::database();
    let (known, new) = (FakeTpm::new(), FakeTpm::new());
    let datastore = format!("datastore:\n  postgres:\n    url: {}\n", database.url());
    let sites = [(); 2].map(|()| Site::with(&[&known], &datastore));
    let first = sites[0].serve();
    std::fs::create_dir(sites[1].path("data")).unwrap();
    let key = "data/challenge-key.p8";
    std::fs::copy(sites[0].path(key), sites[1].path(key)).unwrap();
    let second = sites[1].serve();
    for site in &sites {
        granted(site.login(&known));
        assert!(matches!(site.login(&new), Answer::Denied(..)));
    }

    let policy = std::fs::read_to_string(sites[0].path("lab.yaml")).unwrap();
    let policy = policy.replace(&known.ek_hash(), &new.ek_hash());
    let site = &sites[0];
    std::fs::write(site.path("next.yaml"), policy).unwrap();
    let set = site.json(&[
        "config",
        "set",
        "cluster",
        "--id",
        "lab",
        "next.yaml",
        "--expect",
        "0",
    ]);
    assert_eq!(set["version"], 1);
    for site in &sites {
        granted(until(site, &new, true));
        until(site, &known, false);
    }
    let output = sites[1].assay(&[
        "config", "set", "cluster", "--id", "lab", "lab.yaml", "--expect", "0",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(
        told.contains("cluster `lab` is at version 1, not 0"),
        "{told}"
    );
    sites[1].json(&["config", "rollback", "cluster", "--id", "lab", "--to", "0"]);
    for site in &sites {
        granted(until(site, &known, true));
        until(site, &new, false);
    }
    for daemon in [first, second] {
        let (status, _, log) = daemon.terminate();
        assert_eq!(status.code(), Some(0));
        let served: Vec<_> = log
            .iter()
            .filter(|line| line["msg"] == "Cluster configuration in force")
            .map(|line| (line["cluster"].clone(), line["version"].clone()))
            .collect();
        let expected = [1, 2].map(|version| ("lab".into(), version.into()));
        assert_eq!(served, expected, "{log:?}");
    }
}

/// What was set is in force from the first login on.
#[test]
fn a_restart_serves_what_was_set_and_clusters_need_not_be_in_the_file() {
    let (known, new) = (FakeTpm::new(), FakeTpm::new());
    let site = Site::new(&[&known]);
    assert_eq!(site.serve().terminate().0.code(), Some(0));
    let policy = std::fs::read_to_string(site.path("lab.yaml")).unwrap();
    let policy = policy.replace(&known.ek_hash(), &new.ek_hash());
    std::fs::write(site.path("next.yaml"), policy).unwrap();
    site.json(&["config", "set", "cluster", "--id", "lab", "next.yaml"]);
    let daemon = site.serve();
    granted(site.login(&new));
    assert!(matches!(site.login(&known), Answer::Denied(..)));
    assert_eq!(daemon.terminate().0.code(), Some(0));

    let written = std::fs::read_to_string(site.path("assayd.yaml")).unwrap();
    let without = written.replace("clusters:\n  lab: lab.yaml\n", "");
    std::fs::write(site.path("assayd.yaml"), without).unwrap();
    let daemon = site.serve();
    granted(site.login(&new));
    assert_eq!(daemon.terminate().0.code(), Some(0));
    assert_eq!(
        site.json(&["bundle", "show"])["clusters"],
        serde_json::json!(["lab"])
    );
}
