//! The fakes of AWS services themselves: one that is too kind would excuse the agent, one that is
//! wrong would accuse it. A raw client asks; the limits and texts are AWS's.

mod contract;
mod faults;
mod identity;
mod records;
mod signatures;

use crate::support::cloudwatch::FakeCloudWatch;
use crate::support::cloudwatch::client::SignedClient;
use crate::support::http::Request;

/// A service with the stream `s` in the group `g`, and a client of it.
fn service() -> (FakeCloudWatch, SignedClient) {
    let service = FakeCloudWatch::start();
    service.create_stream("g", "s");
    let client = SignedClient::of(&service);
    (service, client)
}

fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Request {
    Request {
        method: method.to_owned(),
        target: target.to_owned(),
        headers: headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        body: body.into(),
        connection: 0,
        on_connection: 0,
        arrived: std::time::Instant::now(),
    }
}
