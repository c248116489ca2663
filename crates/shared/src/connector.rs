//! Opens connections to the first writable server, to the master that Sentinel names, or to a cluster.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use redis::aio::SendError;
use redis::cluster::ClusterClientBuilder;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    ProtocolVersion, PushInfo, PushKind, RedisConnectionInfo, RedisError, RedisResult,
    TlsCertificates, TlsMode,
};
use secrecy::ExposeSecret;
use tokio::time::timeout;

use crate::connection::ValkeyConnection;
use crate::invalidation::{Invalidation, InvalidationChannel};
use crate::keys::CountKeys;
use crate::limit::CountLimit;
use crate::options::ValkeyOptions;
use crate::scripts::SCRIPTS;
use crate::url::ValkeyTopology;

/// Longest wait for a connection to one host, including the probe over it.
const HOST_MAX: Duration = Duration::from_secs(1);

/// Longest wait for a connection to any of the hosts, so that a silent host does not block access to the hosts after it.
pub(crate) const CONNECT_MAX: Duration = Duration::from_secs(3);

/// Maximum number of commands of all calls together that wait to be written.
const COMMANDS_WAITING_MAX: usize = 1024;

/// Maximum number of times that a request is sent again when a node of a cluster does not answer. This many attempts reach another
/// node, and a cluster that is down is detected within the timeout of one call.
const RETRIES_MAX: u32 = 3;

/// Longest pause before a request is sent again, in milliseconds.
const RETRY_DELAY_MS: u64 = 2;

/// The number of counts that a probe writes. This many keys usually reach each node of a small cluster.
const PROBES: usize = 16;

/// Opens a connection to a server that accepts writes.
///
/// # Errors
/// The error of the connection; of several servers, the error of the last one.
pub(crate) fn connect<'a>(
    options: &'a ValkeyOptions,
    keys: &'a CountKeys,
    invalidations: &'a Arc<InvalidationChannel>,
) -> BoxFuture<'a, RedisResult<ValkeyConnection>> {
    // Boxed, so that the future is compiled here and not again in each crate that awaits it.
    Box::pin(connect_to_any(options, keys, invalidations))
}

async fn connect_to_any(
    options: &ValkeyOptions,
    keys: &CountKeys,
    invalidations: &Arc<InvalidationChannel>,
) -> RedisResult<ValkeyConnection> {
    match &options.url.place {
        ValkeyTopology::Servers(database) => {
            let connecting = addresses(options).map(async |address| {
                let server = server(options, (address, *database), invalidations).await;
                probed(server, options, keys).await
            });
            // All servers are tried at the same time, because some may not answer. The first writable server in the order of the
            // URL is used.
            let connecting = connecting.map(|one| timeout(HOST_MAX, one));
            let mut connecting: FuturesOrdered<_> = connecting.collect();
            let mut wrong = too_late("the URL names no server");
            while let Some(connected) = connecting.next().await {
                match connected {
                    Ok(Ok(connection)) => return Ok(connection),
                    Ok(Err(error)) => wrong = error,
                    Err(_) => wrong = too_late("it does not answer in time"),
                }
            }
            Err(wrong)
        }
        ValkeyTopology::Sentinels(service) => {
            probed(master(options, service, invalidations).await, options, keys).await
        }
        ValkeyTopology::Cluster => {
            probed(cluster(options, invalidations).await, options, keys).await
        }
    }
}

async fn server(
    options: &ValkeyOptions,
    (address, database): (ConnectionAddr, i64),
    invalidations: &Arc<InvalidationChannel>,
) -> RedisResult<ValkeyConnection> {
    let info = address
        .into_connection_info()?
        .set_redis_settings(login(options).set_db(database));
    let client = if options.url.has_tls {
        Client::build_with_tls(info, certificates(options))
    } else {
        Client::open(info)
    };
    opened(&client?, invalidations).await
}

async fn master(
    options: &ValkeyOptions,
    service: &str,
    invalidations: &Arc<InvalidationChannel>,
) -> RedisResult<ValkeyConnection> {
    let mut builder =
        SentinelClientBuilder::new(addresses(options), service, SentinelServerType::Master)?
            .set_client_to_redis_protocol(ProtocolVersion::RESP3);
    if let Some(user) = &options.user {
        builder = builder.set_client_to_redis_username(user);
    }
    if let Some(password) = &options.password {
        builder = builder.set_client_to_redis_password(password.expose_secret());
    }
    if let Some(password) = &options.sentinel_password {
        builder = builder.set_client_to_sentinel_password(password.expose_secret());
    }
    if options.url.has_tls {
        builder = builder
            .set_client_to_redis_tls_mode(TlsMode::Secure)
            .set_client_to_redis_certificates(certificates(options))
            .set_client_to_sentinel_tls_mode(TlsMode::Secure)
            .set_client_to_sentinel_certificates(certificates(options));
    }
    opened(&builder.build()?.async_get_client().await?, invalidations).await
}

