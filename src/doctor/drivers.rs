//! What is wrong with the containers beside their logs: drivers that are not read, and terminals.

use super::look::Container;
use super::report::{Finding, Severity};
use crate::source::docker::{Settings, ships};

/// Drivers that are not read, and terminals.
pub(super) fn findings(containers: &[Container], settings: &Settings) -> Vec<Finding> {
    containers.iter().filter_map(|each| driver(each, settings).or_else(|| terminal(each))).collect()
}

fn driver(container: &Container, settings: &Settings) -> Option<Finding> {
    let (name, driver) = (&container.facts.name, container.facts.driver.as_str());
    let finding = match driver {
        "none" if settings.attach => Finding::new(
            Severity::Note,
            "driver-none",
            name,
            "its log driver keeps nothing (none); it is attached to, and what it prints while no \
             agent runs or a destination is down is lost",
            "give it a driver that keeps a log: --log-driver json-file",
        ),
        "none" => Finding::new(
            Severity::Warning,
            "driver-none",
            name,
            "its log driver keeps nothing (none), so its lines are not shipped",
            "give it a driver that keeps a log (--log-driver json-file), or set DOWNSPOUT_ATTACH=true",
        ),
        shipping if ships(shipping) && settings.follow_shipped => Finding::new(
            Severity::Note,
            "driver-ships",
            name,
            format!("its log driver ships already ({shipping}): its lines arrive twice"),
            "give it the driver json-file or local, or set DOWNSPOUT_SHIPPED_DRIVERS=skip",
        ),
        shipping if ships(shipping) => Finding::new(
            Severity::Warning,
            "driver-ships",
            name,
            format!("its log driver ships already ({shipping}), so downspout skips it"),
            "give it the driver json-file or local with a max-size, or set \
             DOWNSPOUT_SHIPPED_DRIVERS=follow to have its lines twice",
        ),
        _ => return None,
    };
    Some(finding.with("driver", driver).with("running", container.running))
}

fn terminal(container: &Container) -> Option<Finding> {
    container.facts.tty.then(|| {
        Finding::new(
            Severity::Note,
            "tty",
            &container.facts.name,
            "it has a terminal: standard error is not told from standard output, and programs may \
             print colours",
            "start it without -t (tty: false)",
        )
        .with("running", container.running)
    })
}
