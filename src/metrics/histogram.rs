//! Histograms whose every series is made at the start: an observation is two additions, and whoever
//! collects takes no lock and makes nobody wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Histogram as Shown, LabelPair, Metric, MetricFamily, MetricType};

use super::labels::Row;
use crate::witness::TraceId;

/// The most buckets of a histogram, the last without a bound included.
pub(super) const MOST: usize = 16;

/// The bounds of a histogram.
pub(super) struct Buckets {
    /// Upper bounds in the base unit, rising; fewer than [`MOST`].
    pub(super) bounds: &'static [f64],
    /// How many steps of counting the base unit has: what is smaller is lost.
    pub(super) steps: f64,
    /// Why these.
    pub(super) why: &'static str,
}

/// One series.
pub(super) struct Histogram {
    /// Upper bounds in steps.
    bounds: Box<[u64]>,
    counts: Box<[AtomicU64]>,
    /// In steps; starts again at zero after 2^64 of them, as any counter may.
    sum: AtomicU64,
    buckets: &'static Buckets,
    /// The last of each bucket; made with the first there is.
    exemplars: OnceLock<Box<[Mutex<Option<Exemplar>>]>>,
}

/// A value, and the trace in which it occurred.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Exemplar {
    pub(super) trace: TraceId,
    /// In the base unit.
    pub(super) value: f64,
    pub(super) at: jiff::Timestamp,
}

/// What one report told for histograms of the same bounds, before it is handed on.
#[derive(Default)]
pub(super) struct Gathered {
    counts: [u32; MOST],
    /// Which buckets have any, a bit for each: mostly it is one.
    touched: u16,
    sum: u64,
}

