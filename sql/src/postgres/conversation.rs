//! One client, from its first byte to its last.
//!
//! ```text
//!   socket ─▶ (TLS) ─▶ frames: whole and checked ─▶ the library's decoder ─▶ its dispatch ─▶ Startup, Connection, Cancellations
//! ```
//! The library's own loop would decode whatever comes, and go on with a client that failed to prove who it is: after a fatal error it
//! closes one direction and reads on, ready for queries. This one ends there.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use datafusion_postgres::pgwire;
use futures::SinkExt;
use pgwire::api::query::ExtendedQueryHandler;
use pgwire::api::{ClientInfo, NoopHandler, PgWireConnectionState};
use pgwire::error::{ErrorInfo, PgWireError};
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use pgwire::tokio::server::{MaybeTls, PgWireMessageServerCodec, negotiate_tls, process_error, process_message};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::codec::{Decoder, Framed};

use super::cancel::Cancellations;
use super::connection::{Connection, Extended};
use super::frames::{FrameError, Phase, take};
use super::startup::Startup;

/// How long a client may take to say who it is and prove it.
const STARTUP_MAX: Duration = Duration::from_secs(30);
/// Bytes that are asked for at once.
const READ_BYTES: usize = 8 << 10;

type Statement = <Extended as ExtendedQueryHandler>::Statement;
type Socket = Framed<MaybeTls, PgWireMessageServerCodec<Statement>>;

/// Who answers one client.
pub(crate) struct Handlers {
    pub(crate) startup: Arc<Startup>,
    pub(crate) connection: Arc<Connection>,
    pub(crate) extended: Arc<Extended>,
    pub(crate) cancellations: Arc<Cancellations>,
}

/// Serves a client until it goes away or talks rubbish.
///
/// # Errors
/// If its socket fails.
pub(crate) async fn serve(socket: TcpStream, tls: Option<TlsAcceptor>, handlers: Handlers) -> io::Result<()> {
    let begun = tokio::time::timeout(STARTUP_MAX, begin(socket, tls, &handlers));
    let Some((mut socket, mut inbound)) = begun.await.unwrap_or(Ok(None))? else { return Ok(()) };
    while let Some(message) = next(&mut socket, &mut inbound, Phase::Session).await? {
        if !handle(message, &mut socket, &handlers).await? {
            break;
        }
    }
    Ok(())
}

/// Until the client may ask; `None` if it went away or may not.
async fn begin(
    socket: TcpStream,
    tls: Option<TlsAcceptor>,
    handlers: &Handlers,
) -> io::Result<Option<(Socket, BytesMut)>> {
    let Some(mut socket) = negotiate_tls::<Statement>(socket, tls).await? else { return Ok(None) };
    let mut inbound = std::mem::take(socket.read_buffer_mut());
    if socket.is_secure() && !inbound.is_empty() {
        // What came in the open before the encryption would be taken for the client's own words (CVE-2021-23214).
        return Ok(None);
    }
    let mut is_first = true;
    loop {
        let phase = match socket.state() {
            PgWireConnectionState::AwaitingStartup => Phase::Startup,
            PgWireConnectionState::AuthenticationInProgress => {
                Phase::Authentication { is_first: std::mem::take(&mut is_first) }
            }
            _ => return Ok(Some((socket, inbound))),
        };
        let Some(message) = next(&mut socket, &mut inbound, phase).await? else { return Ok(None) };
        if !handle(message, &mut socket, handlers).await? {
            return Ok(None);
        }
    }
}

/// The next message; `None` if there is none, or it is rubbish, which the client is told.
async fn next(socket: &mut Socket, inbound: &mut BytesMut, phase: Phase) -> io::Result<Option<PgWireFrontendMessage>> {
    loop {
        match take(inbound, phase) {
            Ok(Some(mut frame)) => match socket.codec_mut().decode(&mut frame) {
                Ok(Some(message)) => return Ok(Some(message)),
                Ok(None) => return refuse(socket, "a message is not whole".to_owned()).await,
                Err(error) => return refuse(socket, error.to_string()).await,
            },
            Ok(None) => {}
            Err(error @ (FrameError::TooShort | FrameError::TooLong { .. })) if phase == Phase::Startup => {
                // Most likely it speaks another protocol.
                tracing::debug!(%error, "a client of the SQL server does not speak its protocol");
                return Ok(None);
            }
            Err(error) => return refuse(socket, error.to_string()).await,
        }
        inbound.reserve(READ_BYTES);
        if socket.get_mut().read_buf(inbound).await? == 0 {
            return Ok(None);
        }
    }
}

/// Tells the client what was wrong and ends the connection: where the next message begins is not known.
async fn refuse(socket: &mut Socket, reason: String) -> io::Result<Option<PgWireFrontendMessage>> {
    end(socket, ErrorInfo::new("FATAL".to_owned(), "08P01".to_owned(), reason)).await.map(|()| None)
}

/// The last words to a client.
async fn end(socket: &mut Socket, error: ErrorInfo) -> io::Result<()> {
    socket.send(PgWireBackendMessage::ErrorResponse(error.into())).await?;
    socket.close().await
}

/// Hands a message to who answers it; `false` if it was the last one.
async fn handle(message: PgWireFrontendMessage, socket: &mut Socket, handlers: &Handlers) -> io::Result<bool> {
    if matches!(message, PgWireFrontendMessage::Terminate(_)) {
        return Ok(false);
    }
    let is_cancel = matches!(message, PgWireFrontendMessage::CancelRequest(_));
    let is_known = !matches!(
        socket.state(),
        PgWireConnectionState::AwaitingStartup | PgWireConnectionState::AuthenticationInProgress
    );
    let waits_for_sync = match socket.state() {
        PgWireConnectionState::CopyInProgress(is_extended) => is_extended,
        _ => message.is_extended_query(),
    };
    let handled = process_message(
        message,
        socket,
        Arc::clone(&handlers.startup),
        Arc::clone(&handlers.connection),
        Arc::clone(&handlers.extended),
        Arc::new(NoopHandler),
        Arc::clone(&handlers.cancellations),
    );
    if let Err(error) = handled.await {
        let told = ErrorInfo::from(error);
        if !is_known || told.is_fatal() {
            return end(socket, told).await.map(|()| false);
        }
        process_error(socket, PgWireError::UserError(Box::new(told)), waits_for_sync).await?;
    }
    Ok(!is_cancel)
}
