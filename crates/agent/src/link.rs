//! The connection to the control plane: connect, listen, try again.

use crate::hub::Node;
use crate::{metadata, networks};
use longshore_types::link::{FromAgent, ToAgent};
use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

const RETRY: Duration = Duration::from_millis(50);

/// Serves control planes, one after the other, for ever.
pub async fn run(node: Arc<Node>) {
    let socket = node.options.run_dir.join("server.sock");
    let mut endpoints = metadata::Endpoints::new(Arc::clone(&node));
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

async fn serve(node: &Arc<Node>, stream: UnixStream, endpoints: &mut metadata::Endpoints) -> io::Result<()> {
    let (reader, writer) = stream.into_split();
    let (outbox, inbox) = mpsc::unbounded_channel();
    let hello = FromAgent::Hello { node: "local".into(), cpu_units: 0, memory_mib: 0 };
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

async fn read(
    node: &Arc<Node>,
    reader: tokio::net::unix::OwnedReadHalf,
    endpoints: &mut metadata::Endpoints,
) -> io::Result<()> {
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str::<ToAgent>(&line) {
            Ok(message) => handle(node, message, endpoints).await,
            Err(error) => tracing::warn!(%error, "a message of the control plane was not understood"),
        }
    }
    Ok(())
}

async fn handle(node: &Arc<Node>, message: ToAgent, endpoints: &mut metadata::Endpoints) {
    match message {
        ToAgent::Welcome(welcome) => {
            node.welcome.send_replace(Some(welcome));
        }
        ToAgent::Network { generation, vpcs } => match networks::config(generation, &vpcs) {
            Ok(config) => {
                if let Err(error) = node.network.apply(&config).await {
                    tracing::error!(%error, "the network could not be made as asked");
                }
                endpoints.serve(vpcs.iter().map(|vpc| vpc.id.as_str()).collect());
            }
            Err(error) => tracing::error!(%error, "the network asked for makes no sense"),
        },
        ToAgent::Tasks { whole, upsert, remove } => {
            if whole {
                let wanted: HashSet<String> = upsert.iter().map(|intent| intent.id.to_string()).collect();
                remove_strangers(node, &wanted).await;
            }
            node.want(whole, upsert, remove);
        }
        ToAgent::LogAck { batch } => node.log_ack(batch),
        ToAgent::Reset { token } => {
            node.want(true, vec![], vec![]);
            let node = Arc::clone(node);
            tokio::spawn(async move {
                while !node.is_empty() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                node.send(FromAgent::ResetDone { token });
            });
        }
    }
}

/// Ends what an earlier agent started and nobody wants any more.
async fn remove_strangers(node: &Arc<Node>, wanted: &HashSet<String>) {
    let directories = std::fs::read_dir(node.options.run_dir.join("tasks"));
    for entry in directories.into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if wanted.contains(&name) || node.is_known(&name) {
            continue;
        }
        tracing::info!(task = name, "removing a task that is not wanted any more");
        if let Err(error) = longshore_runtime::cleanup(&entry.path()) {
            tracing::warn!(%error, task = name, "its processes could not be ended");
        }
        let _ = std::fs::remove_dir_all(entry.path());
    }
    for name in node.images.list_writable().unwrap_or_default() {
        let task = name.split('-').next().unwrap_or_default();
        if !wanted.contains(task) && !node.is_known(task) {
            let _ = node.images.remove_writable(&name);
        }
    }
    // Interfaces are named by their task's directory: those without one are left over.
    for attached in node.network.attached().await.unwrap_or_default() {
        let used = std::fs::read_dir(node.options.run_dir.join("tasks"))
            .into_iter()
            .flatten()
            .flatten()
            .any(|entry| std::fs::read_to_string(entry.path().join("eni")).is_ok_and(|id| id == attached.eni.id));
        if !used && node.find(|intent| intent.network.id.as_str() == attached.eni.id).is_none() {
            if let Err(error) = node.network.detach(&attached.vpc, &attached.eni.id).await {
                tracing::warn!(%error, eni = attached.eni.id, "a left-over interface could not be removed");
            }
        }
    }
}
