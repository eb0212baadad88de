//! `longshore status`, and the small HTTP client for our own endpoints.

use crate::config::{Auth, Config};
use crate::credentials;
use crate::process;
use anyhow::Context;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use longshore_aws_wire::sigv4::{self, SignedRequest};
use longshore_registry::Shortage;
use std::path::Path;
use std::process::ExitCode;

pub fn run(run_dir: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let Ok(config) = Config::read(run_dir) else {
        if json {
            println!("{}", serde_json::json!({"running": false}));
        } else {
            println!("Longshore does not run in {}. Start it with `sudo longshore up`.", run_dir.display());
        }
        return Ok(ExitCode::FAILURE);
    };
    let answer = process::current_thread()?.block_on(health(&config));
    let healthy = answer.is_ok();
    let counts = answer.unwrap_or_default();
    let shortage = Shortage::of(&config.data_dir).ok().flatten().map(|shortage| format!("disk full: {shortage}"));
    let roles: Vec<(&str, Option<u32>)> = ["up", "server", "agent", "balancer"]
        .into_iter()
        .map(|role| (role, process::read_pid(run_dir, role)))
        .collect();
    if json {
        let pids: serde_json::Map<_, _> =
            roles.iter().map(|(role, pid)| ((*role).to_owned(), serde_json::json!(pid))).collect();
        let body = serde_json::json!({
            "running": healthy, "url": config.api_url(), "account": config.account, "region": config.region,
            "dataDir": config.data_dir, "runDir": config.run_dir, "processes": pids, "counts": counts["counts"],
            "problem": shortage,
        });
        println!("{}", serde_json::to_string_pretty(&body)?);
    } else {
        println!("Longshore {} at {}", if healthy { "answers" } else { "does not answer" }, config.api_url());
        println!("  account {}, region {}, data in {}", config.account, config.region, config.data_dir.display());
        if let Some(shortage) = &shortage {
            println!("  {shortage}");
        }
        for (role, pid) in &roles {
            match pid {
                Some(pid) => println!("  {role:<9} runs (process {pid})"),
                None => println!("  {role:<9} does not run"),
            }
        }
        if let Some(counts) = counts["counts"].as_object() {
            for (what, count) in counts {
                println!("  {what}: {count}");
            }
        }
    }
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What our own server says of itself, once it is ready: another instance may answer at the address.
pub async fn health(config: &Config) -> anyhow::Result<serde_json::Value> {
    let (status, body) = get(config, "/_longshore/health").await?;
    let body: serde_json::Value = serde_json::from_slice(&body)?;
    let ours = process::read_pid(&config.run_dir, "server");
    anyhow::ensure!(status == 200 && ours.is_some() && body["process"].as_u64() == ours.map(u64::from), "{body}");
    Ok(body)
}

/// GET of one of our own paths: status and body.
pub async fn get(config: &Config, path: &str) -> anyhow::Result<(u16, Vec<u8>)> {
    let stream = tokio::net::TcpStream::connect(config.listen)
        .await
        .with_context(|| format!("nobody listens on {}", config.listen))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request =
        hyper::Request::get(path).header("host", config.listen.to_string()).body(Full::<bytes::Bytes>::default())?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    Ok((status, response.into_body().collect().await?.to_bytes().to_vec()))
}

/// One AWS JSON call to our own API: status and body.
pub async fn post(config: &Config, target: &str, body: String) -> anyhow::Result<(u16, Vec<u8>)> {
    let stream = tokio::net::TcpStream::connect(config.listen)
        .await
        .with_context(|| format!("nobody listens on {}", config.listen))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let host = config.listen.to_string();
    // Open mode takes every key; the other one takes the account's, of whoever may read it.
    let (access_key, secret) = match config.auth {
        Auth::Open => ("longshore".to_owned(), "longshore".to_owned()),
        Auth::Iam => {
            let key = credentials::read(config)?;
            (key.access_key_id, key.secret_access_key)
        }
    };
    let time = sigv4::timestamp(longshore_aws_model::Timestamp(crate::serve::now().0));
    let mut headers = vec![
        ("host", host.as_str()),
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", target),
        ("x-amz-date", time.as_str()),
    ];
    let signed = SignedRequest { method: "POST", path: "/", query: "", headers: &headers, body: body.as_bytes() };
    let authorization = sigv4::authorization(&signed, &access_key, &secret, &config.region, "ecr");
    headers.push(("authorization", &authorization));
    let request =
        headers.iter().fold(hyper::Request::post("/"), |request, (name, value)| request.header(*name, *value));
    let request = request.body(Full::new(bytes::Bytes::from(body)))?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    Ok((status, response.into_body().collect().await?.to_bytes().to_vec()))
}
