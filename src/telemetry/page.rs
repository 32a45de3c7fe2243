//! Totals become Prometheus' text format, through the types of its crate.

use std::collections::BTreeMap;

use prometheus::TextEncoder;
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

use super::catalogue::{BOUNDS, FAMILIES, Family, Kind};
use super::counters::Times;

/// What a scrape gets.
#[derive(Debug, Default)]
pub(super) struct Page(BTreeMap<&'static str, Vec<Metric>>);

impl Page {
    /// Adds a counter or a gauge; `labels` are the values of the family's labels, in order.
    pub(super) fn number(&mut self, family: &'static Family, labels: &[&str], value: u64) {
        // Ups and downs are not seen at one moment: below nothing there is nothing.
        let value = if value > u64::MAX / 2 { 0 } else { value };
        self.value(family, labels, float(value));
    }

    /// Adds a time, given in microseconds.
    pub(super) fn seconds(&mut self, family: &'static Family, labels: &[&str], microseconds: u64) {
        self.value(family, labels, seconds(microseconds));
    }

    fn value(&mut self, family: &'static Family, labels: &[&str], value: f64) {
        let mut metric = labelled(family, labels);
        match family.kind {
            Kind::Counter => {
                let mut counter = Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            }
            Kind::Gauge => {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
            Kind::Histogram => return,
        }
        self.0.entry(family.name).or_default().push(metric);
    }

    /// Adds a histogram, unless nothing was ever counted in it.
    pub(super) fn times(&mut self, family: &'static Family, labels: &[&str], times: &Times) {
        let cumulated = times.cumulated();
        let [.., all] = cumulated;
        if all == 0 {
            return;
        }
        let buckets = BOUNDS.iter().zip(cumulated).map(|(bound, count)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(seconds(*bound));
            bucket.set_cumulative_count(count);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(all);
        histogram.set_sample_sum(seconds(times.sum()));
        let mut metric = labelled(family, labels);
        metric.set_histogram(histogram);
        self.0.entry(family.name).or_default().push(metric);
    }

    /// The page as text, families in the order they are declared in.
    pub(super) fn text(mut self) -> String {
        let families: Vec<MetricFamily> = FAMILIES
            .iter()
            .filter_map(|family| Some((family, self.0.remove(family.name)?)))
            .map(|(family, metrics)| {
                let mut shown = MetricFamily::default();
                shown.set_name(family.name.to_owned());
                shown.set_help(family.help.to_owned());
                shown.set_field_type(match family.kind {
                    Kind::Counter => MetricType::COUNTER,
                    Kind::Gauge => MetricType::GAUGE,
                    Kind::Histogram => MetricType::HISTOGRAM,
                });
                shown.set_metric(metrics);
                shown
            })
            .collect();
        TextEncoder::new()
            .encode_to_string(&families)
            .expect("each family has a name and at least one metric, and text takes no other fault")
    }
}

fn labelled(family: &Family, values: &[&str]) -> Metric {
    debug_assert_eq!(family.labels.len(), values.len(), "{}", family.name);
    let pairs = family.labels.iter().zip(values).map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    });
    Metric::from_label(pairs.collect())
}

/// Exact below 2^53, which is further than anything here counts.
#[expect(
    clippy::as_conversions,
    reason = "there is no other way to make a float of a large number"
)]
const fn float(number: u64) -> f64 {
    number as f64
}

fn seconds(microseconds: u64) -> f64 {
    float(microseconds) / 1e6
}
