//! How many calls logins make: what `Fleet` says, and no other number.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use assay_host_verifier::cloud::aws::{Calls, Cluster, Fleet, RoleArn};

use super::api::Api;
use super::{Verifier, place};

fn made(api: &Api) -> Calls {
    Calls {
        caller: api.calls("GetCallerIdentity"),
        assume_role: api.calls("AssumeRole"),
        instances: api.calls("DescribeInstances"),
        profiles: api.calls("GetInstanceProfile"),
        list_accounts: api.calls("ListAccounts"),
        list_nodegroups: api.calls("ListNodegroups"),
        describe_nodegroup: api.calls("DescribeNodegroup"),
        groups: api.calls("DescribeAutoScalingGroups"),
        volumes: api.calls("DescribeVolumes"),
        images: api.calls("DescribeImages"),
    }
}

#[tokio::test]
async fn those_who_ask_the_same_at_once_share_one_call() {
    let api = Api::start().await;
    let verifier = Arc::new(Verifier::of(&api));
    let mut tasks = Vec::new();
    for _ in 0..200 {
        let verifier = verifier.clone();
        tasks.push(tokio::spawn(async move {
            let place = place("111122223333", "eu-west-1");
            let id = "i-0123456789abcdef0";
            verifier.aws.instance(&verifier.world, &place, id).await
        }));
    }
    for task in tasks {
        assert!(task.await.unwrap().unwrap().is_some());
    }
    assert_eq!(
        (api.calls("AssumeRole"), api.calls("DescribeInstances")),
        (1, 1)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_logins_make_the_calls_of_their_instances() {
    const INSTANCES: usize = 1000;
    const ACCOUNTS: usize = 50;
    const LOGINS: usize = 10_000;
    let api = Api::start().await;
    let account = |n: usize| format!("{:012}", 100_000 + n % ACCOUNTS);
    api.set(|state| {
        state.accounts = (0..ACCOUNTS).map(|n| (account(n), "ACTIVE")).collect();
        let groups = vec![("ng".to_owned(), "asg".to_owned())];
        let at = format!("{}/eu-west-1/prod", account(0));
        state.nodegroups.insert(at, groups);
        let nodes = (0..INSTANCES)
            .step_by(ACCOUNTS)
            .map(|n| format!("i-{n:017x}"));
        state.groups.insert("asg".to_owned(), nodes.collect());
    });
    let verifier = Arc::new(Verifier::of(&api));
    let next = Arc::new(AtomicUsize::new(0));
    let mut logins = Vec::new();
    for _ in 0..32 {
        let (verifier, next) = (verifier.clone(), next.clone());
        logins.push(tokio::spawn(async move {
            let role = RoleArn::parse("arn:aws:iam::700000000000:role/Reader").unwrap();
            loop {
                let login = next.fetch_add(1, Ordering::Relaxed);
                if login >= LOGINS {
                    return;
                }
                // In an order in which a thousand others have asked before somebody comes again.
                let n = login % INSTANCES;
                let (aws, world) = (&verifier.aws, &verifier.world);
                let (place, id) = (place(&account(n), "eu-west-1"), format!("i-{n:017x}"));
                aws.caller(world).await.unwrap();
                let is_in = aws.in_organization(world, Some(&role), place.account());
                assert!(is_in.await.unwrap());
                let instance = aws.instance(world, &place, &id).await.unwrap().unwrap();
                assert_eq!(instance.id, id);
                if n.is_multiple_of(ACCOUNTS) {
                    let node = aws.in_cluster(world, &place, "prod", &id).await;
                    assert!(node.unwrap());
                }
                let profile = instance.instance_profile.unwrap();
                let roles = aws.roles(world, &place, &profile).await.unwrap().unwrap();
                assert_eq!(roles.len(), 1);
            }
        }));
    }
    for login in logins {
        login.await.unwrap();
    }
    let fleet = Fleet {
        instances: INSTANCES,
        accounts: ACCOUNTS,
        profiles: ACCOUNTS,
        own_account: true,
        organizations: vec![ACCOUNTS],
        clusters: vec![Cluster {
            nodegroups: 1,
            groups: 1,
        }],
        ..Fleet::default()
    };
    assert_eq!(made(&api), fleet.calls());
}
