//! Reading a request's body whole: bounded in bytes before and after decompression, and in time.

use super::{
    budget::{Budget, Share},
    problem::Problem,
};
use async_compression::{tokio::bufread, zstd::DParameter};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body::Body;
use http_body_util::BodyExt;
use std::{
    collections::VecDeque,
    pin::{Pin, pin},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Until a body is there: 10 MiB over a slow line, and below the 60 s in which a trickling client must be cut.
const BODY_WAIT_MAX: Duration = Duration::from_secs(50);
/// Decompressed at a time, between two chances for other tasks.
const DECOMPRESSION_STEP: usize = 64 << 10;
/// log2 of the largest zstd window, which the sender chooses and the reader must keep: 8 MiB, as RFC 9659 says for HTTP.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// A body that is over its bound, or anything else that is wrong with one.
#[derive(Debug)]
pub(super) enum BodyError {
    /// Over the bound, compressed or not.
    TooLarge,
    /// A ready problem.
    Problem(Problem),
}

impl BodyError {
    /// The problem, with the caller's own one for a body over the bound.
    pub(super) fn or_too_large(self, too_large: impl FnOnce() -> Problem) -> Problem {
        match self {
            BodyError::TooLarge => too_large(),
            BodyError::Problem(problem) => problem,
        }
    }
}

impl From<Problem> for BodyError {
    fn from(problem: Problem) -> Self {
        BodyError::Problem(problem)
    }
}

/// Reads the body and undoes its content encoding; neither form may be over `bytes_max`. The share of the budget is to be
/// held as long as the bytes.
pub(super) async fn read<'a, B>(
    budget: &'a Budget,
    headers: &HeaderMap,
    body: B,
    bytes_max: usize,
) -> Result<(Bytes, Share<'a>), BodyError>
where
    B: Body<Data = Bytes>,
{
    let encoding = Encoding::of(headers)?;
    if body.size_hint().exact().is_none() {
        check_transfer_coding(headers)?;
    }
    let mut share = budget.share();
    let read = tokio::time::timeout(BODY_WAIT_MAX, collect(body, bytes_max, &mut share)).await;
    let bytes = read.map_err(|_| {
        let detail = format!("the body did not arrive within {} s", BODY_WAIT_MAX.as_secs());
        BodyError::Problem(Problem::new("request_timeout", detail))
    })??;
    match encoding {
        None => Ok((bytes, share)),
        Some(encoding) => {
            let mut plain = budget.share();
            Ok((encoding.decompress(&bytes, bytes_max, &mut plain).await?, plain))
        }
    }
}

/// Of a transfer only the chunks are undone (RFC 9112, 6.1): what is coded otherwise as well would be kept as it is.
fn check_transfer_coding(headers: &HeaderMap) -> Result<(), Problem> {
    let values = headers.get_all(header::TRANSFER_ENCODING).iter();
    let codings = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let mut unknown = codings
        .map(<[u8]>::trim_ascii)
        .filter(|coding| !coding.eq_ignore_ascii_case(b"chunked"));
    unknown.next().map_or(Ok(()), |coding| {
        let coding = String::from_utf8_lossy(&coding[..coding.len().min(NAME_SHOWN_MAX)]);
        let detail = format!(
            "{coding:?} in Transfer-Encoding is not supported; Content-Encoding takes gzip, deflate, br and zstd"
        );
        Err(Problem::new("content_encoding_unsupported", detail))
    })
}

/// The body in one piece; without a copy when it comes in one.
async fn collect<B: Body<Data = Bytes>>(body: B, bytes_max: usize, share: &mut Share<'_>) -> Result<Bytes, BodyError> {
    let declared = body.size_hint().lower();
    if declared > bytes_max as u64 {
        return Err(BodyError::TooLarge);
    }
    let mut body = pin!(body);
    let Some(first) = next_data(&mut body).await? else {
        return Ok(Bytes::new());
    };
    if first.len() > bytes_max {
        return Err(BodyError::TooLarge);
    }
    if body.is_end_stream() {
        return Ok(first);
    }
    let Some(second) = next_data(&mut body).await? else {
        return Ok(first);
    };
    // What a client only promises costs address space, not memory; the share grows with what has come.
    let mut whole = BytesMut::with_capacity((declared as usize).max(first.len() + second.len()));
    whole.extend_from_slice(&first);
    let mut next = Some(second);
    while let Some(piece) = next {
        if whole.len() + piece.len() > bytes_max {
            return Err(BodyError::TooLarge);
        }
        share.grow_to(whole.len() + piece.len())?;
        whole.extend_from_slice(&piece);
        next = next_data(&mut body).await?;
    }
    Ok(whole.freeze())
}

/// The next piece of data that is not empty; trailers are passed over.
async fn next_data<B: Body<Data = Bytes>>(body: &mut std::pin::Pin<&mut B>) -> Result<Option<Bytes>, BodyError> {
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(BodyError::Problem(Problem::new(
                "body_incomplete",
                "the body broke off before its end",
            )));
        };
        match frame.into_data() {
            Ok(data) if !data.is_empty() => return Ok(Some(data)),
            _ => {}
        }
    }
    Ok(None)
}

