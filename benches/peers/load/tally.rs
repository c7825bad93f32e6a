//! What was done, and how long each took.

use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest that is told apart, nanoseconds: 10 minutes.
const LONGEST: u64 = 600 * 1_000_000_000;

#[derive(Debug)]
pub(crate) struct Tally {
    /// Commands, messages or sessions, as the errand counts.
    pub(crate) operations: u64,
    /// Octets of messages.
    pub(crate) octets: u64,
    /// Sessions that began with a ticket.
    pub(crate) resumed: u64,
    /// Nanoseconds from saying to the last octet of the answer.
    latencies: Histogram<u64>,
}

impl Tally {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self { operations: 0, octets: 0, resumed: 0, latencies: Histogram::new_with_bounds(1, LONGEST, 3)? })
    }

    pub(crate) fn took(&mut self, time: Duration) {
        self.latencies.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(LONGEST));
    }

    pub(crate) fn add(&mut self, other: &Self) -> anyhow::Result<()> {
        self.operations += other.operations;
        self.octets += other.octets;
        self.resumed += other.resumed;
        Ok(self.latencies.add(&other.latencies)?)
    }

    /// One line of JSON; latencies in microseconds.
    pub(crate) fn print(&self, seconds: f64) {
        let quantile = |at| Duration::from_nanos(self.latencies.value_at_quantile(at)).as_secs_f64() * 1e6;
        println!(
            "{{\"operations\": {}, \"octets\": {}, \"resumed\": {}, \"seconds\": {seconds:.6}, \
             \"p50_us\": {:.2}, \"p99_us\": {:.2}, \"p999_us\": {:.2}}}",
            self.operations,
            self.octets,
            self.resumed,
            quantile(0.5),
            quantile(0.99),
            quantile(0.999)
        );
    }
}
