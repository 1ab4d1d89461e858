//! The type of every answer: bytes that are there already, or a stream. The former needs no box.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{Either, Full};

/// The body of an answer.
pub type AnswerBody = Either<Full<Bytes>, axum::body::Body>;
/// An answer.
pub type Answer = Response<AnswerBody>;

/// A JSON answer from its bytes.
pub(super) fn json(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = Response::new(Either::Left(Full::new(body)));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}
