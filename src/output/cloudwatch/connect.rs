//! Connections to AWS's endpoints, through an HTTP proxy where the environment names one. What is on
//! this host or beside it, such as the metadata service, is never asked through a proxy.

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use hyper::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

/// Makes connections, directly or through a tunnel.
#[derive(Clone)]
pub(super) struct Connect {
    http: HttpConnector,
    proxies: Arc<Matcher>,
}

impl Connect {
    /// With the proxies of `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`.
    pub(super) fn new(http: HttpConnector) -> Self {
        Self { http, proxies: Arc::new(Matcher::from_env()) }
    }
}

impl Service<Uri> for Connect {
    type Response = TokioIo<TcpStream>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.http.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let proxy = self.proxies.intercept(&uri).filter(|_| !is_near(&uri));
        let Some(proxy) = proxy else {
            let direct = self.http.call(uri);
            return Box::pin(async move { Ok(direct.await?) });
        };
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.http.clone());
        if let Some(auth) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(auth.clone());
        }
        Box::pin(async move { Ok(tunnel.call(uri).await?) })
    }
}

/// Loopback, link-local, and the addresses that AWS has set aside for its hosts' own services.
fn is_near(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    match host.parse() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_link_local(),
        // fd00:ec2::254 and fd00:ec2::23 (EC2 and EKS user guides).
        Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.segments().starts_with(&[0xfd00, 0xec2]),
        Err(_) => host == "localhost",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_the_host_is_asked_directly() {
        for (uri, near) in [
            ("http://169.254.169.254/latest", true),
            ("http://169.254.170.2/v2", true),
            ("http://[fd00:ec2::254]/latest", true),
            ("http://127.0.0.1:51679/", true),
            ("http://localhost:4566/", true),
            ("https://logs.eu-west-1.amazonaws.com/", false),
            ("http://10.0.0.1/", false),
            ("http://[fd00:ec3::1]/", false),
        ] {
            assert_eq!(is_near(&uri.parse().unwrap()), near, "{uri}");
        }
    }
}
