//! Upper bounds of histogram buckets, in the base unit of the metric that uses them.

/// What a caller may notice: 0.5 ms to 10 s, with the objectives (0.1 s and 0.5 s) as bounds.
pub(crate) const LATENCY: &[f64] = &[
    0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0,
    10.0,
];

/// Look-ups in memory and on disk: 250 ns to 100 ms (the look-up budget is a bound).
pub(crate) const LOOKUP: &[f64] = &[
    0.000_000_25,
    0.000_000_5,
    0.000_001,
    0.000_002_5,
    0.000_005,
    0.000_01,
    0.000_015,
    0.000_025,
    0.000_05,
    0.000_1,
    0.000_25,
    0.001,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
];

/// Writes in one batch.
pub(crate) const BATCH_SIZE: &[f64] = &[
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0,
];

/// How long people talk: 5 s to 2 h.
pub(crate) const CALL_DURATION: &[f64] = &[
    5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0,
];