/// A content encoding that is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Encoding {
    fn of(headers: &HeaderMap) -> Result<Option<Encoding>, Problem> {
        let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let name = value.as_bytes().trim_ascii();
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if values.next().is_some() {
            return Err(Self::unsupported("several encodings"));
        }
        match () {
            () if is("identity") || name.is_empty() => Ok(None),
            () if is("gzip") || is("x-gzip") => Ok(Some(Encoding::Gzip)),
            () if is("deflate") => Ok(Some(Encoding::Deflate)),
            () if is("br") => Ok(Some(Encoding::Brotli)),
            () if is("zstd") => Ok(Some(Encoding::Zstd)),
            () => Err(Self::unsupported(&String::from_utf8_lossy(
                &name[..name.len().min(NAME_SHOWN_MAX)],
            ))),
        }
    }

    fn unsupported(what: &str) -> Problem {
        Problem::new(
            "content_encoding_unsupported",
            format!("{what:?} in Content-Encoding is not supported; gzip, deflate, br and zstd are, one at a time"),
        )
        .header(
            header::ACCEPT_ENCODING,
            http::HeaderValue::from_static("gzip, deflate, br, zstd"),
        )
    }

    async fn decompress(self, bytes: &[u8], bytes_max: usize, share: &mut Share<'_>) -> Result<Bytes, BodyError> {
        match self {
            Encoding::Gzip => {
                let mut decoder = bufread::GzipDecoder::new(bytes);
                // A gzip file may be several members (RFC 1952); the bound counts them all.
                decoder.multiple_members(true);
                drain(decoder, bytes.len(), bytes_max, share).await
            }
            Encoding::Deflate => drain(bufread::ZlibDecoder::new(bytes), bytes.len(), bytes_max, share).await,
            Encoding::Brotli => drain(bufread::BrotliDecoder::new(bytes), bytes.len(), bytes_max, share).await,
            Encoding::Zstd => {
                let window = [DParameter::window_log_max(ZSTD_WINDOW_LOG_MAX)];
                drain(
                    bufread::ZstdDecoder::with_params(bytes, &window),
                    bytes.len(),
                    bytes_max,
                    share,
                )
                .await
            }
        }
    }
}

/// Of a name in a message.
const NAME_SHOWN_MAX: usize = 40;

/// Reads a decoder to its end, giving way between steps; `compressed` sizes the first piece. What comes out is kept in pieces until
/// its length is known: room that doubles is there twice while it moves, and a bomb would have three times the limit.
async fn drain(
    decoder: impl AsyncRead,
    compressed: usize,
    bytes_max: usize,
    share: &mut Share<'_>,
) -> Result<Bytes, BodyError> {
    let mut decoder = pin!(decoder);
    let (mut pieces, mut bytes) = (VecDeque::new(), 0);
    let mut room = (compressed * 3).clamp(1, DECOMPRESSION_STEP);
    loop {
        let piece = fill(decoder.as_mut(), room).await.map_err(undecodable)?;
        if piece.is_empty() {
            return Ok(joined(pieces, bytes));
        }
        bytes += piece.len();
        if bytes > bytes_max {
            return Err(BodyError::TooLarge);
        }
        share.grow_to(bytes)?;
        pieces.push_back(piece);
        room = DECOMPRESSION_STEP;
        tokio::task::yield_now().await;
    }
}

/// The next `room` bytes, fewer at the end.
async fn fill(mut decoder: Pin<&mut impl AsyncRead>, room: usize) -> std::io::Result<BytesMut> {
    let mut piece = BytesMut::with_capacity(room);
    while piece.len() < room {
        let mut step = (&mut decoder).take((room - piece.len()) as u64);
        if step.read_buf(&mut piece).await? == 0 {
            break;
        }
    }
    Ok(piece)
}

/// The pieces as one, each given back as soon as it is copied.
fn joined(mut pieces: VecDeque<BytesMut>, bytes: usize) -> Bytes {
    if pieces.len() < 2 {
        return pieces.pop_front().unwrap_or_default().freeze();
    }
    let mut whole = BytesMut::with_capacity(bytes);
    while let Some(piece) = pieces.pop_front() {
        whole.extend_from_slice(&piece);
    }
    whole.freeze()
}

