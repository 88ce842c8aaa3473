//! What `cloud-standin` writes lets an instance of each method log in: the walk of `docs/clouds.md`.

use std::fs;

use assay_cloud_standins::ec2::Mode;
use assay_cloud_standins::lab::{Lab, METHODS};

use super::super::site::{Site, agent_json};

const IDS: [&str; 5] = [
    "/aws/123456789012/eu-west-1/i-0abcdef1234567890",
    "/aws/123456789012/i-0abcdef1234567890",
    "/azure/3f9c1b7e-0c6e-4d0e-9d55-1f2c6f1a7b01/8d2b7f60-5b0e-4f2a-8a3c-0d9e6b7c4a02/f904ece8-c6c1-4b5c-881f-309b50f25e56",
    "/azure/3f9c1b7e-0c6e-4d0e-9d55-1f2c6f1a7b01/5a0c7d1e-2222-4333-8444-abcdefabcd03",
    "/gcp/assay-lab/europe-west4-a/2589221140676718026",
];

#[test]
fn an_instance_of_each_method_logs_in_by_what_was_written() {
    for (method, id) in METHODS.into_iter().zip(IDS) {
        let folder = tempfile::tempdir().unwrap();
        let files = folder.path().join("cloud");
        let lab = Lab::start(method, Mode::V2, &files).unwrap();
        lab.write(method, &files).unwrap();
        let read = |name: &str| fs::read_to_string(files.join(name)).unwrap();
        let site = Site::set_up_with(&read("policy.yaml"), &read("clouds.yaml"));
        let assayd = site.start(&[]);
        let config = site.agent(&read("attestors.json"), "");
        let (status, answer, errors) = agent_json(&["login"], &config);
        assert_eq!(status, 0, "{method}: {errors}\n{}", assayd.log());
        assert_eq!(answer["spiffeId"], format!("spiffe://example.org{id}"));
    }
}
