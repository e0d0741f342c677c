//! What the daemon found out about the local clock, for whoever only reads.

use std::time::Duration;

use sqlx::{query, query_scalar};

use super::error::StoreError;
use super::read::ReadStore;
use super::write::Store;
use crate::renewal::ClockTrust;
use crate::time::Timestamp;

/// A daemon that runs compares a wrong clock again and again. What it said longer ago than this, it
/// does not say any more.
const STALE: Duration = Duration::from_mins(15);

impl Store {
    /// Notes whether the local clock can be trusted.
    pub async fn note_clock(&self, trust: ClockTrust) -> Result<(), StoreError> {
        let value = match trust {
            ClockTrust::Trusted => String::new(),
            ClockTrust::Distrusted { until_checked } => until_checked.as_millis().to_string(),
        };
        query(
            "INSERT INTO meta (key, value) VALUES ('clock_distrusted_until', $1)
             ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        )
        .bind(value)
        .execute(&self.writer)
        .await?;
        Ok(())
    }
}

impl ReadStore {
    /// What a daemon noted about the local clock, if it did so lately.
    pub async fn clock(&self, now: Timestamp) -> Result<ClockTrust, StoreError> {
        let value: Option<String> =
            query_scalar("SELECT value FROM meta WHERE key = 'clock_distrusted_until'")
                .fetch_optional(&self.pool)
                .await?;
        let until = value.and_then(|value| value.parse().ok());
        let until = until.map(Timestamp::from_millis);
        Ok(until
            .filter(|until| now.distance(*until) < STALE)
            .map_or(ClockTrust::Trusted, |until_checked| {
                ClockTrust::Distrusted { until_checked }
            }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreSettings;

    #[tokio::test]
    async fn what_was_noted_of_the_clock_is_told_while_it_is_fresh() {
        let folder = tempfile::tempdir().unwrap();
        let settings = StoreSettings {
            path: folder.path().join("state.db"),
            seal: None,
            keep_generations: 3,
            history: Duration::from_hours(24),
        };
        let now = Timestamp::from_seconds(1_790_000_000);
        let store = Store::open(&settings, now).await.unwrap();
        let reader = ReadStore::open(&settings.path).await.unwrap();
        assert_eq!(reader.clock(now).await.unwrap(), ClockTrust::Trusted);
        let wrong = ClockTrust::Distrusted {
            until_checked: now + Duration::from_mins(5),
        };
        store.note_clock(wrong).await.unwrap();
        assert_eq!(reader.clock(now).await.unwrap(), wrong);
        for stale in [now + STALE * 2, now - STALE * 2] {
            assert_eq!(reader.clock(stale).await.unwrap(), ClockTrust::Trusted);
        }
        store.note_clock(ClockTrust::Trusted).await.unwrap();
        assert_eq!(reader.clock(now).await.unwrap(), ClockTrust::Trusted);
    }
}
