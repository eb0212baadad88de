//! The connection to the control plane: connect, listen, try again.

use crate::endpoints::Endpoints;
use crate::{Node, networks};
use longshore_types::link::{FromAgent, ToAgent};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

const RETRY: Duration = Duration::from_millis(50);

/// Serves control planes, one after the other, for ever.
pub async fn run(node: Arc<Node>) {
    let socket = node.machine.options.run_dir.join("server.sock");
    let mut endpoints = Endpoints::new(Arc::clone(&node));
    loop {
        match UnixStream::connect(&socket).await {
            Ok(stream) => {
                tracing::info!("connected to the control plane");
                if let Err(error) = serve(&node, stream, &mut endpoints).await {
                    tracing::warn!(%error, "lost the control plane");
                }
                node.disconnected();
            }
            Err(error) => tracing::debug!(%error, socket = %socket.display(), "no control plane yet"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn serve(node: &Arc<Node>, stream: UnixStream, endpoints: &mut Endpoints) -> io::Result<()> {
    let (reader, writer) = stream.into_split();
    let (outbox, inbox) = mpsc::unbounded_channel();
    let network_generation = node.machine.network.generation().await.map_err(io::Error::other)?;
    let hello = FromAgent::Hello { node: "local".into(), cpu_units: 0, memory_mib: 0, network_generation };
    let _ = outbox.send(hello);
    node.connected(outbox);
    tokio::select! {
        result = write(writer, inbox) => result,
        result = read(node, reader, endpoints) => result,
    }
}

async fn write(
    mut writer: tokio::net::unix::OwnedWriteHalf,
    mut inbox: mpsc::UnboundedReceiver<FromAgent>,
) -> io::Result<()> {
    let mut buffer = Vec::new();
    while let Some(message) = inbox.recv().await {
        buffer.clear();
        serde_json::to_writer(&mut buffer, &message)?;
        buffer.push(b'\n');
        while let Ok(more) = inbox.try_recv() {
            serde_json::to_writer(&mut buffer, &more)?;
            buffer.push(b'\n');
            if buffer.len() > 1 << 18 {
                break;
            }
        }
        writer.write_all(&buffer).await?;
    }
    Ok(())
}

async fn read(node: &Arc<Node>, reader: tokio::net::unix::OwnedReadHalf, endpoints: &mut Endpoints) -> io::Result<()> {
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str::<ToAgent>(&line) {
            Ok(message) => handle(node, message, endpoints).await,
            Err(error) => tracing::warn!(%error, "a message of the control plane was not understood"),
        }
    }
    Ok(())
}

async fn handle(node: &Arc<Node>, message: ToAgent, endpoints: &mut Endpoints) {
    let ToAgent::Network { generation, vpcs } = message else { return node.handle(message).await };
    match networks::config(generation, &vpcs) {
        Ok(config) => {
            if let Err(error) = node.machine.network.apply(&config).await {
                tracing::error!(%error, "the network could not be made as asked");
            }
            endpoints.serve(vpcs.iter().map(|vpc| vpc.id.as_str()).collect());
        }
        Err(error) => tracing::error!(%error, "the network asked for makes no sense"),
    }
}
