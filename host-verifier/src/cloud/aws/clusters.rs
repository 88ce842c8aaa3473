//! The instances of an EKS cluster: those in the Auto Scaling groups behind its managed node groups.
//!
//! Every part is asked for with the account, the region and the cluster in its name, and a list that is empty is kept as one.

use core::time::Duration;
use std::collections::{BTreeSet, HashSet};

use serde::Deserialize;

use super::answers::{ClusterNodes, Membership};
use super::call::{Call, Form, Reply, encode};
use super::identity::key;
use super::place::{Place, PlaceError, is_cluster_name, is_id};
use super::settings::Service;
use super::xml::{self, Wrong};
use super::{Aws, kept, misnamed};
use crate::cloud::{Asking, CallError, CallErrorKind, Key, Question};
use crate::outside::Outside;

/// How often a cluster's nodes are asked for anew because one is not among them.
pub(super) const REFRESH: Duration = Duration::from_secs(30);
/// Auto Scaling groups of one question; the API takes more, and answers longer than anybody should read.
pub(super) const GROUPS_AT_ONCE: usize = 10;
/// Most node groups of a cluster.
const MAX_NODEGROUPS: usize = 1000;
/// Most pages of a list.
const MAX_PAGES: usize = 100;
/// Longest answer about ten groups of 450 instances, the most of a managed node group.
const MAX_GROUPS_BODY: usize = 4 * 1024 * 1024;
/// Most instances of a cluster.
const MAX_INSTANCES: usize = 40_000;

/// Whether an instance is a node of a cluster.
#[derive(Debug)]
pub(super) struct IsNode {
    cluster: Cluster,
    instance: String,
}

/// A cluster, with all that names it.
#[derive(Debug, Clone)]
struct Cluster {
    aws: Aws,
    place: Place,
    name: String,
}

impl Cluster {
    fn new(aws: &Aws, place: &Place, name: &str) -> Result<Self, CallError> {
        match is_cluster_name(name) {
            true => Ok(Self {
                aws: aws.clone(),
                place: place.clone(),
                name: name.to_owned(),
            }),
            false => Err(misnamed("ListNodegroups", PlaceError::Cluster)),
        }
    }

    fn lane(&self, of: &str) -> String {
        format!(
            "{of}/{}/{}",
            self.place.account(),
            self.place.region().name()
        )
    }

    async fn get(
        &self,
        outside: &dyn Outside,
        operation: &'static str,
        path: String,
    ) -> Result<Reply, CallError> {
        let (aws, region) = (&self.aws, self.place.region());
        let account = self.place.account();
        let keys = aws.keys_in(outside, region.partition(), account).await?;
        let call = Call {
            form: Form::Rest { path },
            ..Call::query(Service::Eks, operation, region, Vec::new())
        };
        call.send(outside, aws.settings(), Some(&keys), aws.now())
            .await
    }
}

impl IsNode {
    pub(super) fn new(
        aws: &Aws,
        place: &Place,
        cluster: &str,
        instance: &str,
    ) -> Result<Self, CallError> {
        let cluster = Cluster::new(aws, place, cluster)?;
        match is_id(instance, "i") {
            true => Ok(Self {
                cluster,
                instance: instance.to_owned(),
            }),
            false => Err(misnamed("ListNodegroups", PlaceError::Id)),
        }
    }
}

impl Question for IsNode {
    fn key(&self) -> Key {
        let what = format!("node {} of {}", self.instance, self.cluster.name);
        key(self.cluster.lane("eks-node"), what)
    }

    fn ask<'a>(&'a self, outside: &'a dyn Outside) -> Asking<'a> {
        Box::pin(async move {
            let aws = &self.cluster.aws;
            let cluster = self.cluster.clone();
            let known = OfCluster {
                cluster,
                anew: None,
            };
            let nodes: ClusterNodes = aws.known(outside, known).await?;
            let mut member = nodes.instances.contains(&self.instance);
            if !member {
                let now = aws.now().as_second();
                let period = i64::try_from(REFRESH.as_secs()).unwrap_or(i64::MAX);
                let cluster = self.cluster.clone();
                let anew = Some(now.div_euclid(period));
                let nodes: ClusterNodes = aws.known(outside, OfCluster { cluster, anew }).await?;
                member = nodes.instances.contains(&self.instance);
            }
            kept(&Membership { member }, aws.moment())
        })
    }
}

