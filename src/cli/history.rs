//! `vodcertd history`: what happened, the newest last.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::arguments::History;
use super::exit::{Exit, Failure};
use super::inputs::{block_on, specs, unknown};
use super::output::{Output, Style};
use super::table::{Cell, Table};
use crate::config;
use crate::name::{Label, TargetId};
use crate::renewal::Spec;
use crate::store::{HistoryEntry, ReadStore};

/// Prints the newest entries of the history.
pub(super) fn history(path: &Path, asked: &History, output: Output) -> Result<Exit, Failure> {
    let config = config::load(path)?.config;
    let entries = block_on(async {
        let store = ReadStore::open(&config.store.path).await?;
        let entries = match &asked.name {
            None => store.history(None, asked.last).await?,
            Some(name) => history_of(&store, name, asked.last, &specs(config)).await?,
        };
        store.close().await;
        Ok(entries)
    })?;
    if asked.json {
        let entries: Vec<Entry<'_>> = entries.iter().map(Entry::of).collect();
        output.print_json(&entries)?;
    } else {
        output.print(&table(&entries).render(output.colour()))?;
    }
    Ok(Exit::Done)
}

/// The history of one certificate: of one that is configured, is stored, or has left a trace.
async fn history_of(
    store: &ReadStore,
    name: &str,
    last: u32,
    configured: &BTreeMap<Label, Spec>,
) -> Result<Vec<HistoryEntry>, Failure> {
    let label: Label = name.parse().map_err(|_| unknown(name, configured.keys()))?;
    let entries = store.history(Some(&label), last).await?;
    let is_known =
        !entries.is_empty() || configured.contains_key(&label) || store.has_record(&label).await?;
    if is_known {
        Ok(entries)
    } else {
        Err(unknown(name, configured.keys()))
    }
}

/// An entry in its JSON form: its fields are a promise, added to and never changed.
#[derive(Serialize)]
struct Entry<'a> {
    at: String,
    name: Option<&'a Label>,
    target: Option<&'a TargetId>,
    kind: &'a str,
    message: &'a str,
    details: &'a Value,
}

impl<'a> Entry<'a> {
    fn of(entry: &'a HistoryEntry) -> Self {
        Self {
            at: entry.at.to_string(),
            name: entry.label.as_ref(),
            target: entry.target.as_ref(),
            kind: &entry.kind,
            message: &entry.message,
            details: &entry.details,
        }
    }
}

fn table(entries: &[HistoryEntry]) -> Table {
    let mut table = Table::new(&["WHEN", "NAME", "WHAT", "TARGET", "MESSAGE"]);
    for entry in entries {
        table.add(vec![
            Cell::styled(entry.at.to_iso_seconds(), Style::Quiet),
            Cell::or_nothing(entry.label.as_ref()),
            Cell::new(&entry.kind),
            Cell::or_nothing(entry.target.as_ref()),
            Cell::new(&entry.message),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entries() -> Vec<HistoryEntry> {
        let entry = |target: Option<&str>, kind: &str, message: &str| HistoryEntry {
            at: "2026-03-01T12:00:00.25Z".parse().unwrap(),
            label: Some("video".parse().unwrap()),
            target: target.map(|target| target.parse().unwrap()),
            kind: kind.to_owned(),
            message: message.to_owned(),
            details: json!({ "generation": 2 }),
        };
        vec![
            entry(None, "issued", "generation 2 issued"),
            entry(
                Some("aliyun-vod/default/v.example.com"),
                "seen",
                "two\nlines",
            ),
        ]
    }

    #[test]
    fn entries_are_lines() {
        assert_eq!(
            table(&entries()).render(false),
            "WHEN                  NAME   WHAT    TARGET                            MESSAGE\n\
             2026-03-01T12:00:00Z  video  issued  -                                 generation 2 issued\n\
             2026-03-01T12:00:00Z  video  seen    aliyun-vod/default/v.example.com  two lines\n"
        );
    }

    #[test]
    fn the_json_form_is_as_documented() {
        let entries = entries();
        assert_eq!(
            serde_json::to_value(Entry::of(&entries[0])).unwrap(),
            json!({
                "at": "2026-03-01T12:00:00.25Z",
                "name": "video",
                "target": null,
                "kind": "issued",
                "message": "generation 2 issued",
                "details": { "generation": 2 },
            })
        );
    }
}
