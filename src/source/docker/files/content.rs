//! The bytes of one file of a log, compressed or not, by their place in the uncompressed log.

use std::fs::{File, Metadata};
use std::io::{self, IoSliceMut, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use flate2::read::GzDecoder;
use rustix::io::{Errno, ReadWriteFlags};

use crate::shutdown;

/// The longest record that is one: 16 KiB of text, six bytes for each at most, and attributes.
pub(in crate::source::docker) const MOST_RECORD_BYTES: usize = 1 << 20;
/// Brought from the disk at once when it is not in the page cache.
const FETCH_BYTES: usize = 256 * 1024;

/// What is in a file.
#[derive(Debug)]
pub(in crate::source::docker) enum Content {
    /// As it was written.
    Plain(Arc<File>),
    /// Compressed by the engine after it was rotated.
    Compressed(Box<Compressed>),
}

/// A compressed file can only be read forwards.
#[derive(Debug)]
pub(in crate::source::docker) struct Compressed {
    decoder: GzDecoder<Onward>,
    /// What was decompressed and may be asked for again.
    ahead: Vec<u8>,
    /// Where in the log `ahead` begins.
    from: u64,
}

/// A file from its beginning on, whoever else reads it.
#[derive(Debug)]
struct Onward {
    file: Arc<File>,
    offset: u64,
}

impl Read for Onward {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

impl Content {
    pub(super) fn new(file: Arc<File>, is_compressed: bool) -> Self {
        if is_compressed {
            Self::Compressed(Box::new(Compressed::new(file)))
        } else {
            Self::Plain(file)
        }
    }

    /// Reads from `offset` on; 0 at the end. Waits for the disk if need be.
    pub(in crate::source::docker) fn read_at(
        &mut self,
        buffer: &mut [u8],
        offset: u64,
    ) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read_at(buffer, offset),
            Self::Compressed(compressed) => compressed.read_at(buffer, offset),
        }
    }

    /// The same without waiting for the disk: an error of kind `WouldBlock` if the page cache ends
    /// before the first line end behind `known` bytes does, and the file does not.
    pub(in crate::source::docker) fn read_now(
        &mut self,
        buffer: &mut [u8],
        offset: u64,
        known: usize,
    ) -> io::Result<usize> {
        let Self::Plain(file) = self else { return self.read_at(buffer, offset) };
        let slices = &mut [IoSliceMut::new(buffer)];
        match rustix::io::preadv2(&*file, slices, offset, ReadWriteFlags::NOWAIT) {
            Ok(read)
                if has_line_end(buffer.get(known..read))
                    || offset + read as u64 >= file.metadata()?.len() =>
            {
                Ok(read)
            }
            Ok(_) => Err(io::ErrorKind::WouldBlock.into()),
            // Some file systems do not know how.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => file.read_at(buffer, offset),
            Err(error) => Err(error.into()),
        }
    }

    /// Brings what is at `offset` from the disk, beside the workers.
    pub(in crate::source::docker) async fn fetch(&self, offset: u64) -> io::Result<()> {
        let Self::Plain(file) = self else { return Ok(()) };
        let file = file.clone();
        let fetched = shutdown::blocking(move || file.read_at(&mut vec![0; FETCH_BYTES], offset));
        fetched.await.map(drop)
    }

    /// Its length; `None` if that takes reading it.
    pub(in crate::source::docker) fn length(&self) -> io::Result<Option<u64>> {
        match self {
            Self::Plain(file) => Ok(Some(file.metadata()?.len())),
            Self::Compressed(_) => Ok(None),
        }
    }

    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        self.file().metadata()
    }

    /// Whether it is as it was written, and may grow.
    pub(in crate::source::docker) fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// Its descriptor.
    pub(in crate::source::docker) fn descriptor(&self) -> BorrowedFd<'_> {
        self.file().as_fd()
    }

    /// The same file, to be read by itself.
    pub(super) fn again(&self) -> Self {
        Self::new(self.file().clone(), !self.is_plain())
    }

    fn file(&self) -> &Arc<File> {
        match self {
            Self::Plain(file) => file,
            Self::Compressed(compressed) => &compressed.decoder.get_ref().file,
        }
    }
}

fn has_line_end(bytes: Option<&[u8]>) -> bool {
    bytes.is_some_and(|bytes| memchr::memchr(b'\n', bytes).is_some())
}

impl Compressed {
    fn new(file: Arc<File>) -> Self {
        let decoder = GzDecoder::new(Onward { file, offset: 0 });
        Self { decoder, ahead: Vec::new(), from: 0 }
    }

    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset < self.from {
            *self = Self::new(self.decoder.get_ref().file.clone());
        }
        self.skip_to(offset)?;
        let missing = buffer.len().saturating_sub(self.ahead.len());
        (&mut self.decoder).take(missing as u64).read_to_end(&mut self.ahead)?;
        let length = self.ahead.len().min(buffer.len());
        for (place, byte) in buffer.iter_mut().zip(&self.ahead) {
            *place = *byte;
        }
        Ok(length)
    }

    fn skip_to(&mut self, offset: u64) -> io::Result<()> {
        let known = usize::try_from(offset - self.from).unwrap_or(usize::MAX);
        let dropped = known.min(self.ahead.len());
        self.ahead.drain(..dropped);
        self.from += dropped as u64;
        let skipped = io::copy(&mut (&mut self.decoder).take(offset - self.from), &mut io::sink())?;
        self.from += skipped;
        Ok(())
    }
}
