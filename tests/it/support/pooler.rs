//! A connection pooler between the command and a Postgres server, as strict as `PgBouncer`.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinHandle;

/// The parameters that `PgBouncer` admits by default.
const ADMITTED_PARAMETERS: [&str; 7] = [
    "user",
    "database",
    "client_encoding",
    "datestyle",
    "timezone",
    "standard_conforming_strings",
    "application_name",
];
const SSL_REQUEST: i32 = 80_877_103;
const AUTHENTICATION_OK: [u8; 9] = [b'R', 0, 0, 0, 8, 0, 0, 0, 0];
const READY: [u8; 6] = [b'Z', 0, 0, 0, 5, b'I'];
const SYNC: u8 = b'S';
const QUERY: u8 = b'Q';
const TERMINATE: u8 = b'X';
const READY_FOR_QUERY: u8 = b'Z';
const NO_TRANSACTION: u8 = b'I';

/// The time for which a client keeps a session of the server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PoolMode {
    /// As long as it is connected.
    Session,
    /// For one transaction. So many sessions are handed out in turn.
    Transaction { sessions: usize },
}

/// The pooler. It stops when it is dropped.
pub(crate) struct Pooler {
    port: u16,
    /// Clients wait for a permit.
    gate: Arc<Semaphore>,
    clients: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Pooler {
    /// Starts a pooler in front of the server with its socket in `folder`.
    pub(crate) async fn start(folder: &Path, mode: PoolMode) -> Self {
        let pooler = Self::start_closed(folder, mode).await;
        pooler.open();
        pooler
    }

    /// Starts a pooler whose clients wait until it is opened.
    pub(crate) async fn start_closed(folder: &Path, mode: PoolMode) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let socket = folder.join(".s.PGSQL.5432");
        let shared = match mode {
            PoolMode::Session => None,
            PoolMode::Transaction { sessions } => Some(Arc::new(SharedSessions::new(sessions))),
        };
        let gate = Arc::new(Semaphore::new(0));
        let clients = Arc::new(AtomicUsize::new(0));
        let (opened, counted) = (gate.clone(), clients.clone());
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let _permit = opened.acquire().await.expect("a gate");
                // A client or a server that goes away ends only its connection.
                tokio::spawn(serve(client, socket.clone(), shared.clone()));
            }
        });
        Self {
            port,
            gate,
            clients,
            task,
        }
    }

    /// Serves the clients that wait, and all later ones.
    pub(crate) fn open(&self) {
        self.gate.add_permits(1);
    }

    /// True if a client has come.
    pub(crate) fn has_client(&self) -> bool {
        self.clients.load(Ordering::SeqCst) > 0
    }

    /// Returns the URL that leads to a database through the pooler.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Sessions of the server, the one that was used last behind all others.
struct SharedSessions {
    idle: Mutex<Receiver<UnixStream>>,
    done: Sender<UnixStream>,
    /// The number of sessions that may still be opened.
    unopened: Mutex<usize>,
}

impl SharedSessions {
    fn new(sessions: usize) -> Self {
        let (done, idle) = channel(sessions);
        Self {
            idle: Mutex::new(idle),
            done,
            unopened: Mutex::new(sessions),
        }
    }

    async fn take(&self, socket: &Path, startup: &[u8]) -> std::io::Result<UnixStream> {
        let mut unopened = self.unopened.lock().await;
        if *unopened > 0 {
            *unopened -= 1;
            let mut session = UnixStream::connect(socket).await?;
            session.write_all(startup).await?;
            while read_message(&mut session).await?[0] != READY_FOR_QUERY {}
            return Ok(session);
        }
        drop(unopened);
        let session = self.idle.lock().await.recv().await;
        Ok(session.expect("this is a sender"))
    }
}

async fn serve(
    mut client: TcpStream,
    socket: PathBuf,
    shared: Option<Arc<SharedSessions>>,
) -> std::io::Result<()> {
    let startup = loop {
        let packet = read_packet(&mut client).await?;
        if i32::from_be_bytes(packet[4..8].try_into().expect("four bytes")) != SSL_REQUEST {
            break packet;
        }
        client.write_all(b"N").await?;
    };
    if let Some(parameter) = refused_parameter(&startup) {
        let fields =
            format!("SFATAL\0VFATAL\0C08P01\0Munsupported startup parameter: {parameter}\0\0");
        return client.write_all(&message(b'E', fields.as_bytes())).await;
    }
    match shared {
        None => {
            let mut server = UnixStream::connect(socket).await?;
            server.write_all(&startup).await?;
            copy_bidirectional(&mut client, &mut server).await?;
            Ok(())
        }
        Some(shared) => serve_transactions(client, &socket, &startup, &shared).await,
    }
}

/// Takes a session for each transaction of a client.
async fn serve_transactions(
    mut client: TcpStream,
    socket: &Path,
    startup: &[u8],
    shared: &SharedSessions,
) -> std::io::Result<()> {
    client.write_all(&AUTHENTICATION_OK).await?;
    client.write_all(&READY).await?;
    let mut session = None;
    loop {
        let request = read_message(&mut client).await?;
        if request[0] == TERMINATE {
            return Ok(());
        }
        let mut server = match session.take() {
            Some(server) => server,
            None => shared.take(socket, startup).await?,
        };
        server.write_all(&request).await?;
        let mut is_in_transaction = true;
        if [SYNC, QUERY].contains(&request[0]) {
            loop {
                let answer = read_message(&mut server).await?;
                client.write_all(&answer).await?;
                if answer[0] == READY_FOR_QUERY {
                    is_in_transaction = answer.last() != Some(&NO_TRANSACTION);
                    break;
                }
            }
        }
        if is_in_transaction {
            session = Some(server);
        } else {
            let _ = shared.done.send(server).await;
        }
    }
}

/// Returns the name of the first startup parameter that is not admitted.
fn refused_parameter(startup: &[u8]) -> Option<String> {
    let names = startup[8..].split(|byte| *byte == 0).step_by(2);
    let names = names.map(|name| String::from_utf8_lossy(name).into_owned());
    names
        .take_while(|name| !name.is_empty())
        .find(|name| !ADMITTED_PARAMETERS.contains(&name.to_lowercase().as_str()))
}

/// Reads a packet of the startup: its length, and then its content.
async fn read_packet(stream: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut packet = vec![0; 4];
    stream.read_exact(&mut packet).await?;
    let length = u32::from_be_bytes(packet[..4].try_into().expect("four bytes"));
    packet.resize(length as usize, 0);
    stream.read_exact(&mut packet[4..]).await?;
    Ok(packet)
}

/// Reads a message: its type, and then a packet.
async fn read_message(stream: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut message = vec![stream.read_u8().await?];
    message.append(&mut read_packet(stream).await?);
    Ok(message)
}

fn message(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len() + 4).expect("a short message");
    [&[kind], length.to_be_bytes().as_slice(), content].concat()
}
