//! Reads Prometheus' text format, and refuses what that format does not allow.

use std::collections::{BTreeMap, BTreeSet};

/// A page that was scraped.
pub(crate) struct Page {
    series: BTreeMap<String, f64>,
    metrics: BTreeSet<String>,
}

impl Page {
    pub(crate) fn read(text: &str) -> Self {
        let mut page = Self {
            series: BTreeMap::new(),
            metrics: BTreeSet::new(),
        };
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(meta) = line.strip_prefix("# TYPE ") {
                let (name, _) = meta.split_once(' ').unwrap();
                assert!(page.metrics.insert(name.to_owned()), "{name} twice");
            } else if !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let before = page
                    .series
                    .insert(series.to_owned(), value.parse().unwrap());
                assert_eq!(before, None, "{series} twice");
            }
        }
        page
    }

    /// Values by series, as they are written.
    pub(crate) fn all(&self) -> &BTreeMap<String, f64> {
        &self.series
    }

    /// Names with a type.
    pub(crate) fn metrics(&self) -> &BTreeSet<String> {
        &self.metrics
    }

    /// The value of the series with exactly these labels.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let wanted: BTreeSet<_> = labels.iter().map(|(n, v)| format!("{n}=\"{v}\"")).collect();
        self.series.iter().find_map(|(series, value)| {
            let rest = series.strip_prefix(name)?;
            let inside = match rest {
                "" => "",
                rest => rest.strip_prefix('{')?.strip_suffix('}')?,
            };
            let own: BTreeSet<_> = inside
                .split(',')
                .filter(|l| !l.is_empty())
                .map(str::to_owned)
                .collect();
            (own == wanted).then_some(*value)
        })
    }
}
