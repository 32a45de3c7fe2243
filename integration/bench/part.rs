//! The parts of the suite: what of their records is shown, and how.

use std::collections::BTreeMap;

/// The conditions of a cell as numbers.
pub(crate) type Conditions = BTreeMap<String, f64>;

/// Some of what is measured, in cells and variants.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) explanation: &'static str,
    pub(crate) columns: &'static [Column],
    pub(crate) ratios: &'static [Ratio],
    pub(crate) plots: &'static [Plot],
}

/// A figure, as a column.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) figure: &'static str,
    pub(crate) title: &'static str,
    pub(crate) decimals: usize,
}

/// A figure divided by that of another variant, as a column.
#[derive(Debug)]
pub(crate) struct Ratio {
    pub(crate) figure: &'static str,
    pub(crate) title: &'static str,
    pub(crate) against: &'static str,
}

/// A figure, as a picture.
#[derive(Debug)]
pub(crate) struct Plot {
    pub(crate) file: &'static str,
    pub(crate) title: &'static str,
    pub(crate) figure: &'static str,
    /// What stands at the axis, with the unit.
    pub(crate) axis: &'static str,
    pub(crate) decimals: usize,
    /// Divides by another variant, and draws a line at 1.
    pub(crate) against: Option<&'static str>,
    pub(crate) cells: fn(&Conditions) -> bool,
}

/// Whether a condition has this value.
pub(crate) fn is(conditions: &Conditions, name: &str, value: f64) -> bool {
    conditions.get(name) == Some(&value)
}

fn one_at_a_time(conditions: &Conditions) -> bool {
    is(conditions, "depth", 1.0)
}

fn pipelined(conditions: &Conditions) -> bool {
    !one_at_a_time(conditions)
}

const fn any(_: &Conditions) -> bool {
    true
}

const PROXY_COLUMNS: &[Column] = &[
    column("per_second", "requests/s", 0),
    column("p50_us", "p50 µs", 1),
    column("p99_us", "p99 µs", 1),
    column("p999_us", "p99.9 µs", 1),
    column("cpu_us", "CPU µs", 2),
    column("memory_mib", "memory MiB", 1),
    column("load_busy", "load %", 0),
];

const PROXY_RATIOS: &[Ratio] = &[
    ratio("per_second", "requests/s × relay", "relay"),
    ratio("p50_us", "p50 × relay", "relay"),
    ratio("p99_us", "p99 × relay", "relay"),
    ratio("cpu_us", "CPU × relay", "relay"),
    ratio("per_second", "requests/s × HAProxy", "haproxy"),
    ratio("cpu_us", "CPU × HAProxy", "haproxy"),
    ratio("per_second", "requests/s × large", "haproxy-large"),
    ratio("cpu_us", "CPU × large", "haproxy-large"),
    ratio("per_second", "requests/s × before", "before"),
    ratio("cpu_us", "CPU × before", "before"),
];

const DIRECT_RATIO: &[Ratio] = &[
    ratio("per_second", "requests/s × direct", "direct"),
    ratio("p50_us", "p50 × direct", "direct"),
    ratio("p99_us", "p99 × direct", "direct"),
    ratio("per_second", "requests/s × before", "before"),
];

const fn column(figure: &'static str, title: &'static str, decimals: usize) -> Column {
    Column {
        figure,
        title,
        decimals,
    }
}

const fn ratio(figure: &'static str, title: &'static str, against: &'static str) -> Ratio {
    Ratio {
        figure,
        title,
        against,
    }
}

const LATENCY: Plot = Plot {
    file: "latency-p50",
    title: "Latency, one request at a time: median",
    figure: "p50_us",
    axis: "microseconds from request to reply",
    decimals: 1,
    against: None,
    cells: one_at_a_time,
};

const LATENCY_TAIL: Plot = Plot {
    file: "latency-p99",
    title: "Latency, one request at a time: 99th percentile",
    figure: "p99_us",
    ..LATENCY
};

const THROUGHPUT: Plot = Plot {
    file: "throughput",
    title: "Throughput, many requests in flight",
    figure: "per_second",
    axis: "requests per second",
    decimals: 0,
    against: None,
    cells: pipelined,
};

const PROCESSOR: Plot = Plot {
    file: "processor-pipelined",
    title: "Processor time per request, many in flight, against the raw relay",
    figure: "cpu_us",
    axis: "processor time of the proxy per request, divided by the relay's",
    decimals: 2,
    against: Some("relay"),
    cells: pipelined,
};

const PROCESSOR_SINGLE: Plot = Plot {
    file: "processor-single",
    title: "Processor time per request, one at a time, against the raw relay",
    cells: one_at_a_time,
    ..PROCESSOR
};

