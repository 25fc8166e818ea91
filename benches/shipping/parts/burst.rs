//! A container prints as fast as it can while each way of shipping is at work.

use std::time::Instant;

use crate::Bench;
use crate::containers::Container;
use crate::drain::LINE_BYTES;
use crate::pipes::Pipes;
use crate::shippers::Order;
use crate::sink::Sink;
use crate::table::{Column, Round, Table};
use crate::ways::Way;

const COLUMNS: &[Column] = &[
    Column::measure("wall_s", "last line after s", 2),
    Column::measure("container_s", "container took s", 2),
    Column::measure("cpu_s", "CPU s", 2),
    Column::measure("dockerd_s", "dockerd CPU s", 2),
    Column::peak("peak_mib", "peak MiB", 1),
    Column::count("lost", "lost"),
    Column::count("repeated", "repeated"),
];

impl Bench {
    pub(crate) fn burst(&self) -> Vec<Table> {
        let setting = format!(
            "A container prints {} lines of {LINE_BYTES} bytes as fast as it can; they go to a TCP \
             syslog receiver on the loopback, which uses the same cores. The clock starts with the \
             first line.",
            self.options.lines,
        );
        let table = Table::new("Burst: a container prints at full speed", setting, COLUMNS);
        self.measure("burst", &self.ways(), [table], |way| [self.burst_by(*way)]).into()
    }

    fn burst_by(&self, way: Way) -> Round {
        let lines = self.options.lines;
        let sink = Sink::listen(lines, 1);
        let mut pipes = Pipes::new(&self.places.folder, 1);
        let options = [way.driver(sink.address()), vec![pipes.mount()]].concat();
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let script = Pipes::printer(0, 1, LINE_BYTES, true);
        let container = Container::start(&self.image, &options, &script);
        let running = way.shipper().map(|shipper| {
            let logs = [container.log_path()];
            let order = Order { logs: &logs, backlog: false, outage: false, to: sink.address() };
            shipper.start_following(&self.places, &order)
        });
        let before = (Instant::now(), self.dockerd_seconds());
        pipes.tell(0, 0..lines);
        container.wait_until_ended();
        let container_s = Some(before.0.elapsed().as_secs_f64());
        if way == Way::Nobody {
            let dockerd = self.dockerd_since(before.1);
            return vec![None, container_s, None, dockerd, None, None, None];
        }
        let figures = self.finish(&sink, lines, running.as_ref(), before);
        vec![
            figures.wall_s,
            container_s,
            figures.cpu_s,
            figures.dockerd_s,
            figures.peak_mib,
            Some(figures.lost),
            Some(figures.repeated),
        ]
    }
}