/// All nodes of a cluster.
#[derive(Debug)]
pub(super) struct OfCluster {
    cluster: Cluster,
    /// Which of the periods of [`REFRESH`] it is asked in, when it is asked because somebody was not in the list.
    anew: Option<i64>,
}

impl OfCluster {
    pub(super) fn new(aws: &Aws, place: &Place, name: &str) -> Result<Self, CallError> {
        let cluster = Cluster::new(aws, place, name)?;
        Ok(Self {
            cluster,
            anew: None,
        })
    }
}

impl Question for OfCluster {
    fn key(&self) -> Key {
        let again = self
            .anew
            .map_or_else(String::new, |period| format!(" in {period}"));
        let what = format!("nodes of {}{again}", self.cluster.name);
        key(self.cluster.lane("eks-cluster"), what)
    }

    fn ask<'a>(&'a self, outside: &'a dyn Outside) -> Asking<'a> {
        Box::pin(async move {
            let (cluster, aws) = (&self.cluster, &self.cluster.aws);
            let mut groups = BTreeSet::new();
            for nodegroup in nodegroups(cluster, outside).await? {
                let cluster = cluster.clone();
                let question = OfNodegroup { cluster, nodegroup };
                let of_one: BTreeSet<String> = aws.known(outside, question).await?;
                groups.extend(of_one);
            }
            let groups: Vec<_> = groups.into_iter().collect();
            let mut instances = BTreeSet::new();
            for names in groups.chunks(GROUPS_AT_ONCE) {
                let (cluster, names) = (cluster.clone(), names.to_vec());
                let of_some: BTreeSet<String> =
                    aws.known(outside, OfGroups { cluster, names }).await?;
                instances.extend(of_some);
            }
            if instances.len() > MAX_INSTANCES {
                return Err(wrong(
                    "DescribeAutoScalingGroups",
                    "there are too many instances",
                ));
            }
            let ttl = match self.anew {
                None => aws.ttl(),
                Some(_) => aws.ttl().min(REFRESH),
            };
            kept(&ClusterNodes { instances }, ttl)
        })
    }
}

