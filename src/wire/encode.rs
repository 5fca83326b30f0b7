//! The fast lane of `DoGet`: puts messages into gRPC frames without copying their bodies. Generated
//! code would copy each body into a buffer of its own first, about a tenth of the server's work on a
//! plain table. All other methods go through the generated service. Decides nothing.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context as Poller, Poll};

use arrow_flight::Ticket;
use arrow_flight::flight_service_server::FlightServiceServer;
use bytes::{BufMut, Bytes, BytesMut};
use futures::Stream;
use futures::future::BoxFuture;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use prost::Message as _;
use prost::encoding::{encode_varint, encoded_len_varint};
use tonic::body::Body;
use tonic::codec::{DecodeBuf, Decoder, Streaming};
use tonic::metadata::MetadataMap;
use tonic::server::NamedService;
use tonic::{Request, Status};
use tower::Service as Tower;

use super::outgoing::{Message, Outgoing};
use super::service::{REQUEST_BYTES_MAX, Service};
use crate::error::{Code, Context, Error, Result};

const GRPC_STATUS: &str = "grpc-status";
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// The path of the method that has a lane of its own.
const DO_GET: &str = "/arrow.flight.protocol.FlightService/DoGet";

/// Protobuf's keys of `FlightData`: field number times eight, plus two for bytes.
const KEY_DATA_HEADER: u64 = 2 << 3 | 2;
const KEY_DATA_BODY: u64 = 1000 << 3 | 2;

/// A body below this size goes into one frame with what stands before it, in bytes.
const BODY_APART: usize = 16 << 10;

/// The service with its fast lane.
#[derive(Debug, Clone)]
pub struct Wire {
    generated: FlightServiceServer<Service>,
    service: Service,
}

impl Wire {
    /// All of `service`.
    pub fn new(service: Service) -> Self {
        let generated =
            FlightServiceServer::new(service.clone()).max_decoding_message_size(REQUEST_BYTES_MAX);
        Self { generated, service }
    }
}

impl NamedService for Wire {
    const NAME: &'static str = <FlightServiceServer<Service> as NamedService>::NAME;
}

impl Tower<http::Request<Body>> for Wire {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, poller: &mut Poller<'_>) -> Poll<Result<(), Infallible>> {
        <_ as Tower<http::Request<Body>>>::poll_ready(&mut self.generated, poller)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() != DO_GET {
            return self.generated.call(request);
        }
        let service = self.service.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let ticket = ticket(body).await;
            let metadata = MetadataMap::from_headers(parts.headers);
            let request = Request::from_parts(metadata, parts.extensions, ());
            Ok(match service.get(&request, ticket).await {
                Ok(answer) => {
                    let (metadata, outgoing, _) = answer.into_parts();
                    let mut response = http::Response::new(Body::new(Frames::new(outgoing)));
                    *response.headers_mut() = metadata.into_headers();
                    response.headers_mut().insert(CONTENT_TYPE, GRPC);
                    response
                }
                Err(status) => status.into_http(),
            })
        })
    }
}

/// The one message of a request.
async fn ticket(body: Body) -> Result<Ticket> {
    struct Tickets;

    impl Decoder for Tickets {
        type Item = Ticket;
        type Error = Status;

        fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<Ticket>, Status> {
            // What is wrong is said by the caller; this text goes no further.
            Ticket::decode(bytes).map(Some).map_err(|_| std::io::Error::other("malformed").into())
        }
    }

    let mut requests = Streaming::new_request(Tickets, body, None, Some(REQUEST_BYTES_MAX));
    requests
        .message()
        .await
        .context(Code::RequestInvalid, || "the ticket's message cannot be read".to_owned())?
        .ok_or_else(|| Error::new(Code::RequestInvalid, "a request without a ticket"))
}

/// A stream as the body of an answer: data frames, then trailers.
struct Frames {
    outgoing: Option<Outgoing>,
    /// The body of a message whose beginning has left.
    rest: Option<Bytes>,
}

