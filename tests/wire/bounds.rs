//! What one client can take from the others: streams, connections, bytes and time are bounded.

use std::time::{Duration, Instant};

use arrow_flight::Action;
use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;

use crate::site::{
    PATIENCE, Site, code, folder, info, path, ticket, until, with_token, write_jobs,
};

#[tokio::test]
async fn a_partner_opens_so_many_streams_and_a_finished_one_makes_room() {
    let folder = folder();
    // Large enough that no stream can end before it is read.
    write_jobs(folder.path(), 8_000_000);
    let settings = [("streams_partner_max", "2"), ("message_bytes", "65536"), ("shards_max", "3")];
    let site = Site::start_with(folder, &settings).await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    let info = info(&mut client, &token, "jobs").await.unwrap();
    let mut streams = Vec::new();
    for endpoint in 0..2 {
        let stream = client.do_get(with_token(&token, ticket(&info, endpoint))).await.unwrap();
        streams.push(stream.into_inner());
    }
    let status = client.do_get(with_token(&token, ticket(&info, 2))).await.unwrap_err();
    assert_eq!((status.code(), code(&status)), (Code::ResourceExhausted, "L001"));
    streams.pop();
    until("a dropped stream gives its place back", || site.flights.admission.open_streams() < 2)
        .await;
    assert!(client.do_get(with_token(&token, ticket(&info, 2))).await.is_ok());
    drop(streams);
    site.stop().await;
}

#[tokio::test]
async fn who_stops_reading_loses_the_stream_and_has_its_place_until_letting_go() {
    let folder = folder();
    write_jobs(folder.path(), 8_000_000);
    let site = Site::start_with(folder, &[("shards_max", "1"), ("idle_seconds", "1")]).await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    let info = info(&mut client, &token, "jobs").await.unwrap();
    let mut stream =
        client.do_get(with_token(&token, ticket(&info, 0))).await.unwrap().into_inner();
    stream.next().await.unwrap().unwrap();
    assert_eq!(site.flights.admission.open_streams(), 1);
    site.ended_with("L003").await;
    // What was sent ahead still fills memory: a partner could stall streams without end otherwise.
    assert_eq!(site.flights.admission.open_streams(), 1);
    let mut last = None;
    while let Some(message) = stream.next().await {
        last = Some(message);
    }
    let status = last.unwrap().unwrap_err();
    assert_eq!((status.code(), code(&status)), (Code::DeadlineExceeded, "L003"));
    until("an ended stream gives its place back", || site.flights.admission.open_streams() == 0)
        .await;
    site.stop().await;
}

#[tokio::test]
async fn stopping_cuts_what_does_not_end_within_the_grace() {
    let folder = folder();
    write_jobs(folder.path(), 8_000_000);
    let settings = [("shards_max", "1"), ("message_bytes", "65536")];
    let site = Site::start_with(folder, &settings).await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    let info = info(&mut client, &token, "jobs").await.unwrap();
    let mut stream =
        client.do_get(with_token(&token, ticket(&info, 0))).await.unwrap().into_inner();
    stream.next().await.unwrap().unwrap();
    let stopping = tokio::spawn(site.stop());
    // Its thousand messages are read so slowly that they last for half a minute; the grace is a second.
    let mut last = None;
    while let Some(message) = stream.next().await {
        last = Some(message);
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    let status = last.unwrap().unwrap_err();
    assert_eq!((status.code(), code(&status)), (Code::Unavailable, "L005"), "{status:?}");
    stopping.await.unwrap();
}

#[tokio::test]
async fn a_header_over_the_limit_is_refused_and_the_server_lives() {
    let site = Site::start().await;
    let token = site.partner("cern");
    let mut request = with_token(&token, path("jobs"));
    request.metadata_mut().insert("x-large", "a".repeat(20 << 10).parse().unwrap());
    assert!(site.client().await.get_flight_info(request).await.is_err());
    assert!(info(&mut site.client().await, &token, "jobs").await.is_ok());
    site.stop().await;
}

#[tokio::test]
async fn a_header_that_never_ends_is_cut_early() {
    let site = Site::start().await;
    let tcp = TcpStream::connect(site.address()).await.unwrap();
    let (mut from, mut to) = tcp.into_split();
    let reader = tokio::spawn(async move {
        let mut sink = Vec::new();
        let _ = from.read_to_end(&mut sink).await;
    });
    to.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    to.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    // Frames of 16 KiB: one HEADERS, then CONTINUATION without END_HEADERS, of one gigabyte in all.
    // Each holds literal header fields whose values are as long as the frame.
    let mut field = vec![0x00, 0x01, b'x', 0x7f];
    let length = (16 << 10) - 7;
    field.extend_from_slice(&[
        0x80 | u8::try_from((length - 127) & 0x7f).unwrap(),
        0x80 | u8::try_from(((length - 127) >> 7) & 0x7f).unwrap(),
        u8::try_from((length - 127) >> 14).unwrap(),
    ]);
    field.resize(16 << 10, b'a');
    let mut sent = 0;
    for number in 0..(1 << 16) {
        let kind = if number == 0 { 1 } else { 9 };
        let mut frame = vec![0x00, 0x40, 0x00, kind, 0, 0, 0, 0, 1];
        frame.extend_from_slice(&field);
        if to.write_all(&frame).await.is_err() {
            break;
        }
        sent += frame.len();
        assert!(sent < 64 << 20, "the server still listens after {sent} bytes");
    }
    reader.await.unwrap();
    let token = site.partner("cern");
    assert!(info(&mut site.client().await, &token, "jobs").await.is_ok());
    site.stop().await;
}

#[tokio::test]
async fn a_request_over_two_mebibytes_is_refused() {
    let site = Site::start().await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    let action = Action::new("veilflight.policy_info", vec![b'a'; 2 << 20]);
    let status = client.do_action(with_token(&token, action)).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange);
    assert!(info(&mut client, &token, "jobs").await.is_ok());
    site.stop().await;
}

#[tokio::test]
async fn who_connects_and_says_nothing_is_shown_out() {
    let site = Site::start_with(folder(), &[("handshake_seconds", "1")]).await;
    let started = Instant::now();
    let mut silent = TcpStream::connect(site.address()).await.unwrap();
    let mut sink = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, silent.read_to_end(&mut sink)).await;
    assert!(ended.is_ok(), "the connection is still open");
    assert!(started.elapsed() >= Duration::from_secs(1), "not before its second is over");
    site.stop().await;
}

#[tokio::test]
async fn who_begins_to_speak_and_never_ends_is_shown_out() {
    let site = Site::start_with(folder(), &[("handshake_seconds", "1")]).await;
    for said in ["P", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r"] {
        let mut slow = TcpStream::connect(site.address()).await.unwrap();
        slow.write_all(said.as_bytes()).await.unwrap();
        let mut sink = Vec::new();
        let ended = tokio::time::timeout(PATIENCE, slow.read_to_end(&mut sink)).await;
        assert!(ended.is_ok(), "the connection is still open after {said:?}");
    }
    site.stop().await;
}

#[tokio::test]
async fn a_connection_over_the_limit_waits_for_a_place() {
    let settings = [("connections_max", "1"), ("handshake_seconds", "3")];
    let site = Site::start_with(folder(), &settings).await;
    let token = site.partner("cern");
    let silent = TcpStream::connect(site.address()).await.unwrap();
    // The silent one is shown out after three seconds; then there is room.
    let mut client = site.client().await;
    assert!(info(&mut client, &token, "jobs").await.is_ok());
    drop(silent);
    site.stop().await;
}
