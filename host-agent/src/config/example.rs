//! The example that comes with the agent is read by the agent, and its comments are right: every field is switched on once.

use std::path::Path;

use super::{Config, Overrides};

const EXAMPLE: &str = include_str!("../../agent.example.yaml");

fn parse(text: &str) -> Result<Config, String> {
    let config = Config::parse(
        Path::new("/etc/assay/agent.yaml"),
        text,
        &Overrides::default(),
    );
    config.map_err(|error| error.to_string())
}

#[test]
fn the_example_is_read_as_it_stands() {
    let config = parse(EXAMPLE).unwrap();
    assert_eq!(config.cluster, "lab");
    assert!(config.outputs.is_none() && config.workload_api.is_none());
}

#[test]
fn what_is_switched_off_in_the_example_can_be_switched_on() {
    // A comment that is a field of YAML, and not one for people.
    let on = |line: &str| {
        let (blanks, comment) = line.split_once("# ")?;
        let name = comment.trim_start().trim_start_matches("- ");
        let (name, _) = name.split_once(':')?;
        let field = blanks.trim().is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric());
        (field && !comment.contains("provisioningRecord")).then(|| format!("{blanks}{comment}"))
    };
    let lines = EXAMPLE.lines();
    let text: Vec<_> = lines
        .map(|line| on(line).unwrap_or_else(|| line.to_owned()))
        .collect();
    let config = parse(&text.join("\n")).unwrap();
    assert!(config.outputs.is_some() && config.health.is_some() && config.metrics.is_some());
    assert_eq!(config.attestors.len(), 3);
    let api = config.workload_api.unwrap();
    assert_eq!(api.workloads[0].selectors.len(), 4);
}
