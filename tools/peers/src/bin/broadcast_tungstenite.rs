//! A broadcast server on `tokio-tungstenite`.
//!
//! All clients share the payload of a message (`Bytes`, `Utf8Bytes`); the library copies it once
//! per client, into that client's write buffer. What is queued is fed and then flushed: one write.
#![forbid(unsafe_code)]

use std::future::poll_fn;
use std::process::ExitCode;
use std::rc::Rc;
use std::task::{Context, Poll};

use clap::Parser;
use futures_util::{FutureExt, SinkExt, StreamExt};
use hioload_peers::{Flags, Hub, Member, serve};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_async_with_config};

/// The library fills its read buffer with zeros whenever it reads, and keeps one per connection.
/// Its default of 128 KiB would cost both time and memory here.
const READ_BUFFER_BYTES: usize = 4 << 10;

type Socket = WebSocketStream<TcpStream>;

fn main() -> ExitCode {
    serve(&Flags::parse(), connection)
}

async fn connection(stream: TcpStream, hub: Rc<Hub<Message>>) -> Result<(), Error> {
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES);
    let mut socket = accept_async_with_config(stream, Some(config)).await?;
    let member = hub.join();
    loop {
        match poll_fn(|context| next_work(&socket, &member, context)).await {
            Work::Write => feed_all(&mut socket, &member).await?,
            Work::Read => {
                if !read_all(&mut socket, &member).await? {
                    return Ok(());
                }
            }
        }
        // After reading, too: answers to pings.
        socket.flush().await?;
    }
}

enum Work {
    Write,
    Read,
}

/// Asks the connection and not the library whether there is something to read, because the
/// library's answer costs a cleared read buffer.
fn next_work(socket: &Socket, member: &Member<Message>, context: &mut Context<'_>) -> Poll<Work> {
    if member.poll_waiting(context).is_ready() {
        return Poll::Ready(Work::Write);
    }
    // An error shows again when it is read.
    socket.get_ref().poll_read_ready(context).map(|_| Work::Read)
}

/// Publishes all that has arrived, before any of it is written: so it leaves together.
/// `false` when the connection is at its end.
async fn read_all(socket: &mut Socket, member: &Member<Message>) -> Result<bool, Error> {
    while let Some(arrived) = socket.next().now_or_never() {
        match arrived.transpose()? {
            Some(message @ (Message::Text(_) | Message::Binary(_))) => {
                member.publish(&message);
                // Ahead of the library's answer to a Close that may come next: behind that nothing
                // can be sent.
                feed_all(socket, member).await?;
            }
            // The library answers pings and closes.
            Some(_) => {}
            None => return Ok(false),
        }
    }
    Ok(true)
}

/// Hands what is queued to the library, which keeps it until it is flushed.
async fn feed_all(socket: &mut Socket, member: &Member<Message>) -> Result<(), Error> {
    while let Some(message) = member.take() {
        socket.feed(message).await?;
    }
    Ok(())
}
