//! Bodies: a request's bytes onto disk, a file's bytes into a response. Neither holds more than two buffers.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::storage::StorageError;
use crate::uploads::Writer;

/// A response's body.
pub type Body = http_body_util::combinators::BoxBody<Bytes, io::Error>;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request's body of whatever kind.
pub(crate) type Incoming = UnsyncBoxBody<Bytes, BoxError>;

const WRITE_BUFFER_BYTES: usize = 512 << 10;
/// A body that begins with less is probably short, and its buffer grows as needed.
const SMALL_BODY_BYTES: usize = 16 << 10;
const READ_BUFFER_BYTES: u64 = 256 << 10;
/// Hardly any manifest is longer.
const COLLECTED_FREELY_BYTES_MAX: usize = 64 << 10;

/// A body of bytes at hand.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

/// How a request's body ended.
pub(crate) enum End {
    Whole,
    /// It had more than the permitted bytes.
    TooLong,
    Broken(BoxError),
    Stalled,
}

async fn next_data(body: &mut Incoming, idle_max: Duration) -> Result<Bytes, End> {
    loop {
        let frame = tokio::time::timeout(idle_max, body.frame()).await.map_err(|_elapsed| End::Stalled)?;
        let frame = frame.ok_or(End::Whole)?.map_err(End::Broken)?;
        if let Ok(data) = frame.into_data() {
            return Ok(data);
        }
    }
}

/// Reads a small body whole, in `time_max`. One that is not so small waits for a permit, which bounds the memory of
/// all of them; it is given back with the bytes, to be kept as long as they are.
pub(crate) async fn collect<'a>(
    body: &mut Incoming,
    bytes_max: usize,
    time_max: Duration,
    permits: &'a Semaphore,
) -> Result<(Bytes, Option<SemaphorePermit<'a>>), End> {
    let whole = async {
        let mut bytes = Vec::new();
        let mut permit = None;
        loop {
            match next_data(body, time_max).await {
                Ok(data) if data.len() > bytes_max - bytes.len() => return Err(End::TooLong),
                Ok(data) => {
                    if permit.is_none() && bytes.len() + data.len() > COLLECTED_FREELY_BYTES_MAX {
                        permit = Some(permits.acquire().await.expect("the semaphore is never closed"));
                    }
                    bytes.extend_from_slice(&data);
                }
                Err(End::Whole) => return Ok((bytes.into(), permit)),
                Err(end) => return Err(end),
            }
        }
    };
    // A limit for all of it: byte by byte, a body could hold its permit for days.
    tokio::time::timeout(time_max, whole).await.unwrap_or(Err(End::Stalled))
}

/// Appends a body to an upload, up to `bytes_max`; what arrived before a bad end is written, too.
///
/// Data is copied into a buffer of our own: many tiny frames cost no more than a few large ones. While one buffer is
/// hashed and written, the next one fills.
pub(crate) async fn append(
    body: &mut Incoming,
    writer: Writer,
    bytes_max: u64,
    idle_max: Duration,
) -> Result<(Writer, End), StorageError> {
    let mut pen = Pen::Idle(writer, Vec::new());
    let mut buffer = Vec::new();
    let mut left = bytes_max;
    loop {
        let mut data = match next_data(body, idle_max).await {
            Ok(data) => data,
            Err(end) => {
                let (writer, _) = pen.write(buffer).await?.0.rest().await?;
                return Ok((writer, end));
            }
        };
        let Some(rest) = left.checked_sub(data.len() as u64) else {
            return Ok((pen.rest().await?.0, End::TooLong));
        };
        left = rest;
        while !data.is_empty() {
            if buffer.len() == WRITE_BUFFER_BYTES {
                (pen, buffer) = pen.write(buffer).await?;
            }
            if buffer.capacity() == 0 && data.len() > SMALL_BODY_BYTES {
                buffer.reserve_exact(WRITE_BUFFER_BYTES);
            }
            let room = WRITE_BUFFER_BYTES - buffer.len();
            buffer.extend_from_slice(&data.split_to(room.min(data.len())));
        }
    }
}

/// A writer that is at rest with a spare buffer, or at work on a thread of its own.
enum Pen {
    Idle(Writer, Vec<u8>),
    Writing(JoinHandle<Result<(Writer, Vec<u8>), StorageError>>),
}

impl Pen {
    async fn rest(self) -> Result<(Writer, Vec<u8>), StorageError> {
        match self {
            Pen::Idle(writer, spare) => Ok((writer, spare)),
            Pen::Writing(job) => joined(job).await,
        }
    }

    /// Begins to write the buffer, after the previous one; gives back an empty one.
    async fn write(self, buffer: Vec<u8>) -> Result<(Pen, Vec<u8>), StorageError> {
        let (mut writer, spare) = self.rest().await?;
        let job = spawn_blocking(move || {
            writer.append(&buffer)?;
            let mut buffer = buffer;
            buffer.clear();
            Ok((writer, buffer))
        });
        Ok((Pen::Writing(job), spare))
    }
}

async fn joined<T>(job: JoinHandle<T>) -> T {
    match job.await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_shutting_down) => std::future::pending().await,
        },
    }
}

/// A part of a file as a response body. Reads one buffer ahead.
pub(crate) struct FileBody {
    left: u64,
    /// `None` when all is read.
    reading: Option<Reading>,
}

type Reading = JoinHandle<io::Result<(File, Vec<u8>)>>;

impl FileBody {
    /// `length` bytes from `first`; the file must have them.
    pub(crate) fn new(mut file: File, first: u64, length: u64) -> FileBody {
        let reading = (length > 0).then(|| {
            spawn_blocking(move || {
                file.seek(SeekFrom::Start(first))?;
                read(file, length)
            })
        });
        FileBody { left: length, reading }
    }
}

fn read(mut file: File, left: u64) -> io::Result<(File, Vec<u8>)> {
    let length = left.min(READ_BUFFER_BYTES);
    let mut buffer = Vec::with_capacity(length as usize);
    if (&mut file).take(length).read_to_end(&mut buffer)? as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((file, buffer))
}

impl HttpBody for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        let done = ready!(Pin::new(reading).poll(cx));
        self.reading = None;
        let (file, buffer) = match done.map_err(io::Error::other).and_then(|result| result) {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(%error, "cannot read a blob that is being sent");
                return Poll::Ready(Some(Err(error)));
            }
        };
        self.left -= buffer.len() as u64;
        let left = self.left;
        self.reading = (left > 0).then(|| spawn_blocking(move || read(file, left)));
        Poll::Ready(Some(Ok(Frame::data(buffer.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.reading.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