async fn cluster(
    options: &ValkeyOptions,
    invalidations: &Arc<InvalidationChannel>,
) -> RedisResult<ValkeyConnection> {
    let nodes = addresses(options).map(|address| {
        Ok(address
            .into_connection_info()?
            .set_redis_settings(login(options)))
    });
    let nodes: Vec<ConnectionInfo> = nodes.collect::<RedisResult<_>>()?;
    let mut builder = ClusterClientBuilder::new(nodes)
        .connection_timeout(HOST_MAX)
        .response_timeout(options.timeout)
        .retries(RETRIES_MAX)
        .min_retry_wait(1)
        .max_retry_wait(RETRY_DELAY_MS)
        .use_protocol(ProtocolVersion::RESP3)
        .push_sender(cluster_push_handler(invalidations));
    if options.url.has_tls {
        builder = builder.tls(TlsMode::Secure).certs(certificates(options));
    }
    let mut connection = builder.build()?.get_async_connection().await?;
    connection.subscribe(&invalidations.name).await?;
    Ok(ValkeyConnection::Cluster(connection))
}

async fn opened(
    client: &Client,
    invalidations: &Arc<InvalidationChannel>,
) -> RedisResult<ValkeyConnection> {
    // The timeout of a call covers all of its requests, so the connection has none.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
        .set_pipeline_buffer_size(COMMANDS_WAITING_MAX)
        .set_push_sender(push_handler(invalidations));
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    let mut connection = connecting.await?;
    connection.subscribe(&invalidations.name).await?;
    Ok(ValkeyConnection::Server(connection))
}

/// Returns the handler of messages that a server pushes over a connection.
fn push_handler(
    invalidations: &Arc<InvalidationChannel>,
) -> impl Fn(PushInfo) -> Result<(), SendError> + use<> {
    let invalidations = Arc::clone(invalidations);
    move |push| {
        invalidations.receive(&push);
        Ok(())
    }
}

/// Returns the same handler for a cluster. When the connection to a node ends, the cluster client reconnects and subscribes again.
/// Messages published in between are lost.
fn cluster_push_handler(
    invalidations: &Arc<InvalidationChannel>,
) -> impl Fn(PushInfo) -> Result<(), SendError> + use<> {
    let invalidations = Arc::clone(invalidations);
    move |push| {
        match push.kind {
            PushKind::Disconnection | PushKind::Subscribe => {
                invalidations.deliver(Invalidation::All)
            }
            _ => invalidations.receive(&push),
        }
        Ok(())
    }
}

/// Returns the connection after a probe has shown that counts can be written over it in time. A connection to a follower is
/// rejected.
async fn probed(
    connection: RedisResult<ValkeyConnection>,
    options: &ValkeyOptions,
    keys: &CountKeys,
) -> RedisResult<ValkeyConnection> {
    let mut connection = connection?;
    let limit = CountLimit::per(std::num::NonZeroU32::MIN, Duration::from_secs(1));
    for number in 0..PROBES {
        let mut asks = SCRIPTS.take.key(&keys.probe(number).0);
        let asks = asks
            .arg(limit.interval_us)
            .arg(limit.burst.get())
            .arg((1, 1, 1));
        // The first call of a script takes longer, because the server does not have the script yet.
        let answer = asks.invoke_async::<(u32, i64, u32)>(&mut connection);
        timeout(options.timeout * 3, answer)
            .await
            .map_err(|_| too_late("it answers too slowly"))??;
    }
    Ok(connection)
}

fn too_late(cause: &'static str) -> RedisError {
    RedisError::from(std::io::Error::new(std::io::ErrorKind::TimedOut, cause))
}

fn addresses(options: &ValkeyOptions) -> impl Iterator<Item = ConnectionAddr> + '_ {
    options.url.hosts.iter().cloned().map(|(host, port)| {
        if options.url.has_tls {
            ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            }
        } else {
            ConnectionAddr::Tcp(host, port)
        }
    })
}

fn login(options: &ValkeyOptions) -> RedisConnectionInfo {
    let mut login = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP3)
        .set_skip_set_lib_name();
    if let Some(user) = &options.user {
        login = login.set_username(user);
    }
    if let Some(password) = &options.password {
        login = login.set_password(password.expose_secret());
    }
    login
}

fn certificates(options: &ValkeyOptions) -> TlsCertificates {
    TlsCertificates {
        client_tls: None,
        root_cert: options.authorities.clone(),
    }
}

#[cfg(test)]
mod tests;