/// `eks:ListNodegroups`, all pages. A cluster that is not there has none.
async fn nodegroups(
    cluster: &Cluster,
    outside: &dyn Outside,
) -> Result<BTreeSet<String>, CallError> {
    let operation = "ListNodegroups";
    let (mut names, mut seen, mut token) = (BTreeSet::new(), HashSet::new(), None::<String>);
    for _ in 0..MAX_PAGES {
        let mut path = format!("/clusters/{}/node-groups?maxResults=100", cluster.name);
        if let Some(token) = &token {
            path.push_str(&format!("&nextToken={}", encode(token)));
        }
        let page = match cluster.get(outside, operation, path).await {
            Err(error) if is_gone(&error) => return Ok(names),
            page => page?.read(nodegroup_page)?,
        };
        names.extend(page.nodegroups);
        if names.len() > MAX_NODEGROUPS {
            return Err(wrong(operation, "there are too many node groups"));
        }
        let Some(next) = page.next_token.filter(|next| !next.is_empty()) else {
            return Ok(names);
        };
        if !seen.insert(next.clone()) {
            return Err(wrong(operation, "a page comes again"));
        }
        token = Some(next);
    }
    Err(wrong(operation, "there are too many pages"))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NodegroupPage {
    nodegroups: Vec<String>,
    next_token: Option<String>,
}

fn nodegroup_page(body: &[u8]) -> Result<NodegroupPage, Wrong> {
    let page: NodegroupPage =
        serde_json::from_slice(body).map_err(|_| "it is no list of node groups")?;
    let known = page.nodegroups.iter().all(|name| is_cluster_name(name));
    let short = page
        .next_token
        .as_ref()
        .is_none_or(|token| token.len() <= 1024);
    match known && short {
        true => Ok(page),
        false => Err("it names no node groups"),
    }
}

/// EKS tells the code in a header, and the status says the same.
fn is_gone(error: &CallError) -> bool {
    let code = error.code.as_str();
    error.kind == CallErrorKind::Refused && matches!(code, "ResourceNotFoundException" | "HTTP404")
}

/// `eks:DescribeNodegroup`: the Auto Scaling groups of one.
#[derive(Debug)]
struct OfNodegroup {
    cluster: Cluster,
    nodegroup: String,
}

impl Question for OfNodegroup {
    fn key(&self) -> Key {
        let what = format!("DescribeNodegroup {}/{}", self.cluster.name, self.nodegroup);
        key(self.cluster.lane("eks"), what)
    }

    fn ask<'a>(&'a self, outside: &'a dyn Outside) -> Asking<'a> {
        Box::pin(async move {
            let cluster = &self.cluster;
            let path = format!("/clusters/{}/node-groups/{}", cluster.name, self.nodegroup);
            let groups = match cluster.get(outside, "DescribeNodegroup", path).await {
                Err(error) if is_gone(&error) => BTreeSet::new(),
                answer => answer?.read(|body| groups_of(body, &self.nodegroup))?,
            };
            kept(&groups, cluster.aws.moment())
        })
    }
}

fn groups_of(body: &[u8], name: &str) -> Result<BTreeSet<String>, Wrong> {
    #[derive(Deserialize)]
    struct Answer {
        nodegroup: Nodegroup,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Nodegroup {
        nodegroup_name: String,
        resources: Option<Resources>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Resources {
        #[serde(default)]
        auto_scaling_groups: Vec<Group>,
    }
    #[derive(Deserialize)]
    struct Group {
        name: String,
    }
    let answer: Answer = serde_json::from_slice(body).map_err(|_| "it is no node group")?;
    if answer.nodegroup.nodegroup_name != name {
        return Err("it is another node group");
    }
    // One that is being made has none yet.
    let resources = answer.nodegroup.resources;
    let groups = resources.map(|resources| resources.auto_scaling_groups);
    let names = groups
        .unwrap_or_default()
        .into_iter()
        .map(|group| group.name);
    let names: BTreeSet<_> = names.collect();
    match names.iter().all(|name| (1..=1600).contains(&name.len())) {
        true => Ok(names),
        false => Err("it names no Auto Scaling groups"),
    }
}

/// `autoscaling:DescribeAutoScalingGroups`: the instances of some.
#[derive(Debug)]
struct OfGroups {
    cluster: Cluster,
    names: Vec<String>,
}

impl Question for OfGroups {
    fn key(&self) -> Key {
        let what = format!("DescribeAutoScalingGroups {:?}", self.names);
        key(self.cluster.lane("autoscaling"), what)
    }

    fn ask<'a>(&'a self, outside: &'a dyn Outside) -> Asking<'a> {
        Box::pin(async move {
            let cluster = &self.cluster;
            let (aws, region) = (&cluster.aws, cluster.place.region());
            let account = cluster.place.account();
            let keys = aws.keys_in(outside, region.partition(), account).await?;
            let numbered = self.names.iter().enumerate();
            let name = |(n, name): (usize, &String)| {
                (
                    format!("AutoScalingGroupNames.member.{}", n + 1),
                    name.clone(),
                )
            };
            let mut parameters: Vec<_> = numbered.map(name).collect();
            parameters.push(("MaxRecords".to_owned(), "100".to_owned()));
            let operation = "DescribeAutoScalingGroups";
            let mut call = Call::query(Service::Autoscaling, operation, region, parameters);
            call.max_body = MAX_GROUPS_BODY;
            let reply = call
                .send(outside, aws.settings(), Some(&keys), aws.now())
                .await?;
            let instances = reply.read(|body| instances_of(body, &self.names))?;
            kept(&instances, aws.moment())
        })
    }
}

fn instances_of(body: &[u8], names: &[String]) -> Result<BTreeSet<String>, Wrong> {
    let root = xml::parse(body)?;
    let result = root.named("DescribeAutoScalingGroupsResponse")?;
    let result = result.need("DescribeAutoScalingGroupsResult")?;
    if result.text("NextToken")?.is_some() {
        return Err("there is more than was asked for");
    }
    let mut instances = BTreeSet::new();
    for group in result.list("AutoScalingGroups")? {
        let name = group.need_text("AutoScalingGroupName")?;
        if !names.iter().any(|asked| asked == name) {
            return Err("it is another group");
        }
        for instance in group.list("Instances")? {
            let id = instance.need_text("InstanceId")?;
            if !is_id(id, "i") {
                return Err("it names no instance");
            }
            instances.insert(id.to_owned());
        }
    }
    Ok(instances)
}

fn wrong(operation: &'static str, wrong: &'static str) -> CallError {
    CallError::new("aws", operation, CallErrorKind::Content(wrong))
}