impl Frames {
    const fn new(outgoing: Outgoing) -> Self {
        Self { outgoing: Some(outgoing), rest: None }
    }
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        poller: &mut Poller<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(rest) = self.rest.take() {
            return Poll::Ready(Some(Ok(Frame::data(rest))));
        }
        let Some(outgoing) = &mut self.outgoing else { return Poll::Ready(None) };
        let next = match Pin::new(outgoing).poll_next(poller) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(next) => next,
        };
        let frame = match next {
            Some(Ok(message)) => {
                let (head, rest) = framed(message);
                self.rest = rest;
                Frame::data(head)
            }
            end => {
                self.outgoing = None;
                Frame::trailers(trailers(end.and_then(Result::err)))
            }
        };
        Poll::Ready(Some(Ok(frame)))
    }
}

/// What says how a stream ended.
fn trailers(failed: Option<Status>) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    let Some(status) = failed else {
        trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
        return trailers;
    };
    if status.add_header(&mut trailers).is_err() {
        // Our texts fit headers; one that does not must still not pass for success.
        trailers.insert(GRPC_STATUS, HeaderValue::from_static("13"));
    }
    trailers
}

/// One gRPC message holding one `FlightData`: everything before the body, and the body as it is.
fn framed(message: Message) -> (Bytes, Option<Bytes>) {
    let Message { header, body } = message;
    let field = |key: u64, len: usize| match len {
        0 => 0,
        len => encoded_len_varint(key) + encoded_len_varint(len as u64) + len,
    };
    let len = field(KEY_DATA_HEADER, header.len()) + field(KEY_DATA_BODY, body.len());
    let apart = body.len() >= BODY_APART;
    let mut head = BytesMut::with_capacity(5 + len - if apart { body.len() } else { 0 });
    // Not compressed; then the length. Bounded by the settings to far less than four gibibytes.
    head.put_u8(0);
    head.put_u32(u32::try_from(len).unwrap_or(u32::MAX));
    if !header.is_empty() {
        encode_varint(KEY_DATA_HEADER, &mut head);
        encode_varint(header.len() as u64, &mut head);
        head.put_slice(&header);
    }
    if !body.is_empty() {
        encode_varint(KEY_DATA_BODY, &mut head);
        encode_varint(body.len() as u64, &mut head);
        if !apart {
            head.put_slice(&body);
        }
    }
    (head.freeze(), apart.then_some(body))
}

#[cfg(test)]
mod tests {
    use arrow_flight::FlightData;

    use super::*;

    #[test]
    fn frames_are_what_generated_code_would_send() {
        for header in [0, 1, 127, 128, 5_000] {
            for body in [0, 1, BODY_APART - 1, BODY_APART, 1_500_000] {
                let header = Bytes::from(vec![7; header]);
                let body = Bytes::from(vec![9; body]);
                let expected = FlightData {
                    data_header: header.clone(),
                    data_body: body.clone(),
                    ..FlightData::default()
                }
                .encode_to_vec();
                let (head, rest) = framed(Message { header, body });
                let sent = [head.as_ref(), rest.as_deref().unwrap_or_default()].concat();
                assert_eq!(sent[0], 0);
                assert_eq!(sent[1..5], u32::try_from(expected.len()).unwrap().to_be_bytes());
                assert!(sent[5..] == expected);
            }
        }
    }

    #[test]
    fn a_large_body_is_passed_on_and_not_copied() {
        let body = Bytes::from(vec![1; BODY_APART]);
        let (_, rest) = framed(Message { header: Bytes::new(), body: body.clone() });
        assert_eq!(rest.unwrap().as_ptr(), body.as_ptr());
    }

    #[test]
    fn the_end_is_told_with_a_status() {
        assert_eq!(trailers(None)[GRPC_STATUS], "0");
        let status = super::super::status::status(Code::StreamIdle, "r-1");
        let told = trailers(Some(status));
        assert_eq!(told[GRPC_STATUS], "4");
        assert_eq!(told["veilflight-code"], "L003");
        assert_eq!(told["veilflight-request-id"], "r-1");
    }
}
