//! The series of the containers, made anew from the table at every scrape.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts};

use super::table::{Row, Sums};
use super::{Containers, Rotation, Way};
use crate::metrics::gauge_value;

/// The name of the series that all containers share which have none of their own. No container can
/// be called so: their names begin with a letter or a digit.
const OTHERS: &str = "_other";

const STATES: [(bool, &str); 2] = [(true, "running"), (false, "stopped")];
const WAYS: [(Way, &str); 5] = [
    (Way::File, "file"),
    (Way::Api, "api"),
    (Way::Attach, "attach"),
    (Way::Skipped, "skipped"),
    (Way::Pending, "pending"),
];
const ROTATIONS: [(Rotation, &str); 3] = [
    (Rotation::Bounded, "bounded"),
    (Rotation::Unbounded, "unbounded"),
    (Rotation::Unknown, "unknown"),
];

/// The families, and the table that fills them.
#[derive(Debug, Clone)]
pub(in crate::metrics) struct Families {
    containers: Containers,
    by_way: IntGaugeVec,
    logs: IntGaugeVec,
    log_bytes: IntGaugeVec,
    largest: IntGauge,
    disk_size: IntGauge,
    disk_free: IntGauge,
    lines: IntCounterVec,
    bytes: IntCounterVec,
    file_bytes: IntGaugeVec,
    file_bounded: IntGaugeVec,
}

impl Families {
    /// Families for one table, to be registered as one collector.
    pub(in crate::metrics) fn new(containers: Containers) -> Result<Self, prometheus::Error> {
        let opts = |name, help| Opts::new(name, help).namespace("downspout");
        let gauge = |name, help| IntGauge::with_opts(opts(name, help));
        let gauges = |name, help, labels: &[&str]| IntGaugeVec::new(opts(name, help), labels);
        let counters = |name, help| IntCounterVec::new(opts(name, help), &["container"]);
        Ok(Self {
            containers,
            by_way: gauges("containers", "Containers of the host", &["state", "strategy"])?,
            logs: gauges("json_files", "Containers on json-file", &["rotation"])?,
            log_bytes: gauges("json_file_bytes", "Their logs on disk", &["rotation"])?,
            largest: gauge("json_file_largest_bytes", "The largest of their logs on disk")?,
            disk_size: gauge("json_file_disk_size_bytes", "The file system of these logs")?,
            disk_free: gauge("json_file_disk_free_bytes", "What is free of it")?,
            lines: counters("container_lines_total", "Lines read, once for each destination")?,
            bytes: counters("container_bytes_total", "Text of these lines")?,
            file_bytes: gauges(
                "container_log_file_bytes",
                "A json-file log on disk",
                &["container"],
            )?,
            file_bounded: gauges(
                "container_log_file_bounded",
                "1 if its log has a limit",
                &["container"],
            )?,
        })
    }

    fn all(&self) -> [&dyn Collector; 10] {
        [
            &self.by_way,
            &self.logs,
            &self.log_bytes,
            &self.largest,
            &self.disk_size,
            &self.disk_free,
            &self.lines,
            &self.bytes,
            &self.file_bytes,
            &self.file_bounded,
        ]
    }

    fn fill(&self, sums: &Sums) {
        for (running, state) in STATES {
            for (way, strategy) in WAYS {
                let count = sums.ways.iter().filter(|each| **each == (running, way)).count();
                self.by_way.with_label_values(&[state, strategy]).set(gauge_value(count as u64));
            }
        }
        for (rotation, name) in ROTATIONS {
            let of = || sums.logs.iter().filter(|(each, _)| *each == rotation);
            self.logs.with_label_values(&[name]).set(gauge_value(of().count() as u64));
            let bytes: u64 = of().map(|(_, bytes)| bytes).sum();
            self.log_bytes.with_label_values(&[name]).set(gauge_value(bytes));
        }
        let largest = sums.logs.iter().map(|(_, bytes)| *bytes).max();
        self.largest.set(gauge_value(largest.unwrap_or_default()));
        self.disk_size.set(gauge_value(sums.disk_size));
        self.disk_free.set(gauge_value(sums.disk_free));
    }

