//! Metrics of one name, one for each value of a label. All of them are made at the start and none later: what is not
//! there is not counted, and a counter that starts at zero shows its first increase.

use std::collections::BTreeMap;

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::PrometheusRecorder;

const METADATA: Metadata<'static> = Metadata::new("assay", Level::INFO, None);

/// Members by a label's value.
pub(super) struct Family<M>(BTreeMap<&'static str, M>);

impl<M> Family<M> {
    pub(super) fn new(
        values: impl IntoIterator<Item = &'static str>,
        member: impl Fn(&'static str) -> M,
    ) -> Self {
        Self(values.into_iter().map(|v| (v, member(v))).collect())
    }

    pub(super) fn get(&self, value: &str) -> Option<&M> {
        self.0.get(value)
    }
}

impl<M> Family<Family<M>> {
    pub(super) fn get2(&self, one: &str, other: &str) -> Option<&M> {
        self.get(one)?.get(other)
    }
}

type Labels<'a> = &'a [(&'static str, &'static str)];

fn key(name: &'static str, labels: Labels<'_>) -> Key {
    let labels = labels.iter().map(|(name, value)| Label::new(*name, *value));
    Key::from_parts(name, labels.collect::<Vec<_>>())
}

pub(super) fn counter(to: &PrometheusRecorder, name: &'static str, labels: Labels<'_>) -> Counter {
    to.register_counter(&key(name, labels), &METADATA)
}

pub(super) fn gauge(to: &PrometheusRecorder, name: &'static str, labels: Labels<'_>) -> Gauge {
    to.register_gauge(&key(name, labels), &METADATA)
}

pub(super) fn histogram(
    to: &PrometheusRecorder,
    name: &'static str,
    labels: Labels<'_>,
) -> Histogram {
    to.register_histogram(&key(name, labels), &METADATA)
}
