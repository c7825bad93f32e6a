//! The `OpenMetrics` text format, version 1.0.0: families without `_total` and with units, numbers that are
//! floats where floats are asked for, exemplars, and an end that shows that nothing was cut off.

use std::fmt::Write as _;

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

use super::histogram::{Exemplar, Histogram, Histograms};

/// The content type of what [`encode`] makes.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const UNITS: [&str; 2] = ["seconds", "bytes"];

/// The whole exposition; `traced` is the family that has exemplars.
pub(super) fn encode(families: &[MetricFamily], traced: &Histograms) -> String {
    let mut out = String::with_capacity(256 << 10);
    for family in families {
        encode_family(family, traced, &mut out);
    }
    out.push_str("# EOF\n");
    out
}

fn encode_family(family: &MetricFamily, traced: &Histograms, out: &mut String) {
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
                histogram(base, metric, traced.shown_as(name, metric.get_label()), out);
                continue;
            }
            MetricType::GAUGE | MetricType::SUMMARY | MetricType::UNTYPED => metric.get_gauge().get_value(),
        };
        line(out, format_args!("{base}{suffix}{} {value}", Labels(metric.get_label(), None)));
    }
}

fn histogram(base: &str, metric: &Metric, traced: Option<&Histogram>, out: &mut String) {
    let (labels, histogram) = (metric.get_label(), metric.get_histogram());
    let count = histogram.get_sample_count();
    let buckets = histogram.get_bucket().iter().map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
    for (place, (bound, count)) in buckets.chain([(f64::INFINITY, count)]).enumerate() {
        let exemplar = Shown(traced.and_then(|traced| traced.exemplar(place)));
        line(out, format_args!("{base}_bucket{} {count}{exemplar}", Labels(labels, Some(bound))));
    }
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
            Some(bound) => write!(f, "{separator}le=\"{}\"", Canonical(*bound))?,
            None if pairs.is_empty() => return Ok(()),
            None => {}
        }
        f.write_str("}")
    }
}

/// A bound as the format writes it: with a point, and an exponent of two digits.
struct Canonical(f64);

impl std::fmt::Display for Canonical {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = format!("{:?}", self.0);
        match shown.split_once("e-") {
            Some((digits, exponent)) => write!(f, "{digits}e-{exponent:0>2}"),
            None => f.write_str(&shown),
        }
    }
}

/// An exemplar behind a value, if there is one.
struct Shown(Option<Exemplar>);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(Exemplar { trace, value, at }) = self.0 else { return Ok(()) };
        write!(f, " # {{trace_id=\"{trace}\"}} {value} {}.{:03}", at.as_second(), at.subsec_millisecond())
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
    use std::sync::Arc;
    use std::time::Duration;

    use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

    use super::super::histogram::{Buckets, Registered};
    use super::*;

    #[test]
    fn bounds_are_written_in_one_way() {
        for (bound, expected) in [(0.000_01, "1e-05"), (0.000_025, "2.5e-05"), (0.000_1, "0.0001"), (5.0, "5.0")] {
            assert_eq!(Canonical(bound).to_string(), expected);
        }
    }

    #[test]
    fn counters_units_and_infos_are_named_as_the_format_wants_it() {
        let registry = Registry::new();
        let bytes = IntCounterVec::new(Opts::new("x_bytes_total", "Say \"a\\b\"."), &["name"]).unwrap();
        bytes.with_label_values(&["q\"\\\n"]).inc_by(7);
        registry.register(Box::new(bytes)).unwrap();
        let info = IntGaugeVec::new(Opts::new("y_info", "Which."), &["version"]).unwrap();
        info.with_label_values(&["1"]).set(1);
        registry.register(Box::new(info)).unwrap();
        let buckets = &Buckets { bounds: &[0.001, 0.01], steps: 1e6, why: "few" };
        let rows = vec![vec!["imap".to_owned(), "NOOP".to_owned()], vec!["imap".to_owned(), "FETCH".to_owned()]];
        let labels = vec!["protocol", "command"];
        let timed = Histograms::new("z_seconds".to_owned(), "How long.", labels, rows, buckets).unwrap();
        let trace = "0af7651916cd43dd8448eb211c80319c".parse().unwrap();
        let at = jiff::Timestamp::from_millisecond(1_700_000_000_020).unwrap();
        for millis in [7, 5, 70] {
            let duration = Duration::from_millis(millis);
            timed.at(1).unwrap().took(duration);
            timed.at(1).unwrap().exemplify(duration, trace, at);
        }
        let timed = Arc::new(timed);
        registry.register(Box::new(Registered(Arc::clone(&timed)))).unwrap();
        insta::assert_snapshot!(encode(&registry.gather(), &timed), @r#"
        # TYPE x_bytes counter
        # UNIT x_bytes bytes
        # HELP x_bytes Say \"a\\b\".
        x_bytes_total{name="q\"\\\n"} 7
        # TYPE y info
        # HELP y Which.
        y_info{version="1"} 1
        # TYPE z_seconds histogram
        # UNIT z_seconds seconds
        # HELP z_seconds How long.
        z_seconds_bucket{command="FETCH",protocol="imap",le="0.001"} 0
        z_seconds_bucket{command="FETCH",protocol="imap",le="0.01"} 2 # {trace_id="0af7651916cd43dd8448eb211c80319c"} 0.005 1700000000.020
        z_seconds_bucket{command="FETCH",protocol="imap",le="+Inf"} 3 # {trace_id="0af7651916cd43dd8448eb211c80319c"} 0.07 1700000000.020
        z_seconds_count{command="FETCH",protocol="imap"} 3
        z_seconds_sum{command="FETCH",protocol="imap"} 0.082
        z_seconds_bucket{command="NOOP",protocol="imap",le="0.001"} 0
        z_seconds_bucket{command="NOOP",protocol="imap",le="0.01"} 0
        z_seconds_bucket{command="NOOP",protocol="imap",le="+Inf"} 0
        z_seconds_count{command="NOOP",protocol="imap"} 0
        z_seconds_sum{command="NOOP",protocol="imap"} 0
        # EOF
        "#);
    }
}
