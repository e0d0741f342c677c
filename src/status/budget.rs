//! What is left of the limits that CAs publish, by our own count.

use std::collections::BTreeMap;

use crate::renewal::{IssuerSpec, Limit, Quota, Spec};
use crate::store::{ReadStore, StoreError};
use crate::time::Timestamp;

/// What is left of one limit of a CA: of the emptiest bucket, where there are many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetLeft {
    /// The issuer's name in the configuration.
    pub issuer: String,
    /// What is limited.
    pub limit: Limit,
    /// The limit.
    pub quota: Quota,
    /// Whose bucket it is: the account's URL, the registered domain, the names joined with commas, the
    /// name. Nothing while all are full.
    pub subject: Option<String>,
    /// How many are left.
    pub left: u32,
}

/// What is left of every limit of the issuers that are in use.
pub async fn budget_left<'a>(
    store: &ReadStore,
    specs: impl IntoIterator<Item = &'a Spec>,
    now: Timestamp,
) -> Result<Vec<BudgetLeft>, StoreError> {
    let issuers = specs.into_iter().flat_map(|spec| &spec.issuers);
    let issuers: BTreeMap<&str, &IssuerSpec> = issuers
        .map(|issuer| (issuer.name.as_str(), issuer))
        .collect();
    let mut all = Vec::new();
    for issuer in issuers.values() {
        for (limit, quota) in issuer.limits.iter() {
            let drawn = store.drawn_from(&issuer.directory, limit, now).await?;
            let left = drawn
                .into_iter()
                .map(|(subject, full_at)| (quota.left(Some(full_at), now), subject));
            let emptiest = left.min();
            all.push(BudgetLeft {
                issuer: issuer.name.clone(),
                limit,
                quota,
                left: emptiest
                    .as_ref()
                    .map_or(quota.count.get(), |(left, _)| *left),
                subject: emptiest.map(|(_, subject)| subject),
            });
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::renewal::Limits;
    use crate::status::testing::{now, spec, store};

    #[tokio::test]
    async fn of_many_buckets_the_emptiest_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let mut video = spec("video", "v.example.com");
        let quota = Quota::new(5, Duration::from_hours(1)).unwrap();
        let issuer = &mut video.issuers[0];
        issuer.limits = Limits::default()
            .with(Limit::Account, Some(quota))
            .with(Limit::FailedValidations, Some(quota));
        let directory = issuer.directory.clone();
        let store = store(folder.path(), &BTreeMap::new()).await;
        for names in [&["a.example"][..], &["a.example", "b.example"]] {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            let noted = store.note_failed_validations(&directory, "account", quota, &names, now());
            noted.await.unwrap();
        }
        let left = budget_left(&store, [&video, &video], now()).await.unwrap();
        let told = |limit, subject: Option<&str>, left| BudgetLeft {
            issuer: "letsencrypt".to_owned(),
            limit,
            quota,
            subject: subject.map(str::to_owned),
            left,
        };
        assert_eq!(
            left,
            [
                told(Limit::Account, None, 5),
                told(Limit::FailedValidations, Some("a.example"), 3),
            ]
        );
    }
}