const PROXY_PLOTS: &[Plot] = &[
    LATENCY,
    LATENCY_TAIL,
    PROCESSOR_SINGLE,
    THROUGHPUT,
    PROCESSOR,
];

const REGION: Plot = Plot {
    file: "second-region",
    title: "Clients of the second region, against the stretched ensemble",
    figure: "eu_per_second",
    axis: "operations per second, divided by those of the stretched ensemble",
    decimals: 2,
    against: Some("stretched"),
    cells: any,
};

/// All parts, in the order in which they are reported.
pub(crate) static PARTS: [Part; 6] = [
    Part {
        name: "instant",
        title: "Proxies in front of a server that answers at once",
        explanation: "All cores. Latency of single requests depends on which core wakes up; \
                      see one-core for the path alone.",
        columns: PROXY_COLUMNS,
        ratios: PROXY_RATIOS,
        plots: PROXY_PLOTS,
    },
    Part {
        name: "one-core",
        title: "The same with everything on one core",
        explanation: "Load, proxy and server share a core: no wake-ups of others, so that latency \
                      is the length of the path.",
        columns: PROXY_COLUMNS,
        ratios: PROXY_RATIOS,
        plots: PROXY_PLOTS,
    },
    Part {
        name: "real",
        title: "Stock ZooKeeper, home only",
        explanation: "One standalone server unless said otherwise.",
        columns: PROXY_COLUMNS,
        ratios: DIRECT_RATIO,
        plots: &[LATENCY, LATENCY_TAIL, THROUGHPUT],
    },
    Part {
        name: "paper",
        title: "One stretched ensemble against two composed ones",
        explanation: "Two regions, bursts of 25 operations, each burst local or remote; operations \
                      per second of all clients of a region.",
        columns: &[
            column("us_per_second", "first region, operations/s", 0),
            column("eu_per_second", "second region, operations/s", 0),
            column("per_second", "both, operations/s", 0),
            column("us_p50_ms", "first region, burst p50 ms", 1),
            column("eu_p50_ms", "second region, burst p50 ms", 1),
            column("eu_p99_ms", "second region, burst p99 ms", 1),
        ],
        ratios: &[
            ratio("us_per_second", "first region × stretched", "stretched"),
            ratio("eu_per_second", "second region × stretched", "stretched"),
            ratio("us_per_second", "first region × rule", "rule"),
            ratio("eu_per_second", "second region × rule", "rule"),
            ratio("per_second", "both × rule", "rule"),
            ratio("per_second", "both × rule-relay", "rule-relay"),
            ratio("per_second", "both × zoonet", "zoonet"),
        ],
        plots: &[
            REGION,
            Plot {
                file: "first-region",
                title: "Clients of the first region, against the stretched ensemble",
                figure: "us_per_second",
                ..REGION
            },
            Plot {
                file: "rule",
                title: "Both regions, against the rule followed by the client itself",
                figure: "per_second",
                axis: "operations per second, divided by those of the client-side rule",
                against: Some("rule"),
                ..REGION
            },
            Plot {
                file: "operations",
                title: "Operations of the second region",
                axis: "operations per second",
                decimals: 0,
                against: None,
                ..REGION
            },
        ],
    },
    Part {
        name: "neighbours",
        title: "A client of home only, while others switch constantly",
        explanation: "The others are in the same sidecar, or as a control in another one on the \
                      same machine.",
        columns: PROXY_COLUMNS,
        ratios: &[
            ratio("per_second", "requests/s × alone", "alone"),
            ratio("p50_us", "p50 × alone", "alone"),
            ratio("p99_us", "p99 × alone", "alone"),
        ],
        plots: &[
            Plot {
                cells: any,
                title: "Throughput of a client of home only",
                ..THROUGHPUT
            },
            Plot {
                cells: any,
                title: "Median latency of a client of home only",
                ..LATENCY
            },
            Plot {
                cells: any,
                title: "99th percentile of a client of home only",
                ..LATENCY_TAIL
            },
        ],
    },
    Part {
        name: "memory",
        title: "Memory of idle sessions",
        explanation: "Resident memory of the process, started anew each round.",
        columns: &[
            column("idle_mib", "idle process MiB", 1),
            column("memory_mib", "with all sessions MiB", 1),
            column("session_kib", "per session KiB", 2),
        ],
        ratios: &[],
        plots: &[Plot {
            file: "session",
            title: "Memory per idle session",
            figure: "session_kib",
            axis: "KiB of resident memory per session",
            decimals: 2,
            against: None,
            cells: any,
        }],
    },
];

/// The part of that name.
pub(crate) fn named(name: &str) -> Option<&'static Part> {
    PARTS.iter().find(|part| part.name == name)
}
