//! Azure Resource Graph: where something is.

use serde::{Deserialize, Serialize};

use super::ScaleSetName;
use crate::cloud::azure::arm::Arm;
use crate::cloud::azure::{Guid, ResourceId};
use crate::cloud::{CallError, CallErrorKind};

const OPERATION: &str = "ResourceGraph.Resources";
const PATH: &str = "/providers/Microsoft.ResourceGraph/resources?api-version=2022-10-01";
/// Most scale sets of one name that are looked into.
const MOST_SCALE_SETS: usize = 10;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Query<'a> {
    subscriptions: [&'a str; 1],
    query: String,
    options: Options,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Options {
    result_format: &'static str,
}

#[derive(Deserialize)]
struct Rows {
    data: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    id: String,
}

/// The machine with this `vmId`, whose scale set, if it is of one, has flexible orchestration. Both sides are in lower case:
/// Resource Graph writes the same text in several.
pub(super) async fn machine(
    arm: &Arm<'_>,
    subscription: &Guid,
    vm_id: &Guid,
) -> Result<Option<ResourceId>, CallError> {
    let query = format!(
        "resources | where type =~ 'microsoft.compute/virtualmachines' \
         | where tolower(tostring(properties.vmId)) == '{vm_id}' | project id"
    );
    let mut rows = ask(arm, subscription, query).await?;
    let content = |why| Err(arm.error(OPERATION, CallErrorKind::Content(why)));
    match (rows.pop(), rows.is_empty()) {
        (None, _) => Ok(None),
        (Some(id), true) if id.is_machine() => Ok(Some(id)),
        (Some(_), true) => content("what it found is no machine"),
        (Some(_), false) => content("it found several machines of one vmId"),
    }
}

/// The scale sets of this name.
pub(super) async fn scale_sets(
    arm: &Arm<'_>,
    subscription: &Guid,
    name: &ScaleSetName,
) -> Result<Vec<ResourceId>, CallError> {
    let query = format!(
        "resources | where type =~ 'microsoft.compute/virtualmachinescalesets' \
         | where tolower(name) == '{}' | project id | order by id asc",
        name.as_str()
    );
    let rows = ask(arm, subscription, query).await?;
    let fits = |id: &ResourceId| id.is_scale_set() && id.name().eq_ignore_ascii_case(name.as_str());
    match rows.len() <= MOST_SCALE_SETS && rows.iter().all(fits) {
        true => Ok(rows),
        false => {
            let why = "it found other things than a few scale sets of one name";
            Err(arm.error(OPERATION, CallErrorKind::Content(why)))
        }
    }
}

/// The rows' resources, all of the subscription that was asked for.
async fn ask(
    arm: &Arm<'_>,
    subscription: &Guid,
    query: String,
) -> Result<Vec<ResourceId>, CallError> {
    let content = |why| arm.error(OPERATION, CallErrorKind::Content(why));
    let query = Query {
        subscriptions: [subscription.as_str()],
        query,
        options: Options {
            result_format: "objectArray",
        },
    };
    let body = serde_json::to_vec(&query).map_err(|_| content("no query"))?;
    let rows: Option<Rows> = arm.post(OPERATION, PATH, body).await?;
    let rows = rows.ok_or_else(|| content("there is no Resource Graph"))?;
    let rows = rows.data.into_iter().map(|row| {
        let id = ResourceId::parse(&row.id).ok_or_else(|| content("an ID is none"))?;
        match id.subscription() == subscription {
            true => Ok(id),
            false => Err(content("what it found is of another subscription")),
        }
    });
    rows.collect()
}
