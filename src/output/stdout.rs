//! Frames to standard output. A frame is delivered when it is written.

use std::io;

use tokio::io::{AsyncWriteExt, Stdout};

use super::{BoxFuture, Carriage, Driver, Fault, Frames, Open, Output, TargetKind};
use crate::metrics::FaultKind;

/// Standard output.
pub(super) static DRIVER: Driver = Driver {
    schemes: &["stdout"],
    help: "Lines to standard output; delivered when written.",
    example: "stdout://",
    target: TargetKind::None,
    carriage: Carriage::Text,
    options: &[],
    open: Open::Link(|_, _, _| Some(Box::new(Console { out: tokio::io::stdout(), written: 0 }))),
};

#[derive(Debug)]
struct Console {
    out: Stdout,
    written: u64,
}

impl Output for Console {
    fn connect(&mut self) -> BoxFuture<'_, Result<String, Fault>> {
        self.written = 0;
        Box::pin(async { Ok("standard output".into()) })
    }

    fn send<'a>(&'a mut self, frames: Frames<'a>) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let bytes = frames.bytes();
            self.out.write_all(bytes).await.map_err(fault)?;
            // What is written is only in a buffer of tokio's thread until it is flushed.
            self.out.flush().await.map_err(fault)?;
            self.written += bytes.len() as u64;
            Ok(())
        })
    }

    fn settled(&mut self) -> u64 {
        self.written
    }

    fn acknowledged(&mut self, beyond: u64) -> BoxFuture<'_, Result<u64, Fault>> {
        Box::pin(async move {
            if self.written > beyond {
                return Ok(self.written);
            }
            std::future::pending().await
        })
    }

    fn close(&mut self) -> BoxFuture<'_, Result<u64, Fault>> {
        Box::pin(async {
            self.out.flush().await.map_err(fault)?;
            Ok(self.written)
        })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn fault(error: io::Error) -> Fault {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Fault::of(FaultKind::Closed, "standard output is closed");
    }
    Fault::retry(format!("standard output cannot be written: {error}"))
}
