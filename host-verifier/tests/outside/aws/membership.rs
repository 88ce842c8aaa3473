//! Organisations and clusters: lists that come in pages, are empty, or are somebody else's.

use assay_host_verifier::cloud::CallErrorKind;
use assay_host_verifier::cloud::aws::RoleArn;

use super::api::{Api, json_error};
use super::{Verifier, place};

const ROLE: &str = "arn:aws:iam::700000000000:role/DefaktoServerOrgAccountsList";

fn account(n: usize) -> String {
    format!("{n:012}")
}

async fn organization(n: usize) -> (Api, Verifier, RoleArn) {
    let api = Api::start().await;
    let accounts = (0..n).map(|n| (account(n), "ACTIVE")).collect();
    api.set(|state| state.accounts = accounts);
    let verifier = Verifier::of(&api);
    (api, verifier, RoleArn::parse(ROLE).unwrap())
}

#[tokio::test]
async fn every_page_of_an_organisation_is_read_once() {
    let (api, verifier, role) = organization(45).await;
    api.set(|state| {
        state.accounts[30].1 = "SUSPENDED";
        state.accounts[31].1 = "PENDING_CLOSURE";
    });
    let is_in = async |n: usize| {
        let id = account(n);
        verifier
            .aws
            .in_organization(&verifier.world, Some(&role), &id)
            .await
            .unwrap()
    };
    assert!(is_in(0).await && is_in(25).await && is_in(44).await);
    assert!(!is_in(30).await, "suspended");
    assert!(!is_in(31).await, "being closed");
    assert!(!is_in(45).await, "somebody else's");
    assert_eq!(api.calls("ListAccounts"), 3);
    assert_eq!(api.calls("AssumeRole"), 1);
}

#[tokio::test]
async fn an_organisation_without_accounts_is_remembered_as_one() {
    let (api, verifier, role) = organization(0).await;
    for n in 0..5 {
        let is_in = verifier
            .aws
            .in_organization(&verifier.world, Some(&role), &account(n))
            .await;
        assert!(!is_in.unwrap());
    }
    assert_eq!(api.calls("ListAccounts"), 1);
}

#[tokio::test]
async fn pages_that_come_again_are_an_error_and_no_loop() {
    let (api, verifier, role) = organization(25).await;
    api.set(|state| state.endless = true);
    let error = verifier
        .aws
        .in_organization(&verifier.world, Some(&role), &account(0))
        .await;
    let error = error.unwrap_err();
    assert_eq!(error.kind, CallErrorKind::Content("a page comes again"));
    // The second page names itself; asked for by its token, it was known already.
    assert_eq!(api.calls("ListAccounts"), 2);
}

#[tokio::test]
async fn a_throttled_page_is_asked_again_and_the_others_are_not() {
    let (api, verifier, role) = organization(45).await;
    let ok = || {
        super::api::status(
            200,
            "application/json",
            "{\"Accounts\":[{\"Id\":\"000000000099\",\"Status\":\"ACTIVE\"}],\"NextToken\":\"20\"}",
        )
    };
    let throttled = || json_error(400, "TooManyRequestsException");
    api.fault("ListAccounts", [ok(), throttled(), throttled()]);
    let is_in = verifier
        .aws
        .in_organization(&verifier.world, Some(&role), &account(44))
        .await;
    assert!(is_in.unwrap());
    assert_eq!(api.calls("ListAccounts"), 3 + 2);
}

#[tokio::test]
async fn a_file_takes_the_place_of_the_api_and_fails_closed() {
    let api = Api::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("accounts.json");
    let is_in = async |text: Option<&str>, id: &str| {
        match text {
            Some(text) => std::fs::write(&file, text).unwrap(),
            None => std::fs::remove_file(&file).unwrap(),
        }
        // Another verifier each: what was read is known for a moment.
        let verifier = Verifier::with(&api, |settings| {
            settings.account_list_file = Some(file.clone())
        });
        verifier
            .aws
            .in_organization(&verifier.world, None, id)
            .await
    };
    let list = Some("[\"111111111111\",\"222222222222\"]");
    assert!(is_in(list, "222222222222").await.unwrap());
    assert!(!is_in(list, "333333333333").await.unwrap());
    for broken in [Some("[]"), Some(""), Some("[111111111111]"), None] {
        let error = is_in(broken, "111111111111").await.unwrap_err();
        assert!(
            matches!(error.kind, CallErrorKind::Content(_)),
            "{broken:?}: {error}"
        );
    }
    let verifier = Verifier::of(&api);
    let none = verifier
        .aws
        .in_organization(&verifier.world, None, "111111111111")
        .await;
    assert!(none.unwrap_err().to_string().contains("accountListFile"));
    assert!(api.upstream.requests().is_empty());
}

