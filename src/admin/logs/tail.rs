//! One viewer's lines on their way into a connection: taken when the connection has room, written
//! in pieces of a bounded size. Never takes more than one chunk ahead.

use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::Bytes;

use super::json::Json;
use super::text::Text;
use crate::admin::websocket::frame;
use crate::record::Chunk;
use crate::tail::{Next, Progress, Viewer};

/// A piece is given out once it has so many bytes; the last line may be longer.
const PIECE_BYTES: usize = 16 * 1024;

/// One viewer's lines as bytes.
#[derive(Debug)]
pub(crate) struct Tail {
    viewer: Viewer,
    form: Form,
    /// A chunk, and how many of its lines are done.
    begun: Option<(Arc<Chunk>, usize)>,
}

#[derive(Debug)]
enum Form {
    Text(Text),
    Json(Json),
    /// Each object in a WebSocket's frame; the object is put together beside it.
    Framed(Json, Vec<u8>),
}

impl Tail {
    pub(super) fn text(viewer: Viewer, multi: bool, colours: bool) -> Self {
        Self::new(viewer, Form::Text(Text::new(multi, colours)))
    }

    pub(super) fn json(viewer: Viewer) -> Self {
        Self::new(viewer, Form::Json(Json::default()))
    }

    pub(super) fn framed(viewer: Viewer) -> Self {
        Self::new(viewer, Form::Framed(Json::default(), Vec::new()))
    }

    fn new(viewer: Viewer, form: Form) -> Self {
        Self { viewer, form, begun: None }
    }

    /// Tells whether the viewer takes what it is given.
    pub(crate) fn progress(&self) -> Progress {
        self.viewer.progress()
    }

    /// The next bytes; `None` once nothing will come any more.
    pub(crate) fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut out = Vec::new();
        loop {
            self.write_begun(&mut out);
            if out.len() >= PIECE_BYTES {
                return Poll::Ready(Some(out.into()));
            }
            match self.viewer.poll_next(context) {
                Poll::Ready(Some(Next::Lines(chunk))) => self.begun = Some((chunk, 0)),
                Poll::Ready(Some(Next::LeftOut(lines))) => self.form.left_out(lines, &mut out),
                Poll::Ready(None) if out.is_empty() => return Poll::Ready(None),
                Poll::Pending if out.is_empty() => return Poll::Pending,
                Poll::Ready(None) | Poll::Pending => return Poll::Ready(Some(out.into())),
            }
        }
    }

    /// The same, waited for.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        std::future::poll_fn(|context| self.poll_bytes(context)).await
    }

    fn write_begun(&mut self, out: &mut Vec<u8>) {
        let Some((chunk, mut done)) = self.begun.take() else { return };
        while let Some(line) = chunk.lines().get(done) {
            if out.len() >= PIECE_BYTES {
                self.begun = Some((chunk, done));
                return;
            }
            if self.viewer.wants(line) {
                self.form.line(&chunk, line, out);
            }
            done += 1;
        }
    }
}

impl Form {
    fn line(&mut self, chunk: &Chunk, line: &crate::record::Line, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => text.line(chunk, line, out),
            Self::Json(json) => json.line(chunk, line, out),
            Self::Framed(json, object) => {
                json.line(chunk, line, object);
                frame::text(object, out);
                object.clear();
            }
        }
    }

    fn left_out(&self, lines: u64, out: &mut Vec<u8>) {
        match self {
            Self::Text(_) => Text::left_out(lines, out),
            Self::Json(_) => Json::left_out(lines, out),
            Self::Framed(..) => {
                let mut object = Vec::new();
                Json::left_out(lines, &mut object);
                frame::text(&object, out);
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::record::{ChunkBuilder, Container, Mark, Place, Span, Stream, Timestamp};

    pub(in super::super) fn chunk(name: &str, data: &str) -> Arc<Chunk> {
        let container = Container { name: name.to_owned(), ..Container::default() };
        chunk_of(container, data.as_bytes())
    }

    pub(in super::super) fn chunk_of(container: Container, data: &[u8]) -> Arc<Chunk> {
        let mut builder = ChunkBuilder::default();
        let time = Timestamp::now();
        let (mark, span) = (Mark { time, pieces: 1 }, Span::default());
        builder.push(data, b"", Place { time, stream: Stream::Stdout, mark, span });
        Arc::new(builder.take(&Arc::new(container)).unwrap())
    }
}
