//! The two text forms of metrics, and which of them a scraper wants.
//!
//! The library writes OpenMetrics 1.0. The classic form (`text/plain; version=0.0.4`) differs in
//! three points: a counter carries its `_total` in its description too, there is no `# UNIT`, and no
//! `# EOF`.

use std::collections::BTreeSet;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::registry::Registry;

/// A text form of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Prometheus text 0.0.4.
    Classic,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The form that an `Accept` header prefers. Classic, unless OpenMetrics is asked for by name
    /// and nothing else is liked better.
    pub(super) fn preferred(accept: &str) -> Self {
        let quality = |media_type: &str| {
            let ranges = accept.split(',').filter_map(range);
            let named = ranges.filter(|(name, _)| name.eq_ignore_ascii_case(media_type));
            named.map(|(_, quality)| quality).fold(0.0, f32::max)
        };
        let open = quality("application/openmetrics-text");
        if open > 0.0 && open >= quality("text/plain") {
            Self::OpenMetrics
        } else {
            Self::Classic
        }
    }

    /// The `Content-Type` that goes with it.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// One range of an `Accept` header (RFC 9110 §12.5.1): its media type and its quality.
fn range(text: &str) -> Option<(&str, f32)> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?;
    let quality = parts.find_map(|part| part.strip_prefix("q="));
    Some((
        name,
        quality.map_or(Some(1.0), |quality| quality.parse().ok())?,
    ))
}

/// All metrics of these registries in one text.
pub(super) fn render(registries: &[&Registry], format: Format) -> String {
    let mut text = String::new();
    for registry in registries {
        encode_registry(&mut text, registry).expect("writing to a string cannot fail");
    }
    match format {
        Format::Classic => classic(&text),
        Format::OpenMetrics => {
            encode_eof(&mut text).expect("writing to a string cannot fail");
            text
        }
    }
}

fn classic(open_metrics: &str) -> String {
    let counters: BTreeSet<&str> = open_metrics.lines().filter_map(counter_of).collect();
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics
        .lines()
        .filter(|line| !line.starts_with("# UNIT "))
    {
        match description(line).filter(|(_, name, _)| counters.contains(name)) {
            Some((keyword, name, rest)) => {
                text.extend(["# ", keyword, " ", name, "_total ", rest]);
            }
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

/// The name in a line that declares a counter.
fn counter_of(line: &str) -> Option<&str> {
    match description(line)? {
        ("TYPE", name, "counter") => Some(name),
        _ => None,
    }
}

/// Keyword, name and rest of a line that describes a metric.
fn description(line: &str) -> Option<(&str, &str, &str)> {
    let (keyword, rest) = line.strip_prefix("# ")?.split_once(' ')?;
    let (name, rest) = rest.split_once(' ')?;
    Some((keyword, name, rest))
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::gauge::Gauge;

    use super::*;

    fn registry() -> Registry {
        let mut registry = Registry::default();
        let counter: Counter = Counter::default();
        counter.inc();
        registry.register("calls", "How many", counter);
        registry.register("size", "How big", Gauge::<i64>::default());
        registry
    }

    #[test]
    fn the_classic_form_is_what_prometheus_0_0_4_reads() {
        assert_eq!(
            render(&[&registry()], Format::Classic),
            "# HELP calls_total How many.\n\
             # TYPE calls_total counter\n\
             calls_total 1\n\
             # HELP size How big.\n\
             # TYPE size gauge\n\
             size 0\n"
        );
    }

    #[test]
    fn open_metrics_ends_with_its_mark() {
        let text = render(&[&registry(), &Registry::default()], Format::OpenMetrics);
        assert!(text.starts_with("# HELP calls How many.\n# TYPE calls counter\ncalls_total 1\n"));
        assert!(text.ends_with("size 0\n# EOF\n"), "{text}");
    }

    #[test]
    fn the_form_is_chosen_by_what_is_accepted() {
        let cases = [
            ("nothing is said", "", Format::Classic),
            ("a browser", "text/html,*/*;q=0.8", Format::Classic),
            (
                "only OpenMetrics",
                "application/openmetrics-text",
                Format::OpenMetrics,
            ),
            (
                "Prometheus",
                "application/openmetrics-text;version=1.0.0;q=0.5,\
                 application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3",
                Format::OpenMetrics,
            ),
            (
                "text is liked better",
                "text/plain, application/openmetrics-text;q=0.9",
                Format::Classic,
            ),
            (
                "OpenMetrics is refused",
                "application/openmetrics-text;q=0",
                Format::Classic,
            ),
            (
                "nonsense",
                ";;,q=,application/openmetrics-text;q=x",
                Format::Classic,
            ),
        ];
        for (case, accept, format) in cases {
            assert_eq!(Format::preferred(accept), format, "{case}");
        }
    }
}