/// What the decoders say of it is in the words of their libraries, and not the same in any two.
fn undecodable(error: std::io::Error) -> BodyError {
    let why = match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "it ends too early",
        _ => "its bytes are none that this encoding has",
    };
    let detail = format!("the body does not decompress as Content-Encoding says: {why}");
    BodyError::Problem(Problem::new("content_encoding_invalid", detail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_compression::{Level, tokio::write};
    use http_body_util::Full;
    use tokio::io::{AsyncWrite, AsyncWriteExt};

    async fn finish<W: AsyncWrite + Unpin>(mut encoder: W, data: &[u8]) -> W {
        encoder.write_all(data).await.expect("memory takes it");
        encoder.shutdown().await.expect("memory takes it");
        encoder
    }

    async fn compress(encoding: &str, data: &[u8]) -> Vec<u8> {
        match encoding {
            "gzip" => finish(write::GzipEncoder::new(Vec::new()), data).await.into_inner(),
            "deflate" => finish(write::ZlibEncoder::new(Vec::new()), data).await.into_inner(),
            "br" => finish(write::BrotliEncoder::with_quality(Vec::new(), Level::Fastest), data)
                .await
                .into_inner(),
            "zstd" => finish(write::ZstdEncoder::new(Vec::new()), data).await.into_inner(),
            _ => data.to_vec(),
        }
    }

    async fn read_encoded(encoding: &str, body: Vec<u8>, bytes_max: usize) -> Result<Bytes, BodyError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, encoding.parse().expect("a header value"));
        let budget = Budget::new(usize::MAX);
        let read = read(&budget, &headers, Full::new(Bytes::from(body)), bytes_max).await;
        read.map(|(bytes, _)| bytes)
    }

    #[tokio::test]
    async fn every_encoding_gives_the_bytes_back() {
        let data: Vec<u8> = (0..30_000u32).flat_map(|n| (n % 7919).to_le_bytes()).collect();
        for encoding in ["gzip", "deflate", "br", "zstd", "identity", "X-GZip"] {
            let compressed = compress(&encoding.to_lowercase().replace("x-", ""), &data).await;
            let read = read_encoded(encoding, compressed, 1 << 20).await;
            assert_eq!(read.expect(encoding), data, "{encoding}");
        }
    }

    /// Check 54.
    #[tokio::test]
    async fn a_bomb_is_refused_at_the_bound() {
        let bomb = vec![0; 4 << 20];
        for encoding in ["gzip", "deflate", "br", "zstd"] {
            let compressed = compress(encoding, &bomb).await;
            assert!(compressed.len() < bomb.len() / 500, "{encoding}");
            let refused = read_encoded(encoding, compressed, 1 << 20).await;
            assert!(matches!(refused, Err(BodyError::TooLarge)), "{encoding}");
        }
    }

    #[tokio::test]
    async fn broken_and_unknown_encodings_are_told_apart() {
        for (encoding, body, code) in [
            ("gzip", b"not gzip".to_vec(), "content_encoding_invalid"),
            ("zstd", b"\x28\xb5\x2f\xfd".to_vec(), "content_encoding_invalid"),
            ("compress", Vec::new(), "content_encoding_unsupported"),
            ("gzip, br", Vec::new(), "content_encoding_unsupported"),
        ] {
            let Err(BodyError::Problem(problem)) = read_encoded(encoding, body, 100).await else {
                panic!("{encoding} was taken")
            };
            assert_eq!(problem.code(), code, "{encoding}");
        }
    }

    #[tokio::test]
    async fn a_truncated_body_is_no_body() {
        let data = vec![7; 10_000];
        for encoding in ["gzip", "deflate", "br", "zstd"] {
            let mut compressed = compress(encoding, &data).await;
            compressed.truncate(compressed.len() - 1);
            assert!(read_encoded(encoding, compressed, 1 << 20).await.is_err(), "{encoding}");
        }
    }

    #[tokio::test]
    async fn a_body_that_does_not_decompress_is_told_in_our_words() {
        for encoding in ["gzip", "deflate", "br", "zstd"] {
            let mut compressed = compress(encoding, &[7; 10_000]).await;
            compressed.truncate(compressed.len() - 1);
            for body in [compressed, b"{\"not\": \"compressed\"}".to_vec()] {
                let Err(BodyError::Problem(problem)) = read_encoded(encoding, body, 1 << 20).await else {
                    panic!("{encoding} was taken")
                };
                let why = problem.detail().rsplit_once(": ").map(|(_, why)| why);
                let ours = ["it ends too early", "its bytes are none that this encoding has"];
                assert!(
                    why.is_some_and(|why| ours.contains(&why)),
                    "{encoding}: {}",
                    problem.detail()
                );
            }
        }
    }

    #[tokio::test]
    async fn the_bound_itself_is_allowed() {
        assert_eq!(
            read_encoded("identity", vec![1; 100], 100)
                .await
                .expect("it fits")
                .len(),
            100
        );
        assert!(matches!(
            read_encoded("identity", vec![1; 101], 100).await,
            Err(BodyError::TooLarge)
        ));
        let compressed = compress("gzip", &[1; 1000]).await;
        assert_eq!(
            read_encoded("gzip", compressed.clone(), 1000)
                .await
                .expect("it fits")
                .len(),
            1000
        );
        assert!(matches!(
            read_encoded("gzip", compressed, 999).await,
            Err(BodyError::TooLarge)
        ));
    }
}
