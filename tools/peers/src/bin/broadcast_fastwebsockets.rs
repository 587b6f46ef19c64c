//! A broadcast server on `fastwebsockets`, which takes its handshakes from `hyper`.
//!
//! All clients share the payload of a message. The library writes each frame by itself, so it
//! writes into a buffer per client, which is flushed once for all that was queued.
#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::error::Error;
use std::io::Cursor;
use std::process::ExitCode;
use std::rc::Rc;

use clap::Parser;
use fastwebsockets::upgrade::{UpgradeFut, is_upgrade_request, upgrade};
use fastwebsockets::{
    FragmentCollectorRead, Frame, OpCode, Payload, Role, WebSocketError, WebSocketRead,
    WebSocketWrite, after_handshake_split,
};
use hioload_peers::{Flags, Hub, Member, serve};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, BufWriter, Chain};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// Sixteen messages of 1 KiB fit: what `ci/bench` has in flight at most.
const WRITE_BUFFER_BYTES: usize = 32 << 10;

/// What the client sent right behind its request comes first.
type Reader = FragmentCollectorRead<Chain<Cursor<Bytes>, OwnedReadHalf>>;
type Writer = WebSocketWrite<BufWriter<OwnedWriteHalf>>;
type Failure = Box<dyn Error + Send + Sync>;

#[derive(Clone)]
struct Message {
    opcode: OpCode,
    payload: Bytes,
}

fn main() -> ExitCode {
    serve(&Flags::parse(), connection)
}

async fn connection(stream: TcpStream, hub: Rc<Hub<Message>>) -> Result<(), Failure> {
    let service = service_fn(|request| {
        let hub = Rc::clone(&hub);
        async move { Ok::<_, Infallible>(answer(request, hub)) }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    Ok(connection.with_upgrades().await?)
}

fn answer(mut request: Request<Incoming>, hub: Rc<Hub<Message>>) -> Response<Empty<Bytes>> {
    if is_upgrade_request(&request)
        && let Ok((response, upgraded)) = upgrade(&mut request)
    {
        drop(tokio::task::spawn_local(session(upgraded, hub)));
        return response;
    }
    let mut refusal = Response::new(Empty::new());
    *refusal.status_mut() = StatusCode::BAD_REQUEST;
    refusal
}

async fn session(upgraded: UpgradeFut, hub: Rc<Hub<Message>>) -> Result<(), Failure> {
    let (reader, writer) = halves(upgraded).await?;
    let member = hub.join();
    let reading = async {
        let ended = read(reader, &member).await;
        // Writing ends by itself, behind what is queued: the answer to a Close is.
        member.leave();
        match ended {
            Ok(()) => std::future::pending().await,
            Err(error) => Err(error),
        }
    };
    tokio::select! {
        biased;
        ended = write(writer, &member) => Ok(ended?),
        ended = reading => Ok(ended?),
    }
}

/// The connection itself again, without hyper and its dynamic calls.
async fn halves(upgraded: UpgradeFut) -> Result<(Reader, Writer), Failure> {
    let upgraded = upgraded.await?.into_inner().into_inner();
    let parts = upgraded
        .downcast::<TokioIo<TcpStream>>()
        .map_err(|_| "hyper gave back another connection than it was given")?;
    let (read_half, write_half) = parts.io.into_inner().into_split();
    let read_half = Cursor::new(parts.read_buf).chain(read_half);
    let write_half = BufWriter::with_capacity(WRITE_BUFFER_BYTES, write_half);
    let (reader, mut writer): (WebSocketRead<_>, Writer) =
        after_handshake_split(read_half, write_half, Role::Server);
    // Straight into the write buffer; the way without vectors has a buffer of its own before it.
    writer.set_writev_threshold(0);
    Ok((FragmentCollectorRead::new(reader), writer))
}

/// Publishes what arrives, to the Close.
async fn read(mut reader: Reader, member: &Member<Message>) -> Result<(), WebSocketError> {
    // The library's answers to pings and to the Close.
    let mut answer = |frame: Frame<'_>| {
        member.send(Message::from(frame));
        std::future::ready(Ok::<_, Infallible>(()))
    };
    loop {
        let frame = reader.read_frame(&mut answer).await?;
        match frame.opcode {
            OpCode::Text | OpCode::Binary => member.publish(&Message::from(frame)),
            OpCode::Close => return Ok(()),
            OpCode::Ping | OpCode::Pong | OpCode::Continuation => {}
        }
    }
}

/// Writes what is queued, until no more will be.
async fn write(mut writer: Writer, member: &Member<Message>) -> Result<(), WebSocketError> {
    while member.waiting().await {
        while let Some(Message { opcode, payload }) = member.take() {
            let payload = Payload::Borrowed(&payload);
            writer.write_frame(Frame::new(true, opcode, None, payload)).await?;
        }
        writer.flush().await?;
    }
    Ok(())
}

impl From<Frame<'_>> for Message {
    /// Without a copy: the library's buffer is shared from here on.
    fn from(frame: Frame<'_>) -> Self {
        let payload = match frame.payload {
            Payload::Bytes(bytes) => bytes.freeze(),
            other => Bytes::from(Vec::from(other)),
        };
        Self { opcode: frame.opcode, payload }
    }
}
