//! The `OpenMetrics` text format, version 1.0.0: families without `_total` and with units, numbers that are
//! floats where floats are asked for, and an end that shows that nothing was cut off.

use std::fmt::Write as _;

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

/// The content type of what [`encode`] makes.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const UNITS: [&str; 2] = ["seconds", "bytes"];

/// The whole exposition.
pub(super) fn encode(families: &[MetricFamily]) -> String {
    let mut out = String::with_capacity(256 << 10);
    for family in families {
        encode_family(family, &mut out);
    }
    out.push_str("# EOF\n");
    out
}

fn encode_family(family: &MetricFamily, out: &mut String) {
    let name = family.name();
    let (base, kind, suffix) = match family.get_field_type() {
        MetricType::COUNTER => (name.strip_suffix("_total").unwrap_or(name), "counter", "_total"),
        MetricType::HISTOGRAM => (name, "histogram", ""),
        MetricType::GAUGE | MetricType::SUMMARY | MetricType::UNTYPED => match name.strip_suffix("_info") {
            Some(base) => (base, "info", "_info"),
            None => (name, "gauge", ""),
        },
    };
    line(out, format_args!("# TYPE {base} {kind}"));
    if let Some(unit) = UNITS.iter().find(|unit| base.ends_with(&format!("_{unit}"))) {
        line(out, format_args!("# UNIT {base} {unit}"));
    }
    line(out, format_args!("# HELP {base} {}", Escaped(family.help())));
    for metric in family.get_metric() {
        let value = match family.get_field_type() {
            MetricType::COUNTER => metric.get_counter().get_value(),
            MetricType::HISTOGRAM => {
                histogram(base, metric, out);
                continue;
            }
            MetricType::GAUGE | MetricType::SUMMARY | MetricType::UNTYPED => metric.get_gauge().get_value(),
        };
        line(out, format_args!("{base}{suffix}{} {value}", Labels(metric.get_label(), None)));
    }
}

fn histogram(base: &str, metric: &Metric, out: &mut String) {
    let (labels, histogram) = (metric.get_label(), metric.get_histogram());
    for bucket in histogram.get_bucket() {
        let (bound, count) = (Some(bucket.upper_bound()), bucket.cumulative_count());
        line(out, format_args!("{base}_bucket{} {count}", Labels(labels, bound)));
    }
    let count = histogram.get_sample_count();
    line(out, format_args!("{base}_bucket{} {count}", Labels(labels, Some(f64::INFINITY))));
    line(out, format_args!("{base}_count{} {count}", Labels(labels, None)));
    line(out, format_args!("{base}_sum{} {}", Labels(labels, None), histogram.get_sample_sum()));
}

fn line(out: &mut String, what: std::fmt::Arguments<'_>) {
    // a String takes all that is written to it
    let _written = out.write_fmt(what);
    out.push('\n');
}

/// Labels in braces, with the bound of a bucket if there is one.
struct Labels<'a>(&'a [LabelPair], Option<f64>);

impl std::fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(pairs, bound) = self;
        let mut separator = "{";
        for pair in *pairs {
            write!(f, "{separator}{}=\"{}\"", pair.name(), Escaped(pair.value()))?;
            separator = ",";
        }
        match bound {
            Some(bound) if bound.is_infinite() => write!(f, "{separator}le=\"+Inf\"")?,
            // the debug form has a point, as the canonical one does
            Some(bound) => write!(f, "{separator}le=\"{bound:?}\"")?,
            None if pairs.is_empty() => return Ok(()),
            None => {}
        }
        f.write_str("}")
    }
}

/// Backslash, quotation mark and line end, escaped.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(['\\', '"', '\n']) {
            let (before, from) = rest.split_at(at);
            f.write_str(before)?;
            f.write_str(match from.as_bytes().first() {
                Some(b'\\') => "\\\\",
                Some(b'"') => "\\\"",
                _ => "\\n",
            })?;
            rest = from.get(1..).unwrap_or_default();
        }
        f.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

    use super::*;

    #[test]
    fn counters_units_and_infos_are_named_as_the_format_wants_it() {
        let registry = Registry::new();
        let bytes = IntCounterVec::new(Opts::new("x_bytes_total", "Say \"a\\b\"."), &["name"]).unwrap();
        bytes.with_label_values(&["q\"\\\n"]).inc_by(7);
        registry.register(Box::new(bytes)).unwrap();
        let info = IntGaugeVec::new(Opts::new("y_info", "Which."), &["version"]).unwrap();
        info.with_label_values(&["1"]).set(1);
        registry.register(Box::new(info)).unwrap();
        insta::assert_snapshot!(encode(&registry.gather()), @r#"
        # TYPE x_bytes counter
        # UNIT x_bytes bytes
        # HELP x_bytes Say \"a\\b\".
        x_bytes_total{name="q\"\\\n"} 7
        # TYPE y info
        # HELP y Which.
        y_info{version="1"} 1
        # EOF
        "#);
    }
}