impl Histogram {
    fn new(buckets: &'static Buckets) -> Self {
        let bounds: Box<[u64]> = buckets.bounds.iter().map(|bound| steps(bound * buckets.steps)).collect();
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0), buckets, exemplars: OnceLock::new() }
    }

    fn place(&self, value: u64) -> usize {
        self.bounds.iter().position(|bound| value <= *bound).unwrap_or(self.bounds.len())
    }

    /// A value in steps.
    fn count(&self, value: u64) {
        if let Some(count) = self.counts.get(self.place(value)) {
            count.fetch_add(1, Ordering::Relaxed);
            self.sum.fetch_add(value, Ordering::Relaxed);
        }
    }

    /// A number of what the base unit counts, of which it is one step.
    pub(super) fn number(&self, value: u64) {
        self.count(value);
    }

    /// A duration; the base unit is the second.
    pub(super) fn took(&self, duration: Duration) {
        self.count(self.duration(duration));
    }

    fn duration(&self, duration: Duration) -> u64 {
        steps(duration.as_secs_f64() * self.buckets.steps)
    }

    /// A duration that was counted occurred in this trace. While the exemplars are being read it is passed over, for
    /// nobody is to wait.
    #[expect(clippy::cast_precision_loss, reason = "a duration that long is no longer told apart by anybody")]
    pub(super) fn exemplify(&self, duration: Duration, trace: TraceId, at: jiff::Timestamp) {
        let steps = self.duration(duration);
        let slots = self.exemplars.get_or_init(|| self.counts.iter().map(|_| Mutex::default()).collect());
        if let Some(mut slot) = slots.get(self.place(steps)).and_then(|slot| slot.try_lock().ok()) {
            *slot = Some(Exemplar { trace, value: steps as f64 / self.buckets.steps, at });
        }
    }

    /// The last of a bucket, by its position.
    pub(super) fn exemplar(&self, bucket: usize) -> Option<Exemplar> {
        let slot = self.exemplars.get()?.get(bucket)?;
        *slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a duration that was seen so many times, for [`hand_on`](Self::hand_on).
    pub(super) fn gather(&self, duration: Duration, times: u32, gathered: &mut Gathered) {
        let value = self.duration(duration);
        let place = self.place(value);
        if let Some(count) = gathered.counts.get_mut(place) {
            *count += times;
            gathered.touched |= 1 << place;
            gathered.sum += value * u64::from(times);
        }
    }

    /// Takes what was gathered for a histogram of the same bounds.
    pub(super) fn hand_on(&self, gathered: &Gathered) {
        let mut touched = gathered.touched;
        while touched != 0 {
            let place = touched.trailing_zeros() as usize;
            touched &= touched - 1;
            if let (Some(count), Some(more)) = (self.counts.get(place), gathered.counts.get(place)) {
                count.fetch_add(u64::from(*more), Ordering::Relaxed);
            }
        }
        self.sum.fetch_add(gathered.sum, Ordering::Relaxed);
    }

    /// The count is made of the buckets that were read, so that a line never contradicts another.
    #[expect(clippy::cast_precision_loss, reason = "a sum that large is no longer told apart by anybody")]
    fn shown(&self) -> Shown {
        let mut total = 0;
        let mut buckets = Vec::with_capacity(self.bounds.len());
        for (count, bound) in self.counts.iter().zip(self.buckets.bounds) {
            total += count.load(Ordering::Relaxed);
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(total);
            buckets.push(bucket);
        }
        total += self.counts.last().map_or(0, |count| count.load(Ordering::Relaxed));
        let mut shown = Shown::default();
        shown.set_bucket(buckets);
        shown.set_sample_count(total);
        shown.set_sample_sum(self.sum.load(Ordering::Relaxed) as f64 / self.buckets.steps);
        shown
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast to an integer stops at its ends")]
fn steps(value: f64) -> u64 {
    value.round() as u64
}

/// All series of a family.
pub(super) struct Histograms {
    desc: Desc,
    name: String,
    help: &'static str,
    labels: Vec<&'static str>,
    series: Vec<(Row, Histogram)>,
}

impl Histograms {
    pub(super) fn new(
        name: String,
        help: &'static str,
        labels: Vec<&'static str>,
        rows: Vec<Row>,
        buckets: &'static Buckets,
    ) -> Result<Self, prometheus::Error> {
        let variable = labels.iter().map(|label| (*label).to_owned()).collect();
        let desc = Desc::new(name.clone(), help.to_owned(), variable, std::collections::HashMap::new())?;
        let series = rows.into_iter().map(|row| (row, Histogram::new(buckets))).collect();
        Ok(Self { desc, name, help, labels, series })
    }

    /// The series with these values, if there is one.
    pub(super) fn with(&self, values: &[&str]) -> Option<&Histogram> {
        self.position(values).and_then(|at| self.at(at))
    }

    /// The series that is shown with these labels in a family of this name, if it is one of these.
    pub(super) fn shown_as(&self, family: &str, pairs: &[LabelPair]) -> Option<&Histogram> {
        let has = |label: &str, value: &str| pairs.iter().any(|pair| (pair.name(), pair.value()) == (label, value));
        let fits = |(row, _): &&(Row, Histogram)| self.labels.iter().zip(row).all(|(label, value)| has(label, value));
        if family == self.name { self.series.iter().find(fits).map(|(_, histogram)| histogram) } else { None }
    }

    /// Where [`at`](Self::at) finds the series with these values.
    pub(super) fn position(&self, values: &[&str]) -> Option<usize> {
        self.series.iter().position(|(row, _)| row.iter().eq(values))
    }

    /// A series by its position.
    pub(super) fn at(&self, position: usize) -> Option<&Histogram> {
        self.series.get(position).map(|(_, histogram)| histogram)
    }
}

/// What the registry holds of a family.
#[derive(Clone)]
pub(super) struct Registered(pub(super) std::sync::Arc<Histograms>);

impl Collector for Registered {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let metric = |(row, histogram): &(Row, Histogram)| {
            let pair = |(label, value): (&&str, &String)| {
                let mut pair = LabelPair::default();
                pair.set_name((*label).to_owned());
                pair.set_value(value.clone());
                pair
            };
            let mut pairs: Vec<_> = self.0.labels.iter().zip(row).map(pair).collect();
            pairs.sort();
            let mut metric = Metric::from_label(pairs);
            metric.set_histogram(histogram.shown());
            metric
        };
        let mut family = MetricFamily::default();
        family.set_name(self.0.name.clone());
        family.set_help(self.0.help.to_owned());
        family.set_field_type(MetricType::HISTOGRAM);
        family.set_metric(self.0.series.iter().map(metric).collect());
        vec![family]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static BUCKETS: Buckets = Buckets { bounds: &[0.001, 0.01], steps: 1e6, why: "few" };

    #[test]
    fn what_is_gathered_counts_as_what_is_told_at_once() {
        let (at_once, later) = (Histogram::new(&BUCKETS), Histogram::new(&BUCKETS));
        let mut gathered = Gathered::default();
        for (micros, times) in [(1, 1), (1000, 2), (1001, 1), (10_000, 1), (10_001, 1), (90_000_000, 1)] {
            for _ in 0..times {
                at_once.took(Duration::from_micros(micros));
            }
            later.gather(Duration::from_micros(micros), times, &mut gathered);
        }
        later.hand_on(&gathered);
        for shown in [at_once.shown(), later.shown()] {
            let counts: Vec<_> = shown.get_bucket().iter().map(Bucket::cumulative_count).collect();
            assert_eq!((counts, shown.get_sample_count()), (vec![3, 5], 7));
            assert!((shown.get_sample_sum() - 90.023_003).abs() < 1e-9, "{}", shown.get_sample_sum());
        }
    }
}
