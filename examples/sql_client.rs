//! Ask in SQL from Rust, with the client of the `arrow-flight` crate, and pull endpoints in parallel.
//!
//! Answers for how a Rust program connects (TLS, token, client certificate), binds a parameter and
//! reads an answer. It uses nothing of Veilflight itself.
#![expect(clippy::print_stdout, reason = "an example tells its reader what it got")]

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::{FlightEndpoint, FlightInfo};
use clap::Parser;
use futures::TryStreamExt;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

const ALL: &str = r#"SELECT "User", "Site", "RequestMemory" FROM "htcondor_jobs""#;
const LARGE: &str = r#"SELECT "User" FROM "htcondor_jobs" WHERE "RequestMemory" >= $1"#;

/// Ask in SQL from Rust.
#[derive(Debug, Clone, Parser)]
struct Access {
    /// Such as https://data.example.org:8815; `grpc+tls://` is taken for `https://`.
    #[arg(long)]
    uri: String,
    /// A file with the token.
    #[arg(long)]
    token_file: Option<PathBuf>,
    /// The authority to trust, PEM.
    #[arg(long)]
    ca: Option<PathBuf>,
    /// A client certificate, PEM (mTLS).
    #[arg(long, requires = "key")]
    cert: Option<PathBuf>,
    /// The client certificate's key, PEM.
    #[arg(long)]
    key: Option<PathBuf>,
    /// A statement of your own, instead of the two of this example.
    #[arg(long)]
    sql: Option<String>,
}

impl Access {
    /// A new connection.
    async fn connect(&self) -> Result<FlightSqlServiceClient<Channel>> {
        let uri = self.uri.replace("grpc+tls://", "https://").replace("grpc+tcp://", "http://");
        let mut endpoint = Endpoint::from_shared(uri)?;
        if let Some(ca) = &self.ca {
            let mut tls = ClientTlsConfig::new();
            tls = tls.ca_certificate(Certificate::from_pem(std::fs::read(ca)?));
            if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
                tls = tls.identity(Identity::from_pem(std::fs::read(cert)?, std::fs::read(key)?));
            }
            endpoint = endpoint.tls_config(tls)?;
        }
        let mut client = FlightSqlServiceClient::new(endpoint.connect().await?);
        if let Some(file) = &self.token_file {
            client.set_token(std::fs::read_to_string(file)?.trim().to_owned());
        }
        Ok(client)
    }

    /// Every endpoint of an answer, each through a connection and a task of its own.
    async fn pull(&self, info: FlightInfo) -> Result<Vec<RecordBatch>> {
        let tasks = info.endpoint.into_iter().map(|endpoint| {
            let access = self.clone();
            tokio::spawn(async move { access.pull_one(endpoint).await })
        });
        let mut batches = Vec::new();
        for task in tasks.collect::<Vec<_>>() {
            batches.extend(task.await??);
        }
        Ok(batches)
    }

    async fn pull_one(&self, endpoint: FlightEndpoint) -> Result<Vec<RecordBatch>> {
        let ticket = endpoint.ticket.context("an endpoint has no ticket")?;
        let stream = self.connect().await?.do_get(ticket).await?;
        Ok(stream.try_collect().await?)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let access = Access::parse();
    let mut client = access.connect().await?;

    let sql = access.sql.as_deref().unwrap_or(ALL);
    let info = client.execute(sql.to_owned(), None).await?;
    let schema = info.clone().try_decode_schema()?;
    let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let endpoints = info.endpoint.len();
    let batches = access.pull(info).await?;
    println!("{} rows of {} from {endpoints} endpoints", rows(&batches), names.join(", "));

    if access.sql.is_none() {
        let mut prepared = client.prepare(LARGE.to_owned(), None).await?;
        let bound: ArrayRef = Arc::new(Int64Array::from(vec![16_000]));
        prepared.set_parameters(RecordBatch::try_from_iter([("$1", bound)])?)?;
        let large = access.pull(prepared.execute().await?).await?;
        prepared.close().await?;
        println!("{} jobs over 16 GB, by a bound parameter", rows(&large));
    }
    Ok(())
}

fn rows(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}