    fn fill_row(&self, name: &str, row: &Row) {
        self.lines.with_label_values(&[name]).inc_by(row.lines);
        self.bytes.with_label_values(&[name]).inc_by(row.bytes);
        if let Some((bytes, bounded)) = row.file {
            self.file_bytes.with_label_values(&[name]).set(gauge_value(bytes));
            self.file_bounded.with_label_values(&[name]).set(i64::from(bounded));
        }
    }
}

impl Collector for Families {
    fn desc(&self) -> Vec<&Desc> {
        self.all().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // Held to the end: another scrape fills the same families.
        let table = self.containers.lock();
        self.fill(&table.sums());
        self.lines.reset();
        self.bytes.reset();
        self.file_bytes.reset();
        self.file_bounded.reset();
        for (name, row) in table.rows(OTHERS) {
            self.fill_row(name, &row);
        }
        self.all().into_iter().flat_map(Collector::collect).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use prometheus::{Registry, TextEncoder};

    use super::super::{LogKind, Measured};
    use super::*;

    fn page(most: usize) -> (Containers, impl Fn() -> String) {
        let containers = Containers::default();
        containers.show_series(most);
        let registry = Registry::new();
        registry.register(Box::new(Families::new(containers.clone()).unwrap())).unwrap();
        let page = move || TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        (containers, page)
    }

    // The series of a page that are not 0, without the prefix.
    fn series(page: &str) -> Vec<&str> {
        let lines = page.lines().filter_map(|line| line.strip_prefix("downspout_"));
        lines.filter(|line| !line.ends_with(" 0")).collect()
    }

    #[test]
    fn all_label_values_are_there_from_the_start_and_no_container_has_a_series() {
        let (containers, page) = page(0);
        containers.found("a", "web", true);
        containers.tally("a").count(1, 10);
        let page = page();
        for (_, state) in STATES {
            for (_, strategy) in WAYS {
                let wanted = format!("containers{{state=\"{state}\",strategy=\"{strategy}\"}} ");
                assert!(page.contains(&wanted), "{wanted} missing in\n{page}");
            }
        }
        for family in ["json_files", "json_file_bytes"] {
            for (_, rotation) in ROTATIONS {
                let wanted = format!("downspout_{family}{{rotation=\"{rotation}\"}} 0");
                assert!(page.contains(&wanted), "{wanted} missing in\n{page}");
            }
        }
        for family in ["largest_bytes", "disk_size_bytes", "disk_free_bytes"] {
            assert!(page.contains(&format!("downspout_json_file_{family} 0")), "{page}");
        }
        assert!(!page.contains("downspout_container_"), "{page}");
    }

    #[test]
    fn a_container_is_counted_once_whatever_its_destinations_do() {
        let (containers, page) = page(0);
        assert!(containers.found("a", "web", true));
        assert!(!containers.found("a", "web", true));
        assert_eq!(series(&page()), [r#"containers{state="running",strategy="pending"} 1"#]);
        containers.read_by("a", 1, Way::File);
        assert_eq!(series(&page()), [r#"containers{state="running",strategy="file"} 1"#]);
        // The dearest of several is shown.
        containers.read_by("a", 0, Way::Api);
        assert_eq!(series(&page()), [r#"containers{state="running",strategy="api"} 1"#]);
        containers.read_by("a", 0, Way::File);
        containers.is_running("a", false);
        assert_eq!(series(&page()), [r#"containers{state="stopped",strategy="file"} 1"#]);
        containers.gone("a");
        // Whoever still reads to its end brings nothing back.
        containers.read_by("a", 0, Way::Api);
        assert_eq!(series(&page()), Vec::<&str>::new());
    }

    #[test]
    fn logs_are_summed_by_rotation_and_a_file_proves_the_driver() {
        let (containers, page) = page(0);
        for (id, log) in [
            ("a", LogKind::JsonFile(Rotation::Bounded)),
            ("b", LogKind::JsonFile(Rotation::Unbounded)),
            ("c", LogKind::Unknown),
            ("d", LogKind::Unknown),
            ("e", LogKind::Other),
        ] {
            containers.found(id, id, false);
            containers.learned(id, log);
        }
        assert_eq!(containers.unknown().len(), 2);
        assert_eq!(containers.with_files().len(), 4);
        let logs = [("a", 10), ("b", 300), ("c", 7), ("x", 9000)];
        let logs: HashMap<_, _> = logs.map(|(id, bytes)| (id.to_owned(), bytes)).into();
        containers.measured(Measured { logs, disk_size: 1000, disk_free: 400 });
        let text = page();
        assert_eq!(
            series(&text),
            [
                r#"containers{state="stopped",strategy="pending"} 5"#,
                r#"json_file_bytes{rotation="bounded"} 10"#,
                r#"json_file_bytes{rotation="unbounded"} 300"#,
                r#"json_file_bytes{rotation="unknown"} 7"#,
                "json_file_disk_free_bytes 400",
                "json_file_disk_size_bytes 1000",
                "json_file_largest_bytes 300",
                r#"json_files{rotation="bounded"} 1"#,
                r#"json_files{rotation="unbounded"} 1"#,
                r#"json_files{rotation="unknown"} 1"#,
            ]
        );
    }

    #[test]
    fn series_of_containers_have_a_cap_and_what_is_shared_never_falls() {
        let (containers, page) = page(2);
        let of = |family: &str, name: &str| {
            let start = format!("downspout_{family}{{container=\"{name}\"}} ");
            let page = page();
            page.lines().find_map(|line| line.strip_prefix(&start)).map(str::to_owned)
        };
        assert_eq!(of("container_lines_total", "_other").as_deref(), Some("0"));
        for (id, lines) in [("a", 1), ("b", 2), ("c", 30), ("d", 400)] {
            containers.found(id, &format!("{id}-name"), true);
            containers.tally(id).count(lines, lines * 10);
        }
        containers.learned("a", LogKind::JsonFile(Rotation::Bounded));
        containers.learned("c", LogKind::JsonFile(Rotation::Bounded));
        containers.learned("d", LogKind::JsonFile(Rotation::Unbounded));
        assert_eq!(of("container_lines_total", "a-name").as_deref(), Some("1"));
        assert_eq!(of("container_bytes_total", "b-name").as_deref(), Some("20"));
        assert_eq!(of("container_lines_total", "c-name"), None);
        assert_eq!(of("container_lines_total", "_other").as_deref(), Some("430"));
        assert_eq!(of("container_log_file_bounded", "a-name").as_deref(), Some("1"));
        assert_eq!(of("container_log_file_bounded", "b-name"), None, "no such file");
        assert_eq!(of("container_log_file_bounded", "_other").as_deref(), Some("0"));
        containers.gone("d");
        assert_eq!(of("container_lines_total", "_other").as_deref(), Some("430"));
        assert_eq!(of("container_log_file_bounded", "_other").as_deref(), Some("1"));
        // A place that is free goes to the next that is found.
        containers.retain(&["a", "c"].into());
        assert_eq!(of("container_lines_total", "b-name"), None);
        containers.found("e", "e-name", true);
        assert_eq!(of("container_lines_total", "e-name").as_deref(), Some("0"));
        // A series goes with the name, and two of one name are one.
        containers.renamed("a", "e-name");
        containers.tally("e").count(5, 50);
        assert_eq!(of("container_lines_total", "a-name"), None);
        assert_eq!(of("container_lines_total", "e-name").as_deref(), Some("6"));
        assert_eq!(page().matches("lines_total{container=\"e-name\"}").count(), 1);
    }

    #[test]
    fn a_hostile_name_cannot_break_the_format() {
        let (containers, page) = page(1);
        containers.found("a", "a\"b\nc\\", true);
        assert!(page().contains(r#"container="a\"b\nc\\""#), "{}", page());
    }
}