const NODE: &str = "i-0123456789abcdef0";

async fn cluster() -> (Api, Verifier) {
    let api = Api::start().await;
    api.set(|state| {
        let groups = (0..12).map(|n| (format!("ng-{n}"), format!("eks group/{n}")));
        let at = "111111111111/eu-west-1/prod";
        state.nodegroups.insert(at.to_owned(), groups.collect());
        state
            .groups
            .insert("eks group/11".to_owned(), vec![NODE.to_owned()]);
    });
    let verifier = Verifier::of(&api);
    (api, verifier)
}

#[tokio::test]
async fn a_node_is_found_behind_its_node_group_and_nowhere_else() {
    let (api, verifier) = cluster().await;
    let is_in = async |account: &str, region: &str, cluster: &str, id: &str| {
        let place = place(account, region);
        verifier
            .aws
            .in_cluster(&verifier.world, &place, cluster, id)
            .await
            .unwrap()
    };
    assert!(is_in("111111111111", "eu-west-1", "prod", NODE).await);
    let groups = (
        api.calls("ListNodegroups"),
        api.calls("DescribeNodegroup"),
        api.calls("DescribeAutoScalingGroups"),
    );
    assert_eq!(groups, (1, 12, 2), "ten groups at once");
    // The same name elsewhere is another cluster.
    assert!(!is_in("222222222222", "eu-west-1", "prod", NODE).await);
    assert!(!is_in("111111111111", "us-east-1", "prod", NODE).await);
    assert!(!is_in("111111111111", "eu-west-1", "test", NODE).await);
    assert!(!is_in("111111111111", "eu-west-1", "prod", "i-0fedcba9876543210").await);
    assert!(is_in("111111111111", "eu-west-1", "prod", NODE).await);
}

#[tokio::test]
async fn an_empty_cluster_is_remembered_as_one() {
    let (api, verifier) = cluster().await;
    api.set(|state| {
        state
            .nodegroups
            .insert("111111111111/eu-west-1/empty".to_owned(), Vec::new())
    });
    let place = place("111111111111", "eu-west-1");
    for n in 0..50 {
        let id = format!("i-{n:017x}");
        let is_in = verifier
            .aws
            .in_cluster(&verifier.world, &place, "empty", &id)
            .await;
        assert!(!is_in.unwrap());
    }
    // Once for the list, and once more for all that were not in it; a second period may have begun meanwhile.
    let calls = api.calls("ListNodegroups");
    assert!((2..=3).contains(&calls), "{calls}");
}

#[tokio::test]
async fn a_node_that_was_started_a_moment_ago_is_asked_for_anew() {
    let (api, verifier) = cluster().await;
    let place = place("111111111111", "eu-west-1");
    api.set(|state| {
        state
            .nodegroups
            .insert("111111111111/eu-west-1/young".to_owned(), Vec::new());
    });
    let known = verifier
        .aws
        .cluster_nodes(&verifier.world, &place, "young")
        .await;
    assert!(known.unwrap().instances.is_empty());
    api.set(|state| {
        let group = vec![("ng-1".to_owned(), "asg-1".to_owned())];
        state
            .nodegroups
            .insert("111111111111/eu-west-1/young".to_owned(), group);
        state
            .groups
            .insert("asg-1".to_owned(), vec![NODE.to_owned()]);
    });
    let is_in = verifier
        .aws
        .in_cluster(&verifier.world, &place, "young", NODE)
        .await;
    assert!(is_in.unwrap());
    let known = verifier
        .aws
        .cluster_nodes(&verifier.world, &place, "young")
        .await;
    assert!(
        known.unwrap().instances.is_empty(),
        "the list itself is kept"
    );
}
