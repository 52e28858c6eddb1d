//! Draws the items of a group, block by block: lists first, then the expansion, the hottest of each block in front.

use crate::cache::Site;
use crate::layer::Cache;
use crate::warm::ask::{Ask, Flown};
use crate::warm::books::{Account, Run};
use crate::warm::expand::Item;
use crate::warm::fault::SourceFault;
use crate::warm::group::Group;
use crate::warm::source::{ListSource, MOST_BYTES, Selected, read_source};
use crate::warm::task::Fetcher;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Items that are drawn at a time: what is in memory of a plan, however large it is.
pub(crate) const BLOCK: usize = 1024;

/// A block of items, in the order in which they shall go.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) asks: Vec<Ask>,
    /// Whether it is the last.
    pub(crate) last: bool,
}

/// What a drawing needs.
pub(crate) struct Drawing {
    pub(crate) group: Arc<Group>,
    pub(crate) hosts: Vec<Site>,
    pub(crate) cache: Cache,
    pub(crate) run: Arc<Run>,
    pub(crate) account: Arc<Account>,
    pub(crate) fetcher: Fetcher,
}

impl Drawing {
    /// Draws everything; each block waits until there is room for it. Ends when nobody takes blocks any more.
    pub(crate) async fn draw(self, blocks: mpsc::Sender<Block>) {
        let lists = self.lists().await;
        let Some(first) = self.hosts.first().cloned() else { return };
        let hosts = self.hosts.len() as u64;
        let mut expansion = self.group.expand(&lists, |item| self.cache.key_hash(&first, &item.target));
        self.run.plan(expansion.tally().product.min(self.group.max_items as u64).saturating_mul(hosts));
        loop {
            let mut items: Vec<Item> = Vec::with_capacity(BLOCK.min(self.group.max_items));
            let mut last = true;
            // In pieces, so that others of the runtime get their turn.
            for _ in 0..BLOCK / 128 {
                let before = items.len();
                items.extend(expansion.by_ref().take(128));
                last = items.len() - before < 128;
                if last {
                    break;
                }
                tokio::task::yield_now().await;
            }
            if last {
                self.run.planned(expansion.tally(), hosts);
            }
            hottest_first(&self.cache, &first, &mut items);
            let asks = items.iter().flat_map(|item| self.hosts.iter().map(|host| Ask::item(host, item.clone()))).collect();
            let taken = blocks.send(Block { asks, last }).await.is_ok();
            self.fetcher.bell.notify_one();
            if last || !taken {
                return;
            }
        }
    }

    /// What the lists hold. Of one that cannot be had, what it held before still belongs to the group.
    async fn lists(&self) -> Arc<Vec<Vec<String>>> {
        let (mut lists, mut kept) = (Vec::new(), Vec::new());
        let before = Some(self.account.lists()).filter(|before| before.len() == self.group.sources.len());
        for (at, source) in self.group.sources.iter().enumerate() {
            match self.list(source).await {
                Ok(list) => {
                    kept.push(None);
                    lists.push(list);
                }
                Err(problem) => {
                    self.run.problem(format!("the list {}: {problem}", source.url.as_str()));
                    kept.push(before.as_ref().map(|before| before[at].clone()));
                    lists.push(Vec::new());
                }
            }
        }
        let lists = Arc::new(lists);
        if kept.iter().any(Option::is_some) {
            let kept = kept.into_iter().zip(&*lists).map(|(kept, list)| kept.unwrap_or_else(|| list.clone()));
            self.account.keep_lists(Arc::new(kept.collect()));
        } else {
            self.account.keep_lists(Arc::clone(&lists));
        }
        lists
    }

    async fn list(&self, source: &ListSource) -> Result<Vec<String>, String> {
        let host = &self.fetcher.host;
        let ask = Ask::new(host, source.url.path_and_query().clone(), source.headers.iter().cloned().collect());
        let flown = self.fetcher.want(ask, MOST_BYTES, false).await.ok_or("warming has been stopped")?;
        let selected = selected(flown, source, self.group.max_items).await?;
        if selected.skipped > 0 {
            self.run.problem(format!("the list {}: {} of its members have no text or number there", source.url.as_str(), selected.skipped));
        }
        Ok(selected.values)
    }
}

/// Puts the items of a block into the order in which they go.
pub(crate) fn hottest_first(cache: &Cache, host: &Site, block: &mut [Item]) {
    block.sort_by_cached_key(|item| std::cmp::Reverse(cache.heat(host, &item.target, &item.headers.iter().cloned().collect())));
}

/// At most `most` values of a list that was fetched, read off the runtime's threads.
pub(crate) async fn selected(flown: Flown, source: &ListSource, most: usize) -> Result<Selected, String> {
    let body = list_body(flown)?;
    let selector = source.select.clone();
    let read = tokio::task::spawn_blocking(move || read_source(&body, &selector, most)).await;
    read.map_err(|error| error.to_string())?.map_err(|fault: SourceFault| fault.to_string())
}

/// The body of a list that was fetched.
fn list_body(flown: Flown) -> Result<bytes::Bytes, String> {
    if let crate::cache::Fate::Failed(failing) = flown.fate {
        return Err(format!("could not be had: {}", failing.reason()));
    }
    if flown.coded {
        return Err("came with a Content-Encoding that nobody asked for".into());
    }
    flown.body.ok_or_else(|| SourceFault::TooLarge.to_string())
}
