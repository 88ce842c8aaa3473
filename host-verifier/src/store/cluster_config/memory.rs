//! Versions of configuration in a list.

use super::{ClusterConfigStore, ConfigChange, ConfigEntry, ConfigOutcome, ConfigVersion, news};
use crate::store::{MemoryStore, StoreError};

/// Everything that was ever set, the oldest first.
#[derive(Debug, Default)]
pub(in crate::store) struct Versions {
    generation: u64,
    all: Vec<(u64, ConfigVersion)>,
}

impl Versions {
    fn of<'a>(&'a self, cluster: &'a str) -> impl DoubleEndedIterator<Item = &'a ConfigVersion> {
        let all = self.all.iter().map(|(_, version)| version);
        all.filter(move |version| version.entry.cluster == cluster)
    }

    /// Per section the last one up to `version`, by section.
    fn at(&self, cluster: &str, version: Option<u64>) -> Vec<ConfigVersion> {
        let mut found: Vec<ConfigVersion> = Vec::new();
        for one in self.of(cluster).rev() {
            let known = found.iter().any(|f| f.entry.section == one.entry.section);
            if !known && version.is_none_or(|version| one.entry.version <= version) {
                found.push(one.clone());
            }
        }
        found.sort_by(|a, b| a.entry.section.cmp(&b.entry.section));
        found
    }

    /// Names of clusters, each once, in order.
    fn clusters(&self, after: u64) -> std::collections::BTreeSet<String> {
        let changed = self
            .all
            .iter()
            .filter(|(generation, _)| *generation > after);
        changed.map(|(_, v)| v.entry.cluster.clone()).collect()
    }

    fn change(&mut self, change: &ConfigChange) -> ConfigOutcome {
        let head = self.of(&change.cluster).map(|v| v.entry.version).max();
        let head = head.unwrap_or(0);
        if change.expected.is_some_and(|expected| expected != head) {
            return ConfigOutcome::Conflict(head);
        }
        let known = self.at(&change.cluster, None);
        let known: Vec<_> = known
            .into_iter()
            .map(|v| (v.entry.section, v.entry.sha256))
            .collect();
        let news = news(change, &known);
        if news.is_empty() {
            return ConfigOutcome::Unchanged(head);
        }
        self.generation += 1;
        for (section, document, sha256) in news {
            let entry = ConfigEntry {
                cluster: change.cluster.clone(),
                section: section.to_owned(),
                version: head + 1,
                sha256,
                author: change.author.clone(),
                comment: change.comment.clone(),
                changed_at: change.changed_at,
                rollback_of: change.rollback_of,
            };
            let document = document.map(str::to_owned);
            self.all
                .push((self.generation, ConfigVersion { entry, document }));
        }
        ConfigOutcome::Changed(head + 1)
    }
}

#[async_trait::async_trait]
impl ClusterConfigStore for MemoryStore {
    async fn config_generation(&self) -> Result<u64, StoreError> {
        Ok(self.state().config.generation)
    }

    async fn change_config(&self, change: &ConfigChange) -> Result<ConfigOutcome, StoreError> {
        Ok(self.state().config.change(change))
    }

    async fn config_in_force(&self, generation: u64) -> Result<Vec<ConfigVersion>, StoreError> {
        let state = self.state();
        let changed = state.config.clusters(generation);
        let all = changed.iter().flat_map(|name| state.config.at(name, None));
        Ok(all.collect())
    }

    async fn config_at(
        &self,
        cluster: &str,
        version: Option<u64>,
    ) -> Result<Vec<ConfigVersion>, StoreError> {
        Ok(self.state().config.at(cluster, version))
    }

    async fn config_history(
        &self,
        cluster: &str,
        section: Option<&str>,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<ConfigEntry>, StoreError> {
        let state = self.state();
        let entries = state.config.of(cluster).map(|version| &version.entry);
        let mut entries: Vec<_> = entries
            .filter(|entry| section.is_none_or(|section| entry.section == section))
            .filter(|entry| before.is_none_or(|before| entry.version < before))
            .cloned()
            .collect();
        entries.sort_by(|a, b| {
            let newest = b.version.cmp(&a.version);
            newest.then_with(|| a.section.cmp(&b.section))
        });
        entries.truncate(limit as usize);
        Ok(entries)
    }

    async fn config_clusters(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ConfigEntry>, StoreError> {
        let state = self.state();
        let names = state.config.clusters(0);
        let page = names
            .iter()
            .filter(|name| after.is_none_or(|after| name.as_str() > after))
            .take(limit as usize);
        let all = page.flat_map(|name| state.config.at(name, None));
        Ok(all.map(|version| version.entry).collect())
    }
}
